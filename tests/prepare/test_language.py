import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionspark.prepare.language import detect_language
from fusionspark.prepare.sentences import split_sentences


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("这家酒店的服务很好", "zh"),
        ("iPhone 15 Pro 手机很好用", "zh"),
        ("I bought the 好 edition of this book last week", "en"),
        ("とても可愛いドレスです", "ja"),
        ("배송이 빨라요", "ko"),
        ("42 :-) !!!", "und"),
    ],
)
def test_the_script_decides_where_it_can(text, language):
    if language == "en":
        pytest.importorskip("py3langid")
    assert detect_language(text) == language


def test_letters_that_languages_share_go_to_a_model_and_doubt_is_english():
    pytest.importorskip("py3langid")
    assert detect_language("Cette robe est très jolie mais un peu grande pour moi.") == "fr"
    assert detect_language("Das Kleid ist schön, aber leider zu groß für mich.") == "de"
    assert detect_language("The fabric is thin but the cut is flattering.") == "en"
    assert detect_language("Super cute!") == "en", "two words look like many languages"


@settings(max_examples=100)
@given(st.text(max_size=100))
def test_any_unicode_has_a_language(text):
    pytest.importorskip("py3langid")
    assert 2 <= len(detect_language(text)) <= 3


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ('He said "Stop." Then he left.', ['He said "Stop."', "Then he left."]),
        ("It costs 3.50 at www.a.org. Really.", ["It costs 3.50 at www.a.org.", "Really."]),
        ("no capital. so what", ["no capital. so what"]),
        ("line one\nline two", ["line one", "line two"]),
        ("房间很大。早餐一般！还会再来吗？会。", ["房间很大。", "早餐一般！", "还会再来吗？", "会。"]),
        ("I did. J. R. Smith and I went.", ["I did.", "J. R. Smith and I went."]),
        ("", []),
    ],
)
def test_sentences(text, sentences):
    assert split_sentences(text) == sentences


@given(st.text(alphabet='aB .!?。！？\n"”)好1', max_size=60))
def test_sentences_lose_nothing_but_white_space(text):
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())
