"""Metrics of estimated numbers: one aggregation in Spark, and a sample of rows for intervals and the plot."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pyspark.sql import functions as F

from fusionspark.columns import (
    ALGORITHM,
    ESTIMATE,
    LABEL,
    ROW_ID,
    SCORES,
    SPLIT,
    SPLITS,
    TEST,
    TRAIN,
    VALIDATION,
)
from fusionspark.report.history import NUMBERS as METRICS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Test rows of an algorithm from which the intervals are drawn, and of which so many are kept for the plot.
INTERVAL_ROWS, POINTS = 5_000, 500
RESAMPLES = 500

Floats = npt.NDArray[np.float64]


def evaluate(predictions: DataFrame, *, seed: int = 42) -> dict[str, dict[str, dict[str, Any]]]:
    """Measure each regression on each split.

    Parameters
    ----------
    predictions : DataFrame
        `fusionspark.columns.PREDICTIONS_DDL`, with numbers as labels. Rows without a label are counted as
        ``unlabelled`` and otherwise ignored.
    seed : int
        Of the sample and the bootstrap.

    Returns
    -------
    dict
        ``{algorithm: {split: {rows, unlabelled, rmse, mae, r2, baseline}}}``: root mean squared and mean
        absolute error in units of the label, and the share of its variance in the split that is explained;
        None where it has none. ``baseline`` has the ``rmse`` of always answering the mean of the training
        rows. The split ``test`` has ``*_interval`` (95%, percentile bootstrap over rows; Efron and Tibshirani
        1993) and ``points``, ``[[label, estimate]]`` of up to `POINTS` rows.
    """
    label, said = F.col(LABEL).cast("double"), F.col(SCORES)[ESTIMATE]
    error = said - label
    sums = (
        predictions.groupBy(ALGORITHM, SPLIT)
        .agg(
            F.count(label).alias("rows"),
            F.count(F.when(label.isNull(), 1)).alias("unlabelled"),
            F.mean(error * error).alias("squared"),
            F.mean(F.abs(error)).alias("mae"),
            F.mean(label).alias("mean"),
            F.var_pop(label).alias("variance"),
        )
        .collect()
    )
    means = {row[ALGORITHM]: row["mean"] for row in sums if row[SPLIT] == TRAIN}
    found: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in sorted(sums, key=lambda row: (row[ALGORITHM], _place(row[SPLIT]))):
        found[row[ALGORITHM]][row[SPLIT]] = _figures(row, means.get(row[ALGORITHM]))
    most = max((splits.get(TEST, {}).get("rows", 0) for splits in found.values()), default=0)
    if most:
        _intervals(found, predictions, most, seed)
    return dict(found)


def choose_best(measured: dict[str, dict[str, dict[str, Any]]], by: str) -> str | None:
    """The algorithm with the best ``by`` on validation rows, on training rows where there are none."""
    sign = -1 if by == "r2" else 1
    for split in (VALIDATION, TRAIN):
        values = {name: splits.get(split, {}).get(by) for name, splits in measured.items()}
        known = {name: value for name, value in values.items() if value is not None}
        if known:
            return min(sorted(known), key=lambda name: sign * known[name])
    return None


def _place(split: str) -> int:
    return SPLITS.index(split) if split in SPLITS else len(SPLITS)


def _figures(row: Any, training_mean: float | None) -> dict[str, Any]:
    counted = {"rows": row["rows"], "unlabelled": row["unlabelled"]}
    if not row["rows"]:
        return {**counted, **dict.fromkeys(METRICS), "baseline": None}
    baseline = None
    if training_mean is not None:
        baseline = {"rmse": math.sqrt(row["variance"] + (row["mean"] - training_mean) ** 2)}
    explained = 1 - row["squared"] / row["variance"] if row["variance"] else None
    return {
        **counted,
        "rmse": math.sqrt(row["squared"]),
        "mae": row["mae"],
        "r2": explained,
        "baseline": baseline,
    }


def _intervals(found: dict[str, Any], predictions: DataFrame, rows: int, seed: int) -> None:
    """Add intervals and points of the test rows, with the same sample of rows for every algorithm."""
    place = F.pmod(F.xxhash64(F.lit(seed), F.lit("intervals"), ROW_ID), F.lit(1_000_000))
    test = predictions.where((F.col(SPLIT) == TEST) & F.col(LABEL).isNotNull())
    share = min(1.0, INTERVAL_ROWS / rows)
    sample = test.where(place < int(1_000_000 * share)) if share < 1 else test
    table = sample.select(
        ROW_ID, ALGORITHM, F.col(LABEL).cast("double").alias("label"), F.col(SCORES)[ESTIMATE].alias("said")
    ).toPandas()
    for name, part in table.sort_values(ROW_ID).groupby(ALGORITHM):
        truth, said = part["label"].to_numpy(), part["said"].to_numpy()
        entry = found[str(name)][TEST]
        entry |= {f"{metric}_interval": ends for metric, ends in intervals(truth, said, seed).items()}
        drawn = np.random.default_rng(seed).permutation(len(part))[:POINTS]
        entry["points"] = [[round(float(truth[i]), 6), round(float(said[i]), 6)] for i in sorted(drawn)]


def intervals(truth: Floats, said: Floats, seed: int) -> dict[str, list[float] | None]:
    """95% percentile bootstrap intervals of `METRICS`; None for a value that no resample has."""
    random, rows = np.random.default_rng(seed), len(truth)
    values: dict[str, list[float]] = {metric: [] for metric in METRICS}
    for _ in range(RESAMPLES):
        chosen = random.integers(0, rows, rows)
        label, error = truth[chosen], said[chosen] - truth[chosen]
        squared, variance = float(np.mean(error**2)), float(label.var())
        values["rmse"].append(math.sqrt(squared))
        values["mae"].append(float(np.mean(np.abs(error))))
        if variance:
            values["r2"].append(1 - squared / variance)
    return {
        metric: [round(float(end), 6) for end in np.percentile(drawn, [2.5, 97.5])] if drawn else None
        for metric, drawn in values.items()
    }
