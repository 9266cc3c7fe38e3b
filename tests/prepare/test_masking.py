import typing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionspark.config.prepare import Mask
from fusionspark.prepare.masking import MASKING_BOUND, RULES, mask, repair
from fusionspark.prepare.text_rules import CLEANING_BOUND, clean

KINDS = list(RULES)


def test_the_configuration_knows_every_rule():
    assert set(typing.get_args(Mask)) == set(RULES)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("see https://a.example/b?c=d, ok", "see [URL], ok"),
        ("www.example.org。好", "[URL]。好"),
        ("mail j.doe+x@mail.example.org.", "mail [EMAIL]."),
        ("hey @jane_doe: hi", "hey [MENTION]: hi"),
        ("转发 @小明同学 好", "转发 [MENTION] 好"),
        ("电话13800138000，谢谢", "电话[PHONE]，谢谢"),
        ("电话１３８００１３８０００", "电话[PHONE]"),
        ("call (202) 555-0143 or 202-555-0143 or +44 20 7946 0958", "call [PHONE] or [PHONE] or [PHONE]"),
        ("010-62788888, 400-810-8888", "[PHONE], [PHONE]"),
        ("card 4111-1111-1111-1111", "card [CARD]"),
        ("not a card 4111-1111-1111-1112", "not a card 4111-1111-1111-1112"),
        ("to DE89 3704 0044 0532 0130 00 please", "to [IBAN] please"),
        ("not an IBAN DE88 3704 0044 0532 0130 00", "not an IBAN DE88 3704 0044 0532 0130 00"),
        # The number that the standard GB 11643 gives as its example.
        ("身份证11010519491231002X", "身份证[ID_NUMBER]"),
        ("身份证110105194912310021", "身份证110105194912310021"),
        ("ssn 078-05-1120, not 000-05-1120", "ssn [ID_NUMBER], not 000-05-1120"),
        ("host 192.168.0.1 at 1.2.3", "host [IP] at 1.2.3"),
        ("2019-01-02, $3.50, 10/10, 5'4\", order 123456", "2019-01-02, $3.50, 10/10, 5'4\", order 123456"),
    ],
)
def test_what_is_masked_and_what_stays(text, masked):
    assert mask(text, KINDS)[0] == masked


def test_only_what_is_asked_for_is_masked_and_counted():
    text = "a@b.co c@d.co @you 13800138000"
    assert mask(text, ["email"]) == ("[EMAIL] [EMAIL] @you 13800138000", {"email": 2})
    assert mask(text, []) == (text, {})
    assert repair(None, fold=True, kinds=KINDS) == (None, {})
    assert repair("ＡＢＣ１２３，好", fold=True, kinds=[])[0] == "ABC123，好"
    assert repair("ＡＢＣ１２３，好", fold=False, kinds=[])[0] == "ＡＢＣ１２３，好"


PIECES = st.lists(
    st.sampled_from(
        ["a@b.co", "@", "me", "1", "38", "00138000", "-", " ", ".", "www.", "http://", "x.y", "+44", "(", ")",
         "4111111111111111", "DE89370400440532013000", "[", "]", "好", "ａ", "１", "&amp;", "<", ">", "/",
         "X"]
    ),
    max_size=25,
)  # fmt: skip


@settings(max_examples=200)
@given(st.one_of(PIECES.map("".join), st.text(max_size=120)))
def test_masking_twice_is_masking_once_and_the_text_stays_within_its_bound(text):
    once, _ = mask(text, KINDS)
    assert mask(once, KINDS) == (once, {})
    assert len(once) <= MASKING_BOUND * len(text)


@settings(max_examples=200)
@given(st.one_of(PIECES.map("".join), st.text(max_size=120)))
def test_cleaning_and_masking_any_unicode_is_idempotent_and_bounded(text):
    cleaned = clean(text, fold=True)
    assert len(cleaned or "") <= CLEANING_BOUND * len(text)
    once, _ = repair(text, fold=True, kinds=KINDS)
    assert repair(once, fold=True, kinds=KINDS) == (once, {})


@given(st.characters())
def test_no_character_grows_beyond_the_bound(character):
    assert len(clean(character) or "") <= CLEANING_BOUND


def test_the_bound_of_cleaning_is_reached():
    # Unicode parts this one letter into three when it composes.
    assert len(clean("\ufb2c")) == CLEANING_BOUND
