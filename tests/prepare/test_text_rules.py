import html

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionspark.prepare.text_rules import clean
from fusionspark.prepare.words import chinese_words, english_words


@pytest.mark.parametrize(
    ("dirty", "expected"),
    [
        (None, None),
        ("", None),
        (" \t\n\u200b\ufeff ", None),
        ("&quot;Didn&#039;t help&quot;", '"Didn\'t help"'),
        ("twice &amp;amp; thrice &amp;amp;amp;", "twice & thrice &"),
        ("a<br/>b<p class='x'>c</p>", "a\nb\nc"),
        ("5 < 6 and I <3 you > me", "5 < 6 and I <3 you > me"),
        ("&lt;script&gt;alert(1)&lt;/script&gt;hi", "alert(1) hi"),
        ("cafÃ© naÃ¯ve", "café naïve"),
        ("e\u0301", "é"),
        ("nul\x00 bell\x07 esc\x1b[0m", "nul bell esc[0m"),
        ("\ufeff做父母  一定\r\n\r\n要有", "做父母 一定\n要有"),
        ("lone \ud800 surrogate", "lone surrogate"),
        ("family 👨\u200d👩\u200d👧", "family 👨\u200d👩\u200d👧"),
    ],
)
def test_clean_repairs(dirty, expected):
    assert clean(dirty) == expected


@settings(max_examples=300)
@given(st.text(max_size=200))
def test_cleaning_any_unicode_twice_is_cleaning_it_once(text):
    once = clean(text)
    assert clean(once) == once
    assert once is None or (once == once.strip() and once.encode("utf-8"))


@settings(max_examples=200)
@given(
    st.lists(
        st.sampled_from(
            ["&amp;", "&lt;", "b>", "&", "lt;", "<", "/", "br", ">", " ", "\n", "&#60;", "x", "é"]
        )
    )
)
def test_cleaning_is_idempotent_on_markup_debris(pieces):
    once = clean("".join(pieces))
    assert clean(once) == once


@given(st.text(alphabet="abc <>&;\"'é你 ", max_size=60))
def test_escaping_a_text_changes_nothing_after_cleaning(text):
    assert clean(html.escape(text)) == clean(text)


def test_a_megabyte_is_cleaned_whole():
    text = "word " * 200_000
    assert clean(text) == text.strip()


def test_words():
    assert english_words("It's GREAT, 10/10… naïve_user") == ["it's", "great", "10", "10", "naïve", "user"]
    pytest.importorskip("jieba")
    assert chinese_words("我爱北京天安门，ABC！") == ["我", "爱", "北京", "天安门", "abc"]
