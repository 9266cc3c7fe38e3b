"""Words and word pairs that texts are told apart by. Needs no Spark."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

#: Share of the texts above which a term says nothing of any of them.
MOST_COMMON = 0.4
#: Terms that are looked at, the most frequent ones.
CANDIDATES = 5000
#: Least normalised pointwise mutual information of two words that make a phrase.
BOUND = 0.5
#: A word that occurs in so large a share of its texts inside a kept phrase is not kept beside it.
COVERED = 0.6


#: Words that scikit-learn's list of stop words holds although they carry a text's meaning (Nothman, Qin and
#: Yurchak 2018, "Stop word lists in free open-source software packages").
_MEANT = frozenset(
    {
        "amount", "back", "bill", "bottom", "computer", "cry", "describe", "detail", "empty", "fill", "fire",
        "front", "full", "interest", "mill", "serious", "side", "sincere", "system", "thick", "thin", "top",
    }
)  # fmt: skip


@functools.cache
def _stop_words() -> frozenset[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS) - _MEANT


def terms_of(tokens: Sequence[str]) -> set[str]:
    """Words, and neighbouring words joined by a space, of which none is a stop word, a letter or a number.

    >>> sorted(terms_of(["the", "side", "effects", "of", "2"]))
    ['effects', 'side', 'side effects']
    """
    stop = _stop_words()
    good = [
        word not in stop and not word.isnumeric() and not (len(word) == 1 and word.isascii())
        for word in tokens
    ]
    words = {word for word, kept in zip(tokens, good, strict=True) if kept}
    pairs = zip(tokens, tokens[1:], good, good[1:], strict=False)
    return words | {f"{one} {two}" for one, two, a, b in pairs if a and b and one != two}


def describing_terms(
    texts: Sequence[Sequence[str]], groups: Any, *, least: int, each: int
) -> dict[int, list[str]]:
    """The terms of each group of texts by class-based TF-IDF (Grootendorst 2022, arXiv:2203.05794).

    Counted are texts with a term, not its occurrences. A pair of words is a term where its normalised
    pointwise mutual information (Bouma 2009) is at least `BOUND`.

    Parameters
    ----------
    texts : sequence of word lists
    groups : array of int
        Group of each text; negative: none.
    least : int
        Texts in which a term must occur.
    each : int
        Terms kept for a group, best first.
    """
    from scipy.sparse import csr_matrix

    names: dict[str, int] = {}
    indptr, indices = [0], []
    for words in texts:
        indices += [names.setdefault(term, len(names)) for term in terms_of(words)]
        indptr.append(len(indices))
    groups = np.asarray(groups)
    known = sorted({int(g) for g in groups if g >= 0})
    if not names or not known:
        return {group: [] for group in known}
    found = csr_matrix((np.ones(len(indices)), indices, indptr), shape=(len(texts), len(names)))
    frequency = np.asarray(found.sum(axis=0)).ravel().astype(int)
    kept = [
        (int(frequency[i]), term)
        for term, i in names.items()
        if least <= frequency[i] <= MOST_COMMON * len(texts)
        and _holds_together(term, names, frequency, len(texts))
    ]
    terms = [term for _, term in sorted(kept, key=lambda pair: (-pair[0], pair[1]))[:CANDIDATES]]
    if not terms:
        return {group: [] for group in known}
    columns = found[:, [names[term] for term in terms]]
    counts = np.stack([np.asarray(columns[groups == g].sum(axis=0)).ravel() for g in known])
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rarity = np.log1p(counts.sum() / len(known) / np.maximum(counts.sum(axis=0), 1))
    size = {term: int(frequency[names[term]]) for term in terms}
    return {group: _best(share[i] * rarity, terms, size, each) for i, group in enumerate(known)}


def _holds_together(term: str, names: dict[str, int], frequency: Any, texts: int) -> bool:
    one, _, two = term.partition(" ")
    if not two:
        return True
    pair, a, b = (frequency[names[name]] / texts for name in (term, one, two))
    return bool(pair >= 1 or np.log(pair / (a * b)) / -np.log(pair) >= BOUND)


def _best(weights: Any, terms: Sequence[str], size: dict[str, int], each: int) -> list[str]:
    chosen: list[str] = []
    for i in sorted(range(len(terms)), key=lambda i: (-weights[i], terms[i])):
        term = terms[i]
        if len(chosen) == each or weights[i] <= 0:
            break
        if any(_covers(other, term, size) or _covers(term, other, size) for other in chosen):
            # Of a phrase and a word in it the phrase says more.
            chosen = [term if _covers(term, other, size) else other for other in chosen]
            chosen = list(dict.fromkeys(chosen))
            continue
        chosen.append(term)
    return chosen


def _covers(phrase: str, word: str, size: dict[str, int]) -> bool:
    """Whether ``word`` seldom occurs outside ``phrase``.

    >>> _covers("side effects", "effects", {"side effects": 8, "effects": 10})
    True
    """
    return " " in phrase and word in phrase.split(" ") and size[phrase] >= COVERED * size[word]
