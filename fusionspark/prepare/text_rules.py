"""Cleaning rules for text. Pure Python: the same function serves Spark, tests and a notebook."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Sequence
from typing import TypeVar

from fusionspark.columns import TEXT_BREAK

T = TypeVar("T")

#: Raised when a rule changes, since a stored vector is only as good as the text it was made from.
PREPARATION_VERSION = 1

#: A tag needs a letter, a slash or a bang after the bracket, so that "a < b" and "<3" stay.
_TAG = re.compile(r"<(?:[A-Za-z/][^<>]*|!--.*?--|![^<>]*)>", re.DOTALL)
_BREAKING_TAG = re.compile(r"<(?:br|/?p|/?div|/?li|/?h[1-6]|/?tr)\b[^<>]*>", re.IGNORECASE)
_ENTITY = re.compile(r"&#?\w+;")
#: Control and format characters that carry no text, apart from the joiners that emoji and Indic scripts need.
_KEPT_FORMAT = {"\u200c", "\u200d"}
_SPACE = re.compile(r"[^\S\n]+")
_LINES = re.compile(r" ?\n[\n ]*")
#: Full-width letters and digits; punctuation keeps its width, which in Chinese is the proper one.
_FULL_WIDTH = {0xFF00 + code - 0x20: code for code in range(0x21, 0x7F) if chr(code).isalnum()}

#: A cleaned text has at most so many times the characters: NFC parts some letters into three (Unicode
#: Standard Annex 15, "Maximum expansion factors"); every other rule keeps or shortens.
CLEANING_BOUND = 3


def fold_width(text: str) -> str:
    """Full-width letters and digits as plain ones, one character for one.

    >>> fold_width("ＡＢＣ１２３，好！")
    'ABC123，好！'
    """
    return text.translate(_FULL_WIDTH)


def _drop_control(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    kept = []
    for character in text:
        category = unicodedata.category(character)
        if character in "\n\t\r\x0b\x0c\x85\u2028\u2029":
            kept.append("\n" if character != "\t" else " ")
        elif category in {"Cc", "Cf", "Cn"} and character not in _KEPT_FORMAT:
            # Nothing a reader or a tokenizer could use.
            continue
        else:
            kept.append(character)
    return "".join(kept)


def _unmark(text: str) -> str:
    """Entities to characters and tags to nothing, until neither is left (feeds escape twice or more)."""
    while _ENTITY.search(text) or _TAG.search(text):
        once = html.unescape(text)
        once = _TAG.sub(" ", _BREAKING_TAG.sub("\n", once))
        if once == text:
            break
        text = once
    return text


def clean(text: str | None, *, fold: bool = False) -> str | None:
    r"""Repair one text without changing what it says.

    Mojibake is undone (ftfy), HTML entities and tags go, Unicode is composed (NFC), control characters go,
    runs of white space become one space or one line break. ``None`` stays ``None``; text without any visible
    character becomes ``None``, so that "no text" has one spelling. With ``fold`` full-width letters and
    digits become plain ones. Cleaning twice changes nothing; the result has at most `CLEANING_BOUND` times
    the characters.

    >>> clean("&quot;It&#039;s  <br/>  great&quot; &amp;amp; cheap")
    '"It\'s\ngreat" & cheap'
    >>> clean(" \u200b ") is None
    True
    """
    if text is None:
        return None
    import ftfy

    # Lone surrogates first: ftfy would turn them into replacement characters.
    text = text.encode("utf-8", "ignore").decode("utf-8")
    for _ in range(8):
        before = text
        if fold and not text.isascii():
            text = fold_width(text)
        text = _unmark(text)
        if not text.isascii():
            # Entities are done above, to the end; curly quotes and full-width forms are the writer's own.
            text = ftfy.fix_text(
                text,
                unescape_html=False,
                uncurl_quotes=False,
                fix_character_width=False,
                fix_latin_ligatures=False,
                normalization="NFC",
            )
        text = _drop_control(text)
        text = _LINES.sub("\n", _SPACE.sub(" ", text)).strip()
        if text == before:
            break
    return text or None


def by_column(text: str | None, columns: int) -> list[str]:
    r"""Part a text into those of the columns that it was joined from; "" where one has none.

    >>> by_column("Too small\n\nPretty,\nbut tight", 2)
    ['Too small', 'Pretty,\nbut tight']
    >>> by_column("\n\nPretty", 3)
    ['', 'Pretty', '']
    """
    parts = (text or "").split(TEXT_BREAK, columns - 1)
    return parts + [""] * (columns - len(parts))


def in_rows(values: Sequence[T], columns: int) -> list[Sequence[T]]:
    """Put the values of a row together again: ``columns`` of them follow each other.

    >>> in_rows("abcd", 2)
    ['ab', 'cd']
    """
    return [values[i : i + columns] for i in range(0, len(values), columns)]
