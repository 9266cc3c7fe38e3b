"""First centres of k-means: k-means||, k-means++ on a sample, or random rows."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from fusionspark.mine.arrow_columns import Matrix
from fusionspark.mine.exact_rows import ExactRows, Floats, grid, row_hashes, uniforms
from fusionspark.mine.worker_group import WorkerGroup

INIT_MODES = ("k-means||", "k-means++", "random")

#: Rows up to which all distinct ones are candidates, and least size of the sample of k-means++.
FEW_ROWS = 4096
#: Rounds that k-means|| adds at most where the first ones found fewer candidates than clusters.
MORE_ROUNDS = 8
#: Lloyd's iterations over the candidates at most, as in MLlib.
THINNING = 30


def first_centres(
    data: ExactRows, group: WorkerGroup, *, k: int, mode: str, steps: int, seed: int, scale: float
) -> Floats:
    """Choose at most ``k`` distinct first centres; fewer only where fewer rows are distinct.

    Candidates are chosen by a seeded hash of the rows themselves, weighted by the rows nearest to each, and
    thinned to k by a greedy k-means++ (Arthur and Vassilvitskii 2007, section 5) and Lloyd's iterations over
    the candidates. With ``k-means||`` (Bahmani et al. 2012) a round adds about 2 k candidates, each row with
    a chance in proportion to its squared distance to those that are there.
    """
    hashes = row_hashes(data.rows, seed)
    if mode == "random":
        return _smallest(data, hashes, group, k, seed).astype(np.float64)
    rows = int(group.total(np.array([len(data.rows)], dtype=np.int64))[0])
    few = max(FEW_ROWS, 20 * k)
    if mode == "k-means++" or rows <= few:
        chosen = _smallest(data, hashes, group, few, seed)
    else:
        chosen = _oversample(data, hashes, group, k=k, steps=steps, seed=seed, rows=rows)
    if len(chosen) <= k:
        return chosen.astype(np.float64)
    points = chosen.astype(np.float64)
    weights = group.total(data.masses(scale, data.nearest(points), len(points)))
    centres = np.zeros((k, points.shape[1]))
    # One task decides: the last digits of a product may differ between processors of different kinds.
    if group.rank == 0:
        centres = thin(points, weights, k, seed)
    return group.from_first(centres)


def by_hash(rows: Matrix, seed: int) -> Matrix:
    """Return the distinct rows in the order of their hashes, which no layout changes."""
    return rows[np.unique(row_hashes(rows, seed), return_index=True)[1]]


def _smallest(
    data: ExactRows, hashes: npt.NDArray[np.uint64], group: WorkerGroup, count: int, seed: int
) -> Matrix:
    """Return the ``count`` distinct rows of smallest hash, over all tasks."""
    here = np.unique(hashes, return_index=True)[1][:count]
    return by_hash(group.gather(data.rows[here]), seed)[:count]


def _oversample(
    data: ExactRows,
    hashes: npt.NDArray[np.uint64],
    group: WorkerGroup,
    *,
    k: int,
    steps: int,
    seed: int,
    rows: int,
) -> Matrix:
    """Return the candidates of k-means||, in the order of their hashes."""
    chosen = _smallest(data, hashes, group, 1, seed)
    cost = data.squared(chosen.astype(np.float64), np.zeros(len(data.rows), dtype=np.int64))
    largest = float(group.largest(np.array([cost.max(initial=0.0) * data.weights.max(initial=0.0)]))[0])
    for step in range(steps + MORE_ROUNDS):
        if not largest or (step >= steps and len(chosen) >= k):
            break
        # On a grid of its own, so that the sum of the costs is the same in every order.
        unit = grid(largest, rows)
        total = float(group.total(np.array([np.rint(cost * data.weights * unit).sum()]))[0]) / unit
        if not total:
            break
        luck = uniforms(hashes, seed + 1 + step)
        taken = np.flatnonzero(luck * total < 2 * k * cost * data.weights)
        fresh = by_hash(group.gather(data.rows[taken]), seed)
        if not len(fresh):
            continue
        # Only the new candidates are compared; the cost of a row is to the nearest of all so far.
        points = fresh.astype(np.float64)
        np.minimum(cost, data.squared(points, data.nearest(points)), out=cost)
        chosen = by_hash(np.concatenate([chosen, fresh]), seed)
    return chosen


def thin(points: Floats, weights: Floats, k: int, seed: int, *, starts: int = 1) -> Floats:
    """Cluster weighted ``points`` into ``k`` centres: the cheapest of ``starts`` tries."""
    found = [_thinned(points, weights, k, seed + number) for number in range(starts)]
    return min(found, key=lambda pair: pair[1])[0]


def _thinned(points: Floats, weights: Floats, k: int, seed: int) -> tuple[Floats, float]:
    """Greedy k-means++, then Lloyd's iterations; the centres, and the cost before the last of them."""
    random = np.random.default_rng(seed)
    trials = 2 + int(math.log(k))
    weights = weights / weights.sum()
    first = int(np.searchsorted(np.cumsum(weights), random.random() * weights.sum()))
    picked = [min(first, len(points) - 1)]
    squares = (points**2).sum(axis=1)
    cost = _distances(points, squares, points[picked])[:, 0]
    for _ in range(1, k):
        share = np.cumsum(cost * weights)
        if not share[-1]:
            # All that are left lie on a centre: rows of zero weight.
            left = np.setdiff1d(np.arange(len(points)), picked)
            picked.append(int(left[0]))
            continue
        tried = np.minimum(
            np.searchsorted(share, random.random(trials) * share[-1], side="right"), len(points) - 1
        )
        costs = np.minimum(cost[:, None], _distances(points, squares, points[tried]))
        best = int((costs * weights[:, None]).sum(axis=0).argmin())
        picked.append(int(tried[best]))
        cost = costs[:, best]
    centres = points[picked]
    spent = 0.0
    for _ in range(THINNING):
        apart = _distances(points, squares, centres)
        nearest = apart.argmin(axis=1)
        spent = float(apart[np.arange(len(points)), nearest] @ weights)
        mass = np.bincount(nearest, weights, k)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, points * weights[:, None])
        moved = np.where((mass > 0)[:, None], sums / np.where(mass > 0, mass, 1)[:, None], centres)
        if (moved == centres).all():
            break
        centres = moved
    return centres, spent


def _distances(points: Floats, squares: Floats, centres: Floats) -> Floats:
    found: Floats = squares[:, None] - 2.0 * (points @ centres.T) + (centres**2).sum(axis=1)
    np.maximum(found, 0.0, out=found)
    return found
