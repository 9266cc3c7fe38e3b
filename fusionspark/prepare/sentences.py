"""Sentences of a text, in English and Chinese alike. Pure Python."""

from __future__ import annotations

import re

#: Marks that may end a sentence, with the quotes and brackets that close behind them.
_END = re.compile("[.!?…。！？]+[\"'”’»)\\]）」』】]*|\n+")
_EASTERN = re.compile("[。！？]")
_HAN_NEXT = re.compile("\\s*[\u3400-\u9fff“「『（【]")
_LAST_WORD = re.compile(r"[^\W\d_](?:[\w.]*[^\W_])?$")
#: A full stop behind these is part of the word. (One behind "etc." or "Inc." may end a sentence as well.)
# fmt: off
_ABBREVIATIONS = frozenset([
    "mr", "mrs", "ms", "dr", "prof", "st", "rev", "hon", "gen", "col", "lt", "sgt", "capt", "gov", "sen",
    "rep", "mt", "vs", "fig", "e.g", "i.e", "cf", "approx", "dept",
])
# fmt: on


def split_sentences(text: str) -> list[str]:
    """Sentences without the white space around them; none is empty.

    A Chinese full stop ends one wherever it stands. A Western one does before white space, unless it belongs
    to an initial or an abbreviation or stands before a small letter; "!" and "?" also before a Chinese
    character. A line break ends a sentence, as in reviews without punctuation.

    >>> split_sentences("Dr. Lee paid $3.50 for it. Worth it?! Yes... well, e.g. for J. Doe.")
    ['Dr. Lee paid $3.50 for it.', 'Worth it?!', 'Yes... well, e.g. for J. Doe.']
    >>> split_sentences("很好。“真的吗？”她问!不错")
    ['很好。', '“真的吗？”', '她问!', '不错']
    """
    sentences, start = [], 0
    for mark in _END.finditer(text):
        if _ends(text, mark):
            sentences.append(text[start : mark.end()])
            start = mark.end()
    sentences.append(text[start:])
    return [stripped for sentence in sentences if (stripped := sentence.strip())]


def _ends(text: str, mark: re.Match[str]) -> bool:
    found, after = mark.group(), text[mark.end() : mark.end() + 2]
    if found[0] == "\n" or _EASTERN.search(found) or not after:
        return True
    if _HAN_NEXT.match(after):
        return "." not in found or len(found) > 1
    if not after[0].isspace():
        return False
    if found[0] in ".…":
        if after.strip().islower():
            return False
        word = _LAST_WORD.search(text[max(0, mark.start() - 12) : mark.start()])
        if found == "." and word:
            return word.group().lower() not in _ABBREVIATIONS and not _is_initial(word.group())
    return True


def _is_initial(word: str) -> bool:
    return len(word) == 1 and word.isupper() and word != "I"
