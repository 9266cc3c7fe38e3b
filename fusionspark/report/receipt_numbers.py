"""The receipt where the label is a number: how its arms are judged. Plain numpy, no Spark."""

from __future__ import annotations

import numpy as np

from fusionspark.report.receipt import Floats, Scoring, Truth


def score(truth: Truth, said: Floats, weights: Floats) -> dict[str, Floats]:
    """Return the metrics under each row of ``weights``; see `fusionspark.report.receipt.Scoring`.

    ``r2`` is the share of the label's variance in the sample that is explained, nan where it has none;
    ``rmse`` and ``mae`` are in units of the label.
    """
    error, total = said[:, 0] - truth, weights.sum(axis=1)
    # Around its mean, or the difference of two large sums would be left.
    centred = truth - truth.mean()
    squared = weights @ error**2 / total
    variance = weights @ centred**2 / total - (weights @ centred / total) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        explained = np.where(variance > 0, 1 - squared / variance, np.nan)
    return {"r2": explained, "rmse": np.sqrt(squared), "mae": weights @ np.abs(error) / total}


#: Judges of numbers.
NUMBERS = Scoring(("r2", "rmse", "mae"), score)
