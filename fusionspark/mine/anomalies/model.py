"""All detectors together: one calibrated score a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusionspark.mine.anomalies.belonging import Belonging
from fusionspark.mine.anomalies.forest import Forest
from fusionspark.mine.anomalies.peers import Peers
from fusionspark.mine.anomalies.rarity import Categories, Numbers

#: Names of the detectors; also the keys of the column ``parts``.
FOREST, DISTANCE, NUMBERS, CATEGORIES, UNLIKE, ELSEWHERE = DETECTORS = (
    "isolation_forest", "cluster_distance", "numbers", "categories", "text_unlike_peers", "text_elsewhere",
)  # fmt: skip
#: Share of each detector in the error that all make together. What looks at all parts of a row at once is
#: seldom the first to see anything, and gets little. One part by itself can be odder than that of any other
#: row, so that its detector pays little for a small share; how badly a text fits another row's columns has no
#: such extreme, and would pay most.
SHARES = {FOREST: 0.05, DISTANCE: 0.05, NUMBERS: 0.125, CATEGORIES: 0.125, UNLIKE: 0.15, ELSEWHERE: 0.5}
#: Principal components of the text that the isolation forest sees.
TEXT_COMPONENTS = 8


@dataclass(frozen=True)
class Scored:
    """What the detectors say of rows.

    ``parts`` holds a p-value a detector (NaN where it has nothing to say), ``statistic`` the corrected
    smallest of them by their shares, ``p`` the calibrated p-value of that; ``level`` as from `Peers.scores`
    and ``other`` as from `Belonging.scores`.
    """

    parts: Mapping[str, Any]
    p: Any
    statistic: Any
    level: Any
    other: Any


@dataclass(frozen=True)
class AnomalyModel:
    """Detectors fitted on training rows, and what their scores were there.

    The score of each detector becomes an empirical p-value: the share of training rows that score as high.
    The smallest p-value of a row, as a row that is odd in one way must be found (Tippett 1931), each over the
    share of its detector (weighted p-values: Genovese, Roeder and Wasserman 2006) and corrected for how many
    there are (Sidak 1967), is its statistic. How small that is, is again counted against the training rows,
    so that the joint p-value is calibrated however the detectors depend on each other.
    """

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    numbers: Numbers | None
    categories: Categories | None
    peers: Peers | None
    belonging: Belonging | None
    forest: Forest | None
    #: Mean of the text vectors and directions of their principal components (width x components).
    text_mean: Any
    text_axes: Any
    #: Median distance of the training rows of each cluster.
    spread: Mapping[int, float]
    #: Sorted scores of the training rows, by detector; and their sorted statistics.
    known: Mapping[str, Any]
    joint: Any
    #: Sorted ids of the training rows, which leave-one-out asks for.
    ids: Any

    @classmethod
    def fit(
        cls,
        columns: Mapping[str, Any],
        *,
        numeric: Sequence[str],
        categorical: Sequence[str],
        trees: int = 100,
        least_peers: int = 20,
        seed: int = 42,
    ) -> AnomalyModel:
        """Learn from training rows.

        Parameters
        ----------
        columns : mapping
            ``numeric`` as float arrays with NaN for missing, ``categorical`` as lists with None,
            ``cluster`` as integers, ``distance`` to its centre as floats, ``id`` as int64, and ``vectors``
            (rows x width, NaN where there is no text; width 0 without any).
        """
        vectors = np.asarray(columns["vectors"], dtype=np.float64)
        mean, axes = _principal(vectors)
        clusters, distances = np.asarray(columns["cluster"]), np.asarray(columns["distance"], dtype=float)
        spread = {int(c): float(np.median(distances[clusters == c])) for c in np.unique(clusters)}
        bare = cls(
            tuple(numeric),
            tuple(categorical),
            Numbers.fit(columns, numeric) if numeric else None,
            Categories.fit(columns, categorical) if categorical else None,
            Peers.fit(vectors, columns, categorical, least=least_peers),
            Belonging.fit(vectors, columns, categorical, least=least_peers),
            None,
            mean,
            axes,
            spread,
            {},
            np.zeros(0),
            np.sort(np.asarray(columns["id"], dtype=np.int64)),
        )
        matrix = bare.matrix(columns)
        forest = Forest.fit(matrix, trees=trees, seed=seed) if matrix.shape[1] else None
        with_forest = cls(**{**bare.__dict__, "forest": forest})
        raw, _, _ = with_forest.raw_scores(columns)
        known = {name: np.sort(scores[~np.isnan(scores)]) for name, scores in raw.items()}
        calibrated = cls(**{**with_forest.__dict__, "known": known})
        joint = np.sort(smallest(calibrated.p_values(raw)))
        return cls(**{**calibrated.__dict__, "joint": joint})

    def matrix(self, columns: Mapping[str, Any]) -> Any:
        """What the isolation forest sees of a row (rows x features).

        Not the fused vector as it is: of its thousands of features nearly all are words, among which a tree
        would hardly ever ask for one of three numbers. Here each number counts once, each category by the
        logarithm of its frequency, the text by its first principal components.
        """
        parts = [np.zeros((len(columns["id"]), 0))]
        if self.numbers:
            for name, known in self.numbers.sorted_values.items():
                values = np.asarray(columns[name], dtype=np.float64)
                middle = float(np.median(known)) if len(known) else 0.0
                parts.append(np.where(np.isnan(values), middle, values)[:, None])
        if self.categories:
            parts.append(self.categories.frequencies(columns))
        if self.text_axes.shape[1]:
            vectors = self._vectors(columns)
            parts.append(np.nan_to_num((vectors - self.text_mean) @ self.text_axes))
        return np.concatenate(parts, axis=1)

    def raw_scores(self, columns: Mapping[str, Any]) -> tuple[dict[str, Any], Any, Any]:
        """Score of each detector (higher: odder; NaN: nothing to say); ``level``, ``other`` of `Scored`."""
        rows = len(columns["id"])
        found: dict[str, Any] = {}
        if self.forest:
            found[FOREST] = self.forest.scores(self.matrix(columns))
        middle = np.array([self.spread.get(int(cluster), np.nan) for cluster in columns["cluster"]])
        with np.errstate(divide="ignore", invalid="ignore"):
            found[DISTANCE] = np.where(middle > 0, np.asarray(columns["distance"]) / middle, np.nan)
        if self.numbers:
            found[NUMBERS] = self.numbers.scores(columns)
        if self.categories:
            found[CATEGORIES] = self.categories.scores(columns)
        level, other = np.full(rows, -1), np.full(rows, None, dtype=object)
        if self.peers:
            learnt = np.isin(np.asarray(columns["id"], dtype=np.int64), self.ids)
            found[UNLIKE], level = self.peers.scores(self._vectors(columns), columns, learnt)
        if self.belonging:
            found[ELSEWHERE], other = self.belonging.scores(self._vectors(columns), columns)
        # To the precision at which the order of a sum, and so the size of a batch, has no say.
        return {name: scores.astype(np.float32) for name, scores in found.items()}, level, other

    def _vectors(self, columns: Mapping[str, Any]) -> Any:
        vectors = np.asarray(columns["vectors"], dtype=np.float64)
        # Rows none of which has a text come without a width.
        return vectors if vectors.shape[1] else np.full((len(vectors), len(self.text_mean)), np.nan)

    def p_values(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Share of the training rows that score as high; a detector that knew none says nothing."""
        return {name: _tail(self.known[name], scores) for name, scores in raw.items()}

    def score(self, columns: Mapping[str, Any]) -> Scored:
        """Score rows; columns as in `fit`. The result does not depend on which rows are scored together."""
        raw, level, other = self.raw_scores(columns)
        parts = self.p_values(raw)
        statistic = smallest(parts)
        # The smaller the statistic, the odder: the tail is counted from the other end.
        p = (1.0 + np.searchsorted(self.joint, statistic, side="right")) / (len(self.joint) + 1.0)
        return Scored(parts, np.minimum(p, 1.0), statistic, level, other)


def smallest(parts: Mapping[str, Any]) -> Any:
    """Smallest p-value of each row over the share of its detector, corrected for all that have one.

    NaN is left out, and the others share what it had; 1 where there are none. For independent detectors it is
    the probability that any is as small by its share.

    >>> nan = float("nan")
    >>> found = smallest({NUMBERS: [0.01, 1.0, nan], CATEGORIES: [1.0, nan, nan]})
    >>> found.round(4).tolist()
    [0.0199, 1.0, 1.0]
    """
    p = np.array([np.asarray(one, dtype=np.float64) for one in parts.values()])
    shares = np.where(np.isnan(p), 0.0, np.array([SHARES[name] for name in parts])[:, None])
    shares = shares / np.maximum(shares.sum(axis=0), 1e-300)
    with np.errstate(divide="ignore", invalid="ignore"):
        least = np.where(np.isnan(p), np.inf, p / shares).min(axis=0)
    # Product of what is left of 1; as it stands, it would lose what is below 1e-16.
    limits = np.minimum(np.where(np.isinf(least), 0.0, least) * shares, 1 - 1e-16)
    found = -np.expm1(np.log1p(-limits).sum(axis=0))
    return np.where((np.nan_to_num(p, nan=1.0) < 1).any(axis=0), found, 1.0)


def _tail(known: Any, scores: Any) -> Any:
    above = len(known) - np.searchsorted(known, scores, side="left")
    # Without a score in training nothing can be compared.
    silent = np.isnan(scores) | (len(known) == 0)
    return np.where(silent, np.nan, (1.0 + above) / (len(known) + 1.0))


def _principal(vectors: Any) -> tuple[Any, Any]:
    """Mean and first principal axes of the rows that have a vector, each axis with a sign of its own."""
    known = vectors[np.isfinite(vectors).all(axis=1)] if vectors.shape[1] else vectors[:0]
    if len(known) < 2:
        return np.zeros(vectors.shape[1]), np.zeros((vectors.shape[1], 0))
    mean = known.mean(axis=0)
    values, axes = np.linalg.eigh(np.cov(known.T, ddof=0).reshape(known.shape[1], -1))
    kept = axes[:, ::-1][:, : min(TEXT_COMPONENTS, int((values > 1e-12).sum()))]
    signs = np.sign(kept[np.abs(kept).argmax(axis=0), range(kept.shape[1])])
    return mean, kept * signs
