"""Which of tonight's clusters are those of the last run, and what became of the others. Needs no Spark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Least likeness of two clusters that are one: of sets of one size, half the rows in common (Jaccard 1/3).
SAME_ROWS = 1 / 3
#: The same for the cosine of centred mean embeddings.
SAME_WORDS = 0.5
#: Share of a cluster's rows above which they are most of it.
MOST = 0.5


@dataclass(frozen=True)
class Identity:
    """Ids of the new clusters, and what became of the old ones.

    ``ids`` are in the order of the new clusters, ``kept`` those of them that an old cluster had. ``merged``
    (``{into, of, rows}``) are new clusters that got most rows of several old ones, ``split``
    (``{of, into, rows}``) old ones that most rows of several new ones come from; as in MONIC (Spiliopoulou
    et al. 2006). ``moved`` counts rows of both runs that are in a cluster of another id, ``stability`` is the
    adjusted Rand index (Hubert and Arabie 1985) of those rows; None where there are none.
    """

    ids: list[int]
    kept: list[int]
    born: list[int]
    died: list[int]
    merged: list[dict[str, Any]]
    split: list[dict[str, Any]]
    moved: int
    shared: int
    stability: float | None
    next_id: int


def identify(shared: Any, old_ids: Sequence[int], next_id: int, likeness: Any = None) -> Identity:
    """Match new clusters to old ones by optimal assignment.

    Parameters
    ----------
    shared : (old, new) array of int
        Rows of both runs by their old and new cluster.
    old_ids : sequence of int
        Ids of the old clusters.
    next_id : int
        First id that no cluster ever had.
    likeness : (old, new) array, optional
        Likeness of the clusters where the runs share too few rows: -1 to 1, one from `SAME_WORDS` on.
    """
    from scipy.optimize import linear_sum_assignment

    shared = np.asarray(shared, dtype=np.int64)
    old, new = shared.shape
    union = shared.sum(axis=1)[:, None] + shared.sum(axis=0)[None, :] - shared
    alike = shared / np.maximum(union, 1) if likeness is None else np.asarray(likeness, dtype=float)
    least = SAME_ROWS if likeness is None else SAME_WORDS
    # What is below the threshold must not win over pairs above it by its number.
    worth = np.where(alike >= least, alike, 0.0)
    pairs = {int(j): int(i) for i, j in zip(*linear_sum_assignment(-worth), strict=True) if worth[i, j] > 0}
    ids, fresh = [], next_id
    for j in range(new):
        if j in pairs:
            ids.append(int(old_ids[pairs[j]]))
        else:
            ids.append(fresh)
            fresh += 1
    known = set(pairs.values())
    from_old = shared / np.maximum(shared.sum(axis=1, keepdims=True), 1)
    from_new = shared / np.maximum(shared.sum(axis=0, keepdims=True), 1)
    merged, split = [], []
    for j in range(new):
        parts = np.flatnonzero(from_old[:, j] > MOST).tolist()
        if len(parts) > 1:
            rows = {str(old_ids[i]): int(shared[i, j]) for i in parts}
            merged.append({"into": ids[j], "of": [int(old_ids[i]) for i in parts], "rows": rows})
    for i in range(old):
        parts = np.flatnonzero(from_new[i] > MOST).tolist()
        if len(parts) > 1:
            rows = {str(ids[j]): int(shared[i, j]) for j in parts}
            split.append({"of": int(old_ids[i]), "into": [ids[j] for j in parts], "rows": rows})
    stayed = sum(int(shared[i, j]) for j, i in pairs.items())
    return Identity(
        ids,
        sorted(ids[j] for j in pairs),
        [ids[j] for j in range(new) if j not in pairs],
        [int(old_ids[i]) for i in range(old) if i not in known],
        merged,
        split,
        int(shared.sum()) - stayed,
        int(shared.sum()),
        adjusted_rand(shared),
        fresh,
    )


def adjusted_rand(shared: Any) -> float | None:
    """Adjusted Rand index of two clusterings by the table of their rows in common; None below two rows.

    >>> adjusted_rand([[3, 0], [0, 2]]), adjusted_rand([[1]])
    (1.0, None)
    """
    table = np.asarray(shared, dtype=np.float64)
    rows = float(table.sum())
    if rows < 2:
        return None

    def pairs(counts: Any) -> float:
        return float((counts * (counts - 1) / 2).sum())

    one, other, both = pairs(table.sum(axis=1)), pairs(table.sum(axis=0)), pairs(table)
    chance = one * other / (rows * (rows - 1) / 2)
    most = (one + other) / 2
    return 1.0 if most == chance else round((both - chance) / (most - chance), 6)


def centred_cosine(old: Any, new: Any, old_rows: Sequence[int], new_rows: Sequence[int]) -> Any:
    """Cosine of each old and new centre, less the mean of all rows: what all texts share tells none apart.

    Parameters
    ----------
    old, new : (clusters, width) arrays
    old_rows, new_rows : sequences of int
        Rows of each cluster.
    """
    old, new = np.asarray(old, dtype=np.float64), np.asarray(new, dtype=np.float64)
    weights = np.array([*old_rows, *new_rows], dtype=np.float64)
    mean = (np.concatenate([old, new]) * weights[:, None]).sum(axis=0) / weights.sum()
    one, other = old - mean, new - mean
    lengths = np.linalg.norm(one, axis=1)[:, None] * np.linalg.norm(other, axis=1)[None, :]
    return np.where(lengths > 0, one @ other.T / np.where(lengths > 0, lengths, 1.0), 0.0)
