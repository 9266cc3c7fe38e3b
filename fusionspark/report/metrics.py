"""Metrics of a prediction table: two aggregations in Spark, the arithmetic in `scores`."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql import Window
from pyspark.sql import functions as F

from fusionspark.columns import ALGORITHM, LABEL, PREDICTION, ROW_ID, SCORES, SPLIT, SPLITS, TEST, TRAIN
from fusionspark.report.intervals import auc_interval, macro_f1_interval
from fusionspark.report.scores import (
    ROC_POINTS,
    Step,
    calibration_error,
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

#: Held-out rows of an algorithm from which the interval of the AUC is drawn.
INTERVAL_ROWS = 5_000

#: ROC curves are kept for this many classes of a split, those with the most rows.
ROC_CLASSES = 20

_CLASS, _SCORE = "class", "score"
_CURVE = (ALGORITHM, SPLIT, _CLASS)


def evaluate(
    predictions: DataFrame, *, exact_rows: int = EXACT_ROWS, seed: int = 42
) -> dict[str, dict[str, dict[str, Any]]]:
    """Measure each algorithm on each split.

    Three Spark jobs whatever the number of classes: counts per label and prediction, ranks of the scores
    (one shuffle by algorithm, split and class; only curve points reach the driver), and a sample of the
    test rows for the interval of the AUC.

    Parameters
    ----------
    predictions : DataFrame
        Columns as in `fusionspark.columns.PREDICTIONS_DDL`. Rows without a label are counted as
        ``unlabelled`` and otherwise ignored; rows without a prediction count as wrong.
    exact_rows : int
        Above this many labelled rows in a split, scores are rounded down to a relative step of 2**-11
        of their distance from 0 or 1 before ranking, so that the number of distinct scores is bounded
        whatever the table's size. The result then has ``auc_error``, a bound on the error that this makes.

    seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        ``{algorithm: {split: {rows, unlabelled, unpredicted, accuracy, accuracy_interval, macro_f1, auc,
        average_precision, calibration_error, majority, classes, confusion, roc, pr, calibration}}}``, and of
        the split ``test`` ``macro_f1_interval`` and ``auc_interval`` (95%, bootstrap). ``auc`` is the
        one-vs-rest area averaged over the classes which have both positive and negative rows. ``majority`` is
        what always answering the most frequent label of the training rows would reach. Undefined values are
        None.
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
    found = {
        name: {
            split: _split_metrics(cells[name], split, curves.get((name, split), {}), rounded)
            for split in sorted(cells[name], key=_split_order)
        }
        for name in sorted(cells)
    }
    most = max((n for (_, split), n in labelled.items() if split == TEST), default=0)
    if most:
        _intervals(found, predictions, most, seed)
    return found


def _intervals(found: dict[str, Any], predictions: DataFrame, rows: int, seed: int) -> None:
    """Add the bootstrap intervals of the test rows, with the same sample of rows for every algorithm."""
    for splits in found.values():
        entry = splits.get(TEST)
        if entry:
            supports = [one["support"] for one in entry["classes"].values()]
            entry["auc_interval"] = None
            entry["macro_f1_interval"] = macro_f1_interval(entry["confusion"]["matrix"], supports, seed)
    place = F.pmod(F.xxhash64(F.lit(seed), F.lit("intervals"), F.col(ROW_ID)), F.lit(1_000_000))
    share = min(1.0, INTERVAL_ROWS / rows)
    test = predictions.where((F.col(SPLIT) == TEST) & F.col(LABEL).isNotNull())
    sample = test.where(place < int(1_000_000 * share)) if share < 1 else test
    ordered = F.map_entries(SCORES)
    sampled = sample.select(
        ROW_ID, ALGORITHM, LABEL, F.transform(ordered, lambda one: one["key"]).alias("names"),
        F.transform(ordered, lambda one: one["value"]).alias(_SCORE),
    ).toPandas()  # fmt: skip
    sampled = sampled[sampled[_SCORE].notna()].sort_values(ROW_ID)
    for name, part in sampled.groupby(ALGORITHM):
        names = list(part["names"].iloc[0])
        alike = part[[list(row) == names for row in part["names"]]]
        classes = alike[LABEL].map({label: k for k, label in enumerate(names)}).fillna(-1).to_numpy(dtype=int)
        matrix = np.vstack(list(alike[_SCORE])).astype(float)
        entry, known = found[str(name)][TEST], np.isfinite(matrix).all(axis=1)
        entry["auc_interval"] = auc_interval(classes[known], matrix[known], seed, rows=entry["rows"])


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
        for key in ("auc", "average_precision"):
            entry[key] = curves[name][key] if name in curves else None
    for key in ("auc", "average_precision"):
        result[key] = mean_defined([entry[key] for entry in result["classes"].values()])
    result["calibration_error"] = calibration_error([curve["calibration"] for curve in curves.values()])
    if rounded:
        ties = [curve["tied"] / 2 for curve in curves.values() if curve["tied"] is not None]
        result["auc_error"] = mean_defined(ties)
    support = [entry["support"] for entry in result["classes"].values()]
    result["majority"] = constant_answer(labels, support, _most_frequent(splits, split)) if labels else None
    kept = sorted(labels, key=lambda name: (-result["classes"][name]["support"], name))[:ROC_CLASSES]
    for curve in ("roc", "pr", "calibration"):
        result[curve] = {
            name: curves[name][curve] for name in sorted(kept) if curves.get(name, {}).get(curve)
        }
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
        _SCORE,
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
            F.sum(pos * F.col("tp") / (F.col("tp") + F.col("fp"))).alias("precise"),
            F.sum(F.col(_SCORE) * (neg + pos)).alias("scored"),
            F.min(_SCORE).alias("low"),
            F.max(_SCORE).alias("high"),
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
            [Step(*(row[key] for key in Step.__dataclass_fields__)) for row in ordered],
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
