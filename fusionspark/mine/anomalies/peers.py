"""Texts against those of rows with the same categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Name of the level at which all rows are peers.
ALL = ""


@dataclass(frozen=True)
class Level:
    """Groups of rows by the values of ``names``: their rows and whitened mean vectors (groups x width)."""

    names: tuple[str, ...]
    groups: Mapping[str, int]
    rows: Any
    means: Any


@dataclass(frozen=True)
class Peers:
    """Mean vectors of the training rows with the same categories, where texts of a group spread evenly.

    The space divides by the covariance within the groups (Ledoit and Wolf 2004, shrunk so that it can be
    inverted with few rows), so that a distance counts in units of how much texts of peers differ. ``levels``
    go from all categories at once, over each alone, to none.
    """

    centre: Any
    whiten: Any
    #: Rows behind the covariance, and the share that they have in it beside the shrinkage.
    rows: int
    weight: float
    levels: tuple[Level, ...]

    @classmethod
    def fit(
        cls, vectors: Any, columns: Mapping[str, Any], names: Sequence[str], *, least: int
    ) -> Peers | None:
        """Learn from the rows that have a vector; None where there are fewer than ``least``.

        Parameters
        ----------
        vectors : array (rows, width), NaN where a row has none
        columns : lists of values of each of ``names``
        least : int
            Rows of a group; smaller ones fall back to a level with fewer categories.
        """
        from sklearn.covariance import LedoitWolf

        there = with_vector(vectors)
        if len(there) < max(least, 3):
            return None
        known = np.asarray(vectors, dtype=np.float64)[there]
        centre = known.mean(axis=0)
        known = known - centre
        chosen = {name: [columns[name][i] for i in there] for name in names}
        sets = [tuple(names)] if len(names) > 1 else []
        sets += [(name,) for name in names] + [()]
        groups = [_groups(chosen, by, len(known), least) for by in sets]
        inside = known.copy()
        # Each row less the mean of its closest peers.
        pending = np.ones(len(known), dtype=bool)
        for numbers, index in groups:
            means = _means(known, numbers, len(index))
            here = pending & (numbers >= 0)
            inside[here] -= means[numbers[here]]
            pending &= ~here
        shrunk = LedoitWolf(assume_centered=True).fit(inside)
        whiten = np.linalg.cholesky(shrunk.get_precision())
        white = known @ whiten
        levels = []
        for by, (numbers, index) in zip(sets, groups, strict=True):
            rows = np.bincount(numbers[numbers >= 0], minlength=len(index))
            levels.append(Level(by, index, rows, _means(white, numbers, len(index))))
        return cls(centre, whiten, len(known), 1.0 - float(shrunk.shrinkage_), tuple(levels))

    def scores(self, vectors: Any, columns: Mapping[str, Any], learnt: Any) -> tuple[Any, Any]:
        """How unlike its peers each text is.

        Parameters
        ----------
        learnt : array of bool
            Rows that `fit` saw: they are left out of the mean of their own group and of the covariance
            (leave-one-out), or they would look more at home than any new row.

        Returns
        -------
        unlike : array
            Distance to the mean of the closest peers, squared over the width; NaN without a vector.
        level : array of int
            Level of the closest peers.
        """
        rows = len(vectors)
        unlike, closest = np.full(rows, np.nan), np.full(rows, -1)
        there = with_vector(vectors)
        if not len(there):
            return unlike, closest
        white = (np.asarray(vectors, dtype=np.float64)[there] - self.centre) @ self.whiten
        width, own_rows = white.shape[1], np.asarray(learnt)[there]
        groups = [self._group(level, columns, there) for level in self.levels]
        inside, left_out = self._left_out(white, groups, own_rows)
        for i, (level, group) in enumerate(zip(self.levels, groups, strict=True)):
            first = np.flatnonzero((group >= 0) & (closest[there] < 0))
            if not len(first):
                continue
            apart = white[first] - level.means[group[first]]
            distance = (apart**2).sum(axis=1)
            distance += left_out[first] * (apart * inside[first]).sum(axis=1) ** 2
            n = level.rows[group[first]].astype(np.float64)
            # Without a row the mean of its n peers lies n / (n - 1) times as far from it.
            mine = own_rows[first]
            n[mine] -= 1.0
            distance[mine] *= ((n[mine] + 1.0) / n[mine]) ** 2
            # A mean of n rows is itself off by a n-th of their spread.
            unlike[there[first]] = distance / (1.0 + 1.0 / n) / width
            closest[there[first]] = i
        return unlike, closest

    @staticmethod
    def _group(level: Level, columns: Mapping[str, Any], there: Any) -> Any:
        return np.array([level.groups.get(key, -1) for key in _keys(columns, level.names, there)])

    def _left_out(self, white: Any, groups: Any, learnt: Any) -> tuple[Any, Any]:
        """What a row put into the covariance, and by how much distances along it grow without that.

        The inverse of a covariance less one row is known from the inverse of the whole one (Sherman and
        Morrison 1950); how much it is shrunk stays as it was.
        """
        inside, pending = white.copy(), np.ones(len(white), dtype=bool)
        for level, group in zip(self.levels, groups, strict=True):
            here = pending & (group >= 0)
            inside[here] -= level.means[group[here]]
            pending &= ~here
        share = self.weight * (inside**2).sum(axis=1) / self.rows
        # Only rounding brings the share to 1 or above.
        left_out = self.weight / self.rows / np.maximum(1.0 - share, 1e-6)
        return inside, np.where(learnt, left_out, 0.0)


def with_vector(vectors: Any) -> Any:
    """Numbers of the rows that have a vector; a matrix without a width has none."""
    return np.flatnonzero(np.isfinite(vectors).all(axis=1)) if vectors.shape[1] else np.array([], int)


def _keys(columns: Mapping[str, Any], names: Sequence[str], rows: Any) -> list[str]:
    parts = [[columns[name][i] for i in rows] for name in names]
    if not parts:
        return [ALL] * len(rows)
    named = [["\x00" if value is None else value for value in part] for part in parts]
    return ["\x1f".join(values) for values in zip(*named, strict=True)]


def _groups(
    columns: Mapping[str, Any], names: Sequence[str], rows: int, least: int
) -> tuple[Any, dict[str, int]]:
    keys = _keys(columns, names, range(rows))
    counts: dict[str, int] = {}
    for key in keys:
        counts[key] = counts.get(key, 0) + 1
    index = {key: i for i, key in enumerate(sorted(k for k, n in counts.items() if n >= max(2, least)))}
    return np.array([index.get(key, -1) for key in keys]), index


def _means(vectors: Any, numbers: Any, groups: int) -> Any:
    from scipy.sparse import csr_matrix

    here = np.flatnonzero(numbers >= 0)
    shape = (groups, len(vectors))
    member = csr_matrix((np.ones(len(here)), (numbers[here], here)), shape=shape)
    sizes = np.bincount(numbers[here], minlength=groups)
    return (member @ vectors) / np.maximum(sizes, 1)[:, None]
