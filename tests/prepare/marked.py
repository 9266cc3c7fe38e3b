"""The sentences marked by hand in tests/data, and how a tagger does on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fusionspark.prepare.tagging import tagger_for

DATA = Path(__file__).resolve().parents[1] / "data"


@dataclass(frozen=True)
class Marked:
    text: str
    #: First character, character after the last, and tag of each word.
    words: tuple[tuple[int, int, str], ...]


def read_marked(language: str) -> list[Marked]:
    found = []
    for line in (DATA / f"pos_{language}.txt").read_text(encoding="utf-8").splitlines():
        text, words = "", []
        for token in line.split():
            word, _, tag = token.rpartition("/")
            joined = word.startswith("+") and len(word) > 1
            word = word[joined:]
            if text and language == "en" and not joined:
                text += " "
            words.append((len(text), len(text) + len(word), tag))
            text += word
        found.append(Marked(text, tuple(words)))
    return found


def accuracy(language: str) -> dict[str, float]:
    """Share of the marked words that are right, that are parted alike, and that are right among those."""
    marked = read_marked(language)
    words = right = alike = 0
    for sentence, tagged in zip(marked, tagger_for(language).tag([one.text for one in marked]), strict=True):
        spans, place = {}, 0
        for word, tag in zip(tagged.words, tagged.tags, strict=True):
            start = sentence.text.index(word, place)
            place = start + len(word)
            spans[start, place] = tag
        words += len(sentence.words)
        alike += sum((start, end) in spans for start, end, _ in sentence.words)
        right += sum(spans.get((start, end)) == tag for start, end, tag in sentence.words)
    return {
        "words": words,
        "accuracy": right / words,
        "parted_alike": alike / words,
        "tag_accuracy": right / alike,
    }
