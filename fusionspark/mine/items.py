"""What a row of mixed columns is made of, as items of association rules. Needs no Spark.

A number is the quarter of the rows that it falls into, a category its value, a text its topic and the key
phrases that it mentions, a cluster its number. What the items are is learnt from a sample of rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from fusionspark.mine.phrases import describing_terms, terms_of
from fusionspark.mine.rules import TABLE, TEXT

#: Values of a category that are items, the most frequent ones.
MOST_VALUES = 30
#: Key phrases looked for in each topic; three of them name it.
PHRASES_EACH, NAMING = 12, 3
#: Share of the rows above which an item says nothing: rules to it are true of nearly every row.
TOO_COMMON = 0.9


@dataclass(frozen=True)
class ItemModel:
    """The items that rows may have.

    ``numbers`` holds for each column its upper bin edges, or the values where there are few; ``categories``
    the values of each column; ``centres`` one unit vector a topic (topics x width), named by ``topics``;
    ``left_out`` the items that nearly every row has.
    """

    numbers: Mapping[str, tuple[tuple[float, ...], bool]] = field(default_factory=dict)
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    phrases: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    centres: Any = None
    left_out: frozenset[str] = frozenset()

    def kind_of(self, item: str) -> str:
        """`TEXT` for topics and phrases, "" for clusters (made from both), `TABLE` for all others."""
        if item.startswith(("text: ", "topic: ")):
            return TEXT
        return "" if item.startswith("cluster ") else TABLE


def learn_items(
    sample: Mapping[str, Any],
    *,
    numeric: Sequence[str],
    categorical: Sequence[str],
    tokens: str | None,
    embedding: str | None,
    bins: int,
    topics: int,
    phrases: int,
    least: int,
    seed: int,
) -> ItemModel:
    """Learn the items from a sample.

    Parameters
    ----------
    sample : mapping
        A column by its name: numbers as float arrays with NaN for missing, categories as lists with None,
        ``tokens`` as lists of words, ``embedding`` as one float array (rows x width) with NaN for none.
    bins : int
        Quantile bins of a number; one with no more values than that gives an item a value.
    topics : int
        Spherical k-means clusters of the texts (Dhillon and Modha 2001).
    phrases : int
        Key phrases in all, taken from the topics in turn.
    least : int
        Rows of the sample that a value or phrase must have.
    """
    numbers = {name: _edges(np.asarray(sample[name], dtype=float), bins) for name in numeric}
    categories = {name: _frequent(sample[name], least) for name in categorical}
    if tokens is None or embedding is None:
        return _without_common(ItemModel(numbers, categories), sample)
    vectors = np.asarray(sample[embedding], dtype=np.float64)
    there = np.flatnonzero(np.isfinite(vectors).all(axis=1) & (vectors.shape[1] > 0))
    groups = np.full(len(vectors), -1)
    centres = np.zeros((0, vectors.shape[1]))
    if topics and len(there) >= 2 * topics:
        centres = _topic_centres(unit(vectors[there]), topics, seed)
        groups[there] = nearest_topic(vectors[there], centres)
    elif len(there):
        groups[there] = 0
    described = describing_terms(sample[tokens], groups, least=least, each=PHRASES_EACH)
    ranked = [terms[i] for i in range(PHRASES_EACH) for terms in described.values() if i < len(terms)]
    names = ["topic: " + ", ".join(described.get(i, [])[:NAMING]) for i in range(len(centres))]
    model = ItemModel(numbers, categories, tuple(dict.fromkeys(ranked))[:phrases], _unlike(names), centres)
    return _without_common(model, sample, tokens=tokens, embedding=embedding)


def _without_common(model: ItemModel, sample: Mapping[str, Any], **parts: Any) -> ItemModel:
    found = items_of(sample, model, **parts)
    counts = Counter(item for items in found for item in items)
    common = {item for item, rows in counts.items() if rows > TOO_COMMON * len(found)}
    return replace(model, left_out=frozenset(common))


def items_of(
    columns: Mapping[str, Any],
    model: ItemModel,
    *,
    tokens: str | None = None,
    embedding: str | None = None,
    cluster: str | None = None,
) -> list[list[str]]:
    """The items of each row; columns as `learn_items` takes them, ``cluster`` as integers."""
    found: list[list[str]] = [[] for _ in range(len(next(iter(columns.values()))))]
    for name, (edges, exact) in model.numbers.items():
        _add_number(found, np.asarray(columns[name], dtype=float), name, edges, exact=exact)
    for name, known in model.categories.items():
        kept = frozenset(known)
        for items, value in zip(found, columns[name], strict=True):
            if value is None or value in kept:
                items.append(f"{name} is missing" if value is None else f"{name} = {value}")
    if tokens is not None and model.phrases:
        wanted = frozenset(model.phrases)
        for items, words in zip(found, columns[tokens], strict=True):
            items += [f"text: {phrase}" for phrase in sorted(wanted & terms_of(words or []))]
    if embedding is not None and model.topics:
        vectors = np.asarray(columns[embedding], dtype=np.float64)
        there = np.flatnonzero(np.isfinite(vectors).all(axis=1) & (vectors.shape[1] > 0))
        for i, topic in zip(there, nearest_topic(vectors[there], model.centres), strict=True):
            found[i].append(model.topics[topic])
    if cluster is not None:
        for items, number in zip(found, columns[cluster], strict=True):
            items.append(f"cluster {number}")
    if model.left_out:
        return [[item for item in items if item not in model.left_out] for items in found]
    return found


def _add_number(
    found: list[list[str]], values: Any, name: str, edges: Sequence[float], *, exact: bool
) -> None:
    labels = number_items(name, edges, exact=exact)
    bins = np.searchsorted(np.asarray(edges), values, side="left").tolist()
    for items, value, at in zip(found, values.tolist(), bins, strict=True):
        if np.isnan(value):
            items.append(f"{name} is missing")
        elif not exact or (at < len(edges) and edges[at] == value):
            items.append(labels[at])


def number_items(name: str, edges: Sequence[float], *, exact: bool) -> list[str]:
    """Readable names of the bins of a number.

    >>> number_items("age", (34.0, 52.5), exact=False)
    ['age ≤ 34', '34 < age ≤ 52.5', 'age > 52.5']
    >>> number_items("stars", (1.0, 2.0), exact=True)
    ['stars = 1', 'stars = 2']
    """
    shown = [f"{int(e)}" if e == int(e) and abs(e) < 1e15 else f"{e:.6g}" for e in edges]
    if exact or not shown:
        return [f"{name} = {value}" for value in shown] or [f"{name} is a number"]
    between = [f"{low} < {name} ≤ {high}" for low, high in pairwise(shown)]
    return [f"{name} ≤ {shown[0]}", *between, f"{name} > {shown[-1]}"]


def unit(vectors: Any) -> Any:
    """Rows of length 1; zeros stay."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1.0)


def nearest_topic(vectors: Any, centres: Any) -> Any:
    """Number of the topic whose centre is nearest by angle."""
    return np.argmax(unit(vectors) @ np.asarray(centres).T, axis=1)


def _edges(values: Any, bins: int) -> tuple[tuple[float, ...], bool]:
    there = values[np.isfinite(values)]
    distinct = np.unique(there)
    if len(distinct) <= bins:
        return tuple(float(v) for v in distinct), True
    # Values of the table itself, so that an edge reads as something the reader has seen.
    shares = np.arange(1, bins) / bins
    edges = np.unique(np.quantile(there, shares, method="inverted_cdf"))
    return tuple(float(e) for e in edges if e < distinct[-1]) or (float(distinct[0]),), False


def _frequent(values: Sequence[str | None], least: int) -> tuple[str, ...]:
    counts: dict[str, int] = {}
    for value in values:
        if value is not None:
            counts[value] = counts.get(value, 0) + 1
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(value for value, rows in ranked[:MOST_VALUES] if rows >= least)


def _topic_centres(vectors: Any, topics: int, seed: int) -> Any:
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    # One thread: sums in another order would move a text that lies between two topics.
    with threadpool_limits(1):
        fitted = KMeans(topics, n_init=1, max_iter=50, random_state=seed).fit(vectors)
    centres = unit(fitted.cluster_centers_)
    # In an order of their own, largest first: k-means numbers them by chance.
    sizes = np.bincount(fitted.labels_, minlength=topics)
    return centres[np.argsort(-sizes, kind="stable")]


def _unlike(names: Sequence[str]) -> tuple[str, ...]:
    """Tell topics of one name apart by a number."""
    seen: dict[str, int] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(out)
