"""Metrics of a prediction table: two aggregations in Spark, the arithmetic in `scores`."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql import Window
from pyspark.sql import functions as F

from fusionspark.columns import ALGORITHM, LABEL, PREDICTION, SCORES, SPLIT, SPLITS, TRAIN
from fusionspark.report.scores import (
    ROC_POINTS,
    choose_best,
    confusion_metrics,
    constant_answer,
    curve_from_steps,
    mean_defined,
)

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

__all__ = ["EXACT_ROWS", "ROC_CLASSES", "choose_best", "evaluate"]

#: Up to this many labelled rows in one split the AUC is exact; above it scores are rounded.
EXACT_ROWS = 2_000_000

#: ROC curves are kept for this many classes of a split, those with the most rows.
ROC_CLASSES = 20

_CLASS, _SCORE = "class", "score"
_CURVE = (ALGORITHM, SPLIT, _CLASS)


def evaluate(predictions: DataFrame, *, exact_rows: int = EXACT_ROWS) -> dict[str, dict[str, dict[str, Any]]]:
    """Measure each algorithm on each split.

    Two Spark jobs whatever the number of classes: counts per label and prediction, and ranks of the
    scores (one shuffle by algorithm, split and class; only curve points reach the driver).

    Parameters
    ----------
    predictions : DataFrame
        Columns as in `fusionspark.columns.PREDICTIONS_DDL`. Rows without a label are counted as
        ``unlabelled`` and otherwise ignored; rows without a prediction count as wrong.
    exact_rows : int
        Above this many labelled rows in a split, scores are rounded down to a relative step of 2**-11
        of their distance from 0 or 1 before ranking, so that the number of distinct scores is bounded
        whatever the table's size. The result then has ``auc_error``, a bound on the error that this makes.

    Returns
    -------
    dict
        ``{algorithm: {split: {rows, unlabelled, unpredicted, accuracy, accuracy_interval, macro_f1, auc,
        majority, classes, confusion, roc}}}``. ``auc`` is the one-vs-rest area averaged over the classes
        which have both positive and negative rows. ``majority`` is what always answering the most
        frequent label of the training rows would reach. Undefined values are None.
    """
    counts = predictions.groupBy(ALGORITHM, SPLIT, LABEL, PREDICTION).count().collect()
    cells: dict[str, dict[str, dict[tuple[str | None, str | None], int]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for row in counts:
        cells[row[ALGORITHM]][row[SPLIT]][row[LABEL], row[PREDICTION]] = row["count"]
    labelled = {
        (name, split): sum(n for (label, _), n in found.items() if label is not None)
        for name, splits in cells.items()
        for split, found in splits.items()
    }
    rounded = max(labelled.values(), default=0) > exact_rows
    curves = _curves(predictions, rounded) if any(labelled.values()) else {}
    return {
        name: {
            split: _split_metrics(cells[name], split, curves.get((name, split), {}), rounded)
            for split in sorted(cells[name], key=_split_order)
        }
        for name in sorted(cells)
    }


def _split_order(split: str | None) -> tuple[int, str]:
    return (SPLITS.index(split), "") if split in SPLITS else (len(SPLITS), str(split))


def _split_metrics(
    splits: dict[str, dict[tuple[str | None, str | None], int]],
    split: str,
    curves: dict[str, dict[str, Any]],
    rounded: bool,
) -> dict[str, Any]:
    """Put the counts and curves of one algorithm on one split together."""
    # The same classes on every split, so that the matrices can be laid side by side.
    labels = sorted(
        {
            name
            for found in splits.values()
            for (label, prediction) in found
            if label is not None
            for name in (label, prediction)
            if name is not None
        }
    )
    place = {name: i for i, name in enumerate(labels)}
    matrix = np.zeros((len(labels), len(labels)), dtype=np.int64)
    missed = np.zeros(len(labels), dtype=np.int64)
    unlabelled = 0
    for (label, prediction), n in splits[split].items():
        if label is None:
            unlabelled += n
        elif prediction is None:
            missed[place[label]] += n
        else:
            matrix[place[label], place[prediction]] += n
    result = confusion_metrics(labels, matrix, missed)
    result["unlabelled"] = unlabelled
    for name, entry in result["classes"].items():
        entry["auc"] = curves[name]["auc"] if name in curves else None
    result["auc"] = mean_defined([entry["auc"] for entry in result["classes"].values()])
    if rounded:
        ties = [curve["tied"] / 2 for curve in curves.values() if curve["tied"] is not None]
        result["auc_error"] = mean_defined(ties)
    support = [entry["support"] for entry in result["classes"].values()]
    result["majority"] = constant_answer(labels, support, _most_frequent(splits, split)) if labels else None
    kept = sorted(labels, key=lambda name: (-result["classes"][name]["support"], name))[:ROC_CLASSES]
    result["roc"] = {name: curves[name]["roc"] for name in sorted(kept) if curves.get(name, {}).get("roc")}
    return result


def _most_frequent(splits: dict[str, dict[tuple[str | None, str | None], int]], split: str) -> str:
    totals: dict[str, int] = defaultdict(int)
    for source in (TRAIN, split, *splits):
        for (label, _), n in splits.get(source, {}).items():
            if label is not None:
                totals[label] += n
        if totals:
            break
    return min(totals, key=lambda name: (-totals[name], name))


def _curves(predictions: DataFrame, rounded: bool) -> dict[tuple[str, str], dict[str, dict[str, Any]]]:
    """Return ``{(algorithm, split): {class: curve}}``, one-vs-rest, in one job."""
    scored = predictions.where(F.col(LABEL).isNotNull()).select(
        ALGORITHM, SPLIT, LABEL, F.explode(SCORES).alias(_CLASS, _SCORE)
    )
    scored = scored.where(F.col(_SCORE).isNotNull() & ~F.isnan(_SCORE))
    if rounded:
        scored = scored.withColumn(_SCORE, _coarse(F.col(_SCORE)))
    positive = (F.col(LABEL) == F.col(_CLASS)).cast("long")
    # Partitioned by curve first: the aggregation and both windows then need no further shuffle.
    ties = (
        scored.repartition(*_CURVE)
        .groupBy(*_CURVE, _SCORE)
        .agg(F.sum(positive).alias("pos"), F.sum(1 - positive).alias("neg"))
    )
    whole = Window.partitionBy(*_CURVE)
    above = whole.orderBy(F.col(_SCORE).desc()).rowsBetween(Window.unboundedPreceding, Window.currentRow)
    ranked = ties.select(
        *_CURVE,
        "pos",
        "neg",
        F.sum("pos").over(above).alias("tp"),
        F.sum("neg").over(above).alias("fp"),
        F.sum("pos").over(whole).alias("positives"),
        F.sum("neg").over(whole).alias("negatives"),
    ).where("positives > 0 AND negatives > 0")
    # tpr + fpr rises from 0 to 2 along the curve, so equal steps of it thin flat and steep parts alike.
    along = F.col("tp") / F.col("positives") + F.col("fp") / F.col("negatives")
    step = F.floor(along * ((ROC_POINTS - 2) / 2)).alias("step")
    # As doubles: the product of two counts may leave the range of long.
    neg, pos = F.col("neg").cast("double"), F.col("pos").cast("double")
    steps = (
        ranked.groupBy(*_CURVE, step, "positives", "negatives")
        .agg(
            F.max("fp").alias("fp"),
            F.max("tp").alias("tp"),
            F.sum(neg * (F.col("tp") - pos / 2)).alias("won"),
            F.sum(neg * pos).alias("tied"),
        )
        .collect()
    )
    grouped: dict[tuple[str, str, str], list[Any]] = defaultdict(list)
    for row in steps:
        grouped[row[ALGORITHM], row[SPLIT], row[_CLASS]].append(row)
    curves: dict[tuple[str, str], dict[str, dict[str, Any]]] = defaultdict(dict)
    for (algorithm, split, name), rows in grouped.items():
        ordered = sorted(rows, key=lambda row: (row["fp"], row["tp"]))
        curves[algorithm, split][name] = curve_from_steps(
            [(row["fp"], row["tp"], row["won"], row["tied"]) for row in ordered],
            ordered[0]["positives"],
            ordered[0]["negatives"],
        )
    return curves


def _coarse(score: Column) -> Column:
    """Round a score so that order is kept and few distinct values are left.

    Probabilities crowd at both ends, so the step is relative to the distance from the nearer end.
    """
    far = F.when(score <= 0.5, score).otherwise(1 - score)
    size = F.abs(far)
    unit = F.pow(F.lit(2.0), F.floor(F.log2(size)) - 11)
    # Towards zero on both sides of 0.5: monotone, since every power of two is a multiple of its unit.
    cut = F.signum(far) * F.floor(size / unit) * unit
    kept = F.when((size < 1e-300) | (size > 1e15), far).otherwise(cut)
    return F.when(score <= 0.5, kept).otherwise(1 - kept)
