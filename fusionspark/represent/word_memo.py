"""Token ids of words that were seen before, for tokenizers that never look across a space.

WordPiece with BERT's own rules splits at white space first, so the ids of a text are those of its words, one
after the other. Words repeat: a dictionary answers most of them, several times faster than the
tokenizer does. The tokenizer itself still decides about every word, once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fusionspark.represent.batching import IntArray

Tokenize = Callable[[Sequence[str]], list[IntArray]]

#: Words kept; about 100 bytes each.
_CAPACITY = 1 << 16

#: Texts whose words lie in memory together.
_CHUNK = 1024

#: Longest word worth keeping, in characters: links and text without spaces seldom come twice.
_LONGEST = 32


class WordMemo:
    """A tokenizer that asks ``tokenize`` about each word once.

    Parameters
    ----------
    tokenize : callable
        From texts to the ids of each; `sees_words_alone` must hold for it.
    """

    def __init__(self, tokenize: Tokenize) -> None:
        self.tokenize = tokenize
        self._known: dict[str, bytes] = {}

    def __call__(self, texts: Sequence[str]) -> list[IntArray]:
        """Ids of each text."""
        out: list[IntArray] = []
        for start in range(0, len(texts), _CHUNK):
            out.extend(self._chunk(texts[start : start + _CHUNK]))
        return out

    def _chunk(self, texts: Sequence[str]) -> list[IntArray]:
        # At the space alone: other white space stays inside a word, and the tokenizer knows it better.
        rows = [text.split(" ") for text in texts]
        words = set().union(*rows)
        known = self._known
        new = list(words.difference(known))
        if len(known) + len(new) > _CAPACITY:
            # Frequent words are back after one window.
            known, new = {}, list(words)
        known.update(zip(new, (ids.tobytes() for ids in self.tokenize(new)), strict=True))
        find = known.__getitem__
        out = [np.frombuffer(b"".join(map(find, row)), dtype=np.int32) for row in rows]
        for word in new:
            if len(word) > _LONGEST:
                del known[word]
        self._known = known
        return out


def remember_words(tokenize: Tokenize, tokenizer: Any) -> Tokenize:
    """``tokenize`` with a memory for words where that changes no id.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
        What lies behind ``tokenize``.
    """
    return WordMemo(tokenize) if sees_words_alone(tokenizer) else tokenize


def sees_words_alone(tokenizer: Any) -> bool:
    """Whether the ids of a text are those of its parts between spaces, for a `tokenizers.Tokenizer`.

    So it is where BERT's rules or white space cut words before the model sees them, unless a token was
    added that holds a space itself.
    """
    rules = json.loads(tokenizer.to_str())
    normalizer = (rules.get("normalizer") or {"type": None})["type"]
    cutter = (rules.get("pre_tokenizer") or {"type": None})["type"]
    added = [token["content"] for token in rules.get("added_tokens") or []]
    return (
        normalizer in {None, "BertNormalizer", "Lowercase"}
        and cutter in {"BertPreTokenizer", "Whitespace", "WhitespaceSplit"}
        and rules["model"].get("type") in {"WordPiece", "WordLevel"}
        and not any(" " in content for content in added)
    )
