"""Words and word pairs that texts are told apart by. Needs no Spark."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

#: A term says something of a group where the share of its texts with it is so many times that of the others.
DISTINCT = 1.5
#: Terms that are looked at, the most frequent ones.
CANDIDATES = 5000
#: Least normalised pointwise mutual information of two words that make a phrase.
BOUND = 0.5
#: First letters of jieba's tags of words with a content: adjectives, idioms and phrases, abbreviations, nouns
#: of things, places and times, verbs, and what it has no class for. And its tag of 很 and the like.
_CONTENT, _DEGREE = frozenset("abgijlnstvxz"), "zg"
_HAN = re.compile("[\u3400-\u9fff]")
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


@functools.cache
def _function_words() -> frozenset[str]:
    """Chinese words that jieba's dictionary tags as no noun, verb, adjective, idiom or abbreviation."""
    try:
        import jieba
    except ImportError:
        # Without it nothing was segmented: what stands between spaces is no word of its dictionary.
        return frozenset()
    found = set()
    with jieba.Tokenizer().get_dict_file() as lines:
        for line in lines:
            word, _, tag = line.decode("utf-8").split()
            if tag == _DEGREE or tag[0] not in _CONTENT:
                found.add(word)
    return frozenset(found)


def _bears_meaning(word: str, stop: frozenset[str]) -> bool:
    if word in stop or word.isnumeric():
        return False
    if word.isascii():
        return len(word) > 1
    return _HAN.match(word) is None or word not in _function_words()


def terms_of(tokens: Sequence[str]) -> set[str]:
    """Words, and neighbouring words joined by a space, of which none is a stop word, a letter or a number.

    Stop words are scikit-learn's for English, and for Chinese what jieba's dictionary, by which texts are
    segmented, tags as a function word or an adverb.

    >>> sorted(terms_of(["the", "side", "effects", "of", "2"]))
    ['effects', 'side', 'side effects']
    """
    stop = _stop_words()
    good = [_bears_meaning(word, stop) for word in tokens]
    words = {word for word, kept in zip(tokens, good, strict=True) if kept}
    pairs = zip(tokens, tokens[1:], good, good[1:], strict=False)
    return words | {f"{one} {two}" for one, two, a, b in pairs if a and b and one != two}


@dataclass(frozen=True)
class TermWeights:
    """How well each term tells a group of texts from the others.

    ``weights`` is groups x terms; ``found`` the sparse matrix texts x terms of ones; ``size`` the texts of
    each term.
    """

    groups: list[int]
    terms: list[str]
    weights: Any
    found: Any
    size: dict[str, int]


def term_weights(texts: Sequence[Sequence[str]], groups: Any, *, least: int) -> TermWeights:
    """Weigh terms by class-based TF-IDF (Grootendorst 2022, arXiv:2203.05794).

    Counted are texts with a term, not its occurrences. A pair of words is a term where its normalised
    pointwise mutual information (Bouma 2009) is at least `BOUND`. Of a group to whose texts a term belongs
    hardly more than to others (`DISTINCT`) it says nothing: class-based TF-IDF alone leaves words that are
    frequent everywhere, which no list of stop words of a language is ever complete enough for.

    Parameters
    ----------
    texts : sequence of word lists
        Of any language, as a segmentation left them.
    groups : array of int
        Group of each text; negative: none.
    least : int
        Texts in which a term must occur.
    """
    from scipy.sparse import csr_matrix

    names: dict[str, int] = {}
    indptr, indices = [0], []
    for words in texts:
        # In an order of their own: a set's changes from process to process.
        indices += [names.setdefault(term, len(names)) for term in sorted(terms_of(words))]
        indptr.append(len(indices))
    groups = np.asarray(groups)
    known = sorted({int(g) for g in groups if g >= 0})
    found = csr_matrix((np.ones(len(indices)), indices, indptr), shape=(len(texts), len(names)))
    frequency = np.asarray(found.sum(axis=0)).ravel().astype(int)
    kept = [
        (int(frequency[i]), term)
        for term, i in names.items()
        if least <= frequency[i] and _holds_together(term, names, frequency, len(texts))
    ]
    terms = [term for _, term in sorted(kept, key=lambda pair: (-pair[0], pair[1]))[:CANDIDATES]]
    columns = found[:, [names[term] for term in terms]]
    size = {term: int(frequency[names[term]]) for term in terms}
    if not terms or not known:
        return TermWeights(known, terms, np.zeros((len(known), len(terms))), columns, size)
    counts = np.stack([np.asarray(columns[groups == g].sum(axis=0)).ravel() for g in known])
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rarity = np.log1p(counts.sum() / len(known) / np.maximum(counts.sum(axis=0), 1))
    inside = np.array([(groups == g).sum() for g in known])[:, None]
    outside = len(texts) - inside
    elsewhere = np.asarray(columns.sum(axis=0)).ravel() - counts
    # Without any other text there is nothing to tell from.
    distinct = (counts / inside >= DISTINCT * elsewhere / np.maximum(outside, 1)) | (outside == 0)
    return TermWeights(known, terms, share * rarity * distinct, columns, size)


def describing_terms(
    texts: Sequence[Sequence[str]], groups: Any, *, least: int, each: int
) -> dict[int, list[str]]:
    """The terms of each group, at most ``each``, best first; arguments as of `term_weights`."""
    return best_terms(term_weights(texts, groups, least=least), each)


def best_terms(found: TermWeights, each: int) -> dict[int, list[str]]:
    """The heaviest terms of each group; of a phrase and a word that it covers, the phrase."""
    return {
        group: _best(found.weights[i], found.terms, found.size, each) for i, group in enumerate(found.groups)
    }


def likeness(found: TermWeights, groups: Any) -> Any:
    """Cosine of the terms of each text with the weights of its group; 0 without a group or a term."""
    groups = np.asarray(groups)
    like = np.zeros(len(groups))
    lengths = np.sqrt(np.asarray(found.found.sum(axis=1)).ravel())
    for i, group in enumerate(found.groups):
        rows, norm = np.flatnonzero(groups == group), float(np.linalg.norm(found.weights[i]))
        if norm:
            like[rows] = (found.found[rows] @ found.weights[i]) / (np.maximum(lengths[rows], 1) * norm)
    return like


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
