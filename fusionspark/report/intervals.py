"""95% intervals of macro-F1 and ROC-AUC by the bootstrap over rows.

Efron & Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13: percentiles of the metric over
samples drawn with replacement. Macro-F1 depends on the counts of the confusion matrix alone, so its samples
are drawn from the matrix, whatever the number of rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: Bootstrap samples, and weights of them that are held at once.
SAMPLES = 500
_CELLS = 5_000_000


def macro_f1_interval(
    matrix: Sequence[Sequence[int]], supports: Sequence[int], seed: int
) -> list[float] | None:
    """Interval of macro-F1 from a confusion matrix.

    Parameters
    ----------
    matrix : counts, shape (classes, classes)
        Rows are labels, columns are predictions.
    supports : sequence of int
        Rows of each label, those without any prediction included.
    """
    counts = np.asarray(matrix, dtype=np.float64).reshape(len(supports), len(supports))
    missed = np.asarray(supports, dtype=np.float64) - counts.sum(axis=1)
    cells = np.concatenate([counts.ravel(), missed])
    rows = int(cells.sum())
    if not rows:
        return None
    drawn = np.random.default_rng(seed).multinomial(rows, cells / rows, size=SAMPLES).astype(float)
    classes = len(supports)
    tables, lost = drawn[:, : classes**2].reshape(-1, classes, classes), drawn[:, classes**2 :]
    right, claimed = np.einsum("nii->ni", tables), tables.sum(axis=1)
    size = claimed + tables.sum(axis=2) + lost
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = 2 * right / size
    return _interval(_mean_known(f1))


def auc_interval(
    classes: npt.NDArray[np.int64], scores: Floats, seed: int, *, rows: int | None = None
) -> list[float] | None:
    """Interval of the one-vs-rest area, averaged over the classes that have rows on both sides.

    Parameters
    ----------
    classes : array of int, shape (n,)
        Column of ``scores`` that is the true class; -1 for a class that has none.
    scores : array, shape (n, classes)
    rows : int, optional
        Rows of which these are a sample: the interval is narrowed as if all had been there.
    """
    n = len(classes)
    if not scores.size:
        return None
    random, areas = np.random.default_rng(seed), []
    step = max(1, _CELLS // n)
    for first in range(0, SAMPLES, step):
        weights = random.multinomial(n, np.full(n, 1 / n), size=min(step, SAMPLES - first)).astype(float)
        areas.append(
            _mean_known(
                np.stack([_area(classes == k, scores[:, k], weights) for k in range(scores.shape[1])], axis=1)
            )
        )
    sampled = np.concatenate(areas)
    if rows is not None and rows > n:
        sampled = np.nanmean(sampled) + (sampled - np.nanmean(sampled)) * np.sqrt(n / rows)
    return _interval(sampled)


def _area(true: npt.NDArray[np.bool_], values: Floats, weights: Floats) -> Floats:
    """Mann-Whitney's area under each row of ``weights``; a tie counts one half."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=-np.inf))
    ordered, truth = weights[:, order], true[order].astype(float)
    positive = np.add.reduceat(ordered * truth, starts, axis=1)
    negative = np.add.reduceat(ordered * (1 - truth), starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        area: Floats = (positive * (below + negative / 2)).sum(axis=1) / pairs
    return area


def _mean_known(values: Floats) -> Floats:
    """Mean of each row over what is a number; nan where nothing is."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.where(known, values, 0.0).sum(axis=1) / known.sum(axis=1)
    return mean


def _interval(values: Floats) -> list[float] | None:
    known = values[np.isfinite(values)]
    return [round(float(v), 6) for v in np.percentile(known, [2.5, 97.5])] if len(known) else None
