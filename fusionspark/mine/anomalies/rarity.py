"""How far out a number, how rare a category or a pair of categories is among the training rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

#: Between the values of a pair, which no value holds.
_SEPARATOR = "\x1f"
#: Stands for null; no value of a category is a lone control character.
_NULL = "\x00"


@dataclass(frozen=True)
class Numbers:
    """Sorted training values of each number, and how many were missing."""

    sorted_values: Mapping[str, Any]
    missing: Mapping[str, int]

    @classmethod
    def fit(cls, columns: Mapping[str, Any], names: Sequence[str]) -> Numbers:
        """Learn from float arrays with NaN for missing."""
        known = {name: np.asarray(columns[name], dtype=np.float64) for name in names}
        return cls(
            {name: np.sort(values[~np.isnan(values)]) for name, values in known.items()},
            {name: int(np.isnan(values).sum()) for name, values in known.items()},
        )

    def tails(self, columns: Mapping[str, Any]) -> Any:
        """For each row and number the two-sided tail probability of its value (rows x numbers).

        As in ECOD (Li et al. 2022, "ECOD: unsupervised outlier detection using empirical cumulative
        distribution functions"): twice the smaller tail, at most 1. For a missing value it is the share of
        missing ones.
        """
        return np.stack([self._tail(name, columns[name]) for name in self.sorted_values], axis=1)

    def _tail(self, name: str, column: Any) -> Any:
        values, known = np.asarray(column, dtype=np.float64), self.sorted_values[name]
        n = len(known)
        below = np.searchsorted(known, values, side="right")
        above = n - np.searchsorted(known, values, side="left")
        tail = np.minimum(1.0, 2.0 * (1.0 + np.minimum(below, above)) / (n + 1.0))
        lost = (1.0 + self.missing[name]) / (n + self.missing[name] + 1.0)
        return np.where(np.isnan(values), lost, tail)

    def excess(self, columns: Mapping[str, Any]) -> Any:
        """How far beyond the training values each number lies, in ranges between their quartiles."""
        found = []
        for name, known in self.sorted_values.items():
            values = np.asarray(columns[name], dtype=np.float64)
            if not len(known):
                found.append(np.zeros(len(values)))
                continue
            low, high = np.quantile(known, [0.25, 0.75])
            spread = (high - low) or (known[-1] - known[0]) or 1.0
            found.append(np.nan_to_num(np.maximum(values - known[-1], known[0] - values).clip(0) / spread))
        return np.stack(found, axis=1)

    def scores(self, columns: Mapping[str, Any]) -> Any:
        """The most surprising number of each row: -log of its tail, and more beyond all training rows."""
        return (-np.log(self.tails(columns)) + np.log1p(self.excess(columns))).max(axis=1)


@dataclass(frozen=True)
class Categories:
    """Training rows of each value and of each pair of values of two columns."""

    names: tuple[str, ...]
    rows: int
    counts: Mapping[str, Mapping[str, int]]

    @classmethod
    def fit(cls, columns: Mapping[str, Any], names: Sequence[str]) -> Categories:
        """Learn from lists with None for null."""
        keys = _keys(columns, names)
        rows = len(columns[names[0]]) if names else 0
        return cls(tuple(names), rows, {name: dict(Counter(values)) for name, values in keys.items()})

    def tails(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        """For each column and pair (names joined by a tab) the probability of a value as rare, or rarer.

        A value that was never seen counts as one seen once. A column of which half the rows have a value of
        their own makes no row rare.
        """
        found = {}
        for name, values in _keys(columns, self.names).items():
            counts = self.counts[name]
            ordered = np.sort(np.fromiter(counts.values(), dtype=np.int64, count=len(counts)))
            cumulated = np.concatenate([[0], np.cumsum(ordered)])
            # A value never seen is as rare as those seen once: of such there are as many to come (Good 1953).
            own = np.array([counts.get(value, 1) for value in values], dtype=np.int64)
            rarer = cumulated[np.searchsorted(ordered, own, side="right")]
            found[name] = (1.0 + rarer) / (self.rows + 1.0)
        return found

    def scores(self, columns: Mapping[str, Any]) -> Any:
        """The rarest value or pair of each row, as -log of its tail."""
        return -np.log(np.stack(list(self.tails(columns).values()), axis=1).min(axis=1))

    def frequencies(self, columns: Mapping[str, Any]) -> Any:
        """Log of the share of the training rows with the same value (rows x columns)."""
        keys = _keys(columns, self.names)
        return np.stack(
            [
                np.log([self.counts[name].get(value, 1) / (self.rows + 1) for value in keys[name]])
                for name in self.names
            ],
            axis=1,
        )


def _keys(columns: Mapping[str, Any], names: Sequence[str]) -> dict[str, list[str]]:
    single = {name: [_NULL if value is None else value for value in columns[name]] for name in names}
    pairs = {
        f"{one}\t{two}": [f"{a}{_SEPARATOR}{b}" for a, b in zip(single[one], single[two], strict=True)]
        for one, two in combinations(names, 2)
    }
    return single | pairs
