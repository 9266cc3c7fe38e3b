"""Words of a text, for TF-IDF and for naming clusters. Pure Python."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable
from typing import Any

from fusionspark.errors import MissingExtraError

_ENGLISH = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def english_words(text: str) -> list[str]:
    """Lower-case words; an apostrophe inside a word stays, underscores part words.

    >>> english_words("Don't buy_it, 2 left!")
    ["don't", 'buy', 'it', '2', 'left']
    """
    return [word.replace("’", "'") for word in _ENGLISH.findall(text.lower())]


@functools.cache
def chinese_tokenizer() -> Any:
    """jieba's tokenizer with its dictionary, loaded once a process.

    Raises
    ------
    MissingExtraError
        jieba is not installed.
    """
    try:
        import jieba
    except ImportError as error:
        raise MissingExtraError("jieba", "zh", "word segmentation of Chinese") from error
    import logging

    # It would print to stderr from every worker that it builds its dictionary.
    jieba.setLogLevel(logging.WARNING)
    tokenizer = jieba.Tokenizer()
    tokenizer.initialize()
    return tokenizer


def chinese_words(text: str) -> list[str]:
    """Segmented words, lower-cased, without punctuation and white space."""
    words = (word.strip().lower() for word in chinese_tokenizer().lcut(text))
    return [word for word in words if word and any(unicodedata.category(c)[0] in "LN" for c in word)]


#: Language code -> segmentation.
SEGMENTERS: dict[str, Callable[[str], list[str]]] = {"en": english_words, "zh": chinese_words}
