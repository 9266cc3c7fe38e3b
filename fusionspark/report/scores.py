"""Metrics from counts: plain numpy, no Spark.

A value that cannot be defined (precision of a class that was never predicted, AUC of a class without a
negative row) is ``None``, never NaN, so that it survives JSON and cannot be averaged by mistake.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusionspark.columns import TRAIN, VALIDATION
from fusionspark.errors import DataContractError

logger = logging.getLogger(__name__)

#: Points kept of one ROC curve, the origin included.
ROC_POINTS = 100

#: Points of a calibration curve.
CALIBRATION_BINS = 10


def ratio(part: float, whole: float) -> float | None:
    """Return ``part / whole``, or None where ``whole`` is zero.

    >>> ratio(1, 4), ratio(0, 0)
    (0.25, None)
    """
    return float(part) / float(whole) if whole else None


def mean_defined(values: Sequence[float | None]) -> float | None:
    """Return the mean of the values that are not None, or None when there is none.

    >>> mean_defined([1.0, None, 0.5]), mean_defined([None])
    (0.75, None)
    """
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def wilson_interval(hits: int, rows: int, z: float = 1.959963984540054) -> list[float] | None:
    """Return Wilson's score interval of a share, or None for no rows.

    Unlike the normal approximation it stays inside [0, 1] and is honest for small test sets and shares
    near one (Wilson 1927, "Probable inference, the law of succession, and statistical inference").

    Parameters
    ----------
    hits, rows : int
        ``hits`` of ``rows`` were right.
    z : float
        Standard normal quantile; the default gives 95 %.
    """
    if not rows:
        return None
    share = hits / rows
    centre = share + z * z / (2 * rows)
    spread = z * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    scale = 1 + z * z / rows
    return [max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)]


def confusion_metrics(
    labels: Sequence[str], matrix: np.ndarray, unpredicted: np.ndarray | None = None
) -> dict[str, Any]:
    """Compute accuracy, macro-F1 and the per-class figures from a confusion matrix.

    Macro-F1 averages over the classes that occur in this matrix as a label or as a prediction, and a
    class without a right answer counts as zero: scikit-learn's ``f1_score(average="macro")``.

    Parameters
    ----------
    labels : sequence of str
        Class names, in the order of both axes.
    matrix : array of int, shape (classes, classes)
        Rows are labels, columns are predictions.
    unpredicted : array of int, shape (classes,), optional
        Rows of each label that got no prediction at all. They count as wrong.

    Returns
    -------
    dict
        ``rows, accuracy, accuracy_interval`` (95 %, Wilson), ``macro_f1, unpredicted, classes`` and
        ``confusion``; each class has ``precision, recall, f1, support``.
    """
    counts = np.asarray(matrix, dtype=np.int64).reshape(len(labels), len(labels))
    missed = np.zeros(len(labels), dtype=np.int64) if unpredicted is None else np.asarray(unpredicted)
    right, predicted, support = np.diag(counts), counts.sum(axis=0), counts.sum(axis=1) + missed
    classes: dict[str, dict[str, Any]] = {}
    for i, name in enumerate(labels):
        classes[name] = {
            "precision": ratio(right[i], predicted[i]),
            "recall": ratio(right[i], support[i]),
            "f1": ratio(2 * right[i], predicted[i] + support[i]),
            "support": int(support[i]),
        }
    rows = int(support.sum())
    return {
        "rows": rows,
        "unpredicted": int(missed.sum()),
        "accuracy": ratio(right.sum(), rows),
        "accuracy_interval": wilson_interval(int(right.sum()), rows),
        "macro_f1": mean_defined([entry["f1"] for entry in classes.values()]),
        "classes": classes,
        "confusion": {"labels": list(labels), "matrix": counts.tolist()},
    }


def constant_answer(labels: Sequence[str], support: Sequence[int], answer: str) -> dict[str, Any]:
    """Score the rule that always answers ``answer``: the floor that any model has to pass.

    Parameters
    ----------
    labels, support : sequences of equal length
        Class names, and the rows of each in the split that is scored.
    answer : str
        The class that is always answered; usually the most frequent one in the training rows.
    """
    rows = int(sum(support))
    hits = int(dict(zip(labels, support, strict=True)).get(answer, 0))
    present = sum(1 for n in support if n) + (0 if hits else 1)
    return {
        "label": answer,
        "accuracy": ratio(hits, rows),
        "macro_f1": ratio(2 * hits / (rows + hits), present) if rows else None,
    }


@dataclass(frozen=True)
class Step:
    """A run of rows along the falling scores of one class.

    ``fp`` and ``tp`` are totals up to its end; ``won`` counts, for the negatives of this step, the positives
    ranked above them (a tie counts one half), ``tied`` the positives with exactly the same score;
    ``precise`` sums the precision at each positive; ``scored`` is the sum of the scores, ``low`` and
    ``high`` are their range.
    """

    fp: int
    tp: int
    won: float
    tied: float
    precise: float
    scored: float
    low: float
    high: float


def curve_from_steps(steps: Sequence[Step], positives: int, negatives: int) -> dict[str, Any]:
    """Finish the curves of one class from steps in the order of falling scores.

    Parameters
    ----------
    steps : sequence of Step
    positives, negatives : int
        Rows of this class, and of all others.

    Returns
    -------
    dict
        ``auc`` (Mann-Whitney, ties count one half), ``tied`` (the share of pairs that are tied: half
        of it bounds the error if the ties come from rounding), ``roc`` as ``[[fpr, tpr], ...]`` from
        (0, 0) to (1, 1), ``average_precision`` (the mean over the positives of the precision at their score),
        ``pr`` as ``[[recall, precision], ...]`` and ``calibration`` (see `calibration_bins`); None and
        empty where a side has no rows.
    """
    if not positives or not negatives:
        nothing: dict[str, Any] = {"auc": None, "tied": None, "roc": [], "average_precision": None, "pr": []}
        return {**nothing, "calibration": []}
    pairs = float(positives) * float(negatives)
    roc = [[0.0, 0.0]]
    roc += [[round(step.fp / negatives, 5), round(step.tp / positives, 5)] for step in steps]
    pr = [[round(step.tp / positives, 5), round(step.tp / (step.tp + step.fp), 5)] for step in steps]
    return {
        "auc": min(1.0, math.fsum(step.won for step in steps) / pairs),
        "tied": min(1.0, math.fsum(step.tied for step in steps) / pairs),
        "roc": roc,
        "average_precision": min(1.0, math.fsum(step.precise for step in steps) / positives),
        "pr": pr,
        "calibration": calibration_bins(steps),
    }


def calibration_bins(steps: Sequence[Step], bins: int = CALIBRATION_BINS) -> list[list[float]]:
    """Return ``[mean probability, share that is of the class, rows]`` of runs of about equally many rows.

    Steps stay whole. Empty where a score is no probability (below 0 or above 1).
    """
    if not steps or any(step.low < 0 or step.high > 1 for step in steps):
        return []
    whole = steps[-1].fp + steps[-1].tp
    found: list[list[float]] = []
    rows_before, hits_before, scored = 0, 0, 0.0
    for step in steps:
        scored += step.scored
        rows = step.fp + step.tp - rows_before
        full = (step.fp + step.tp) * bins >= (len(found) + 1) * whole
        if rows and (full or step is steps[-1]):
            found.append([round(scored / rows, 6), round((step.tp - hits_before) / rows, 6), rows])
            rows_before, hits_before, scored = step.fp + step.tp, step.tp, 0.0
    return found[::-1]


def calibration_error(curves: Sequence[Sequence[Sequence[float]]]) -> float | None:
    """Return the expected calibration error: the mean distance of probability and share.

    Over all rows, each class against the rest. Naeini, Cooper & Hauskrecht, "Obtaining
    well calibrated probabilities using Bayesian binning" (2015), with runs of
    equal numbers of rows.
    """
    gaps = [(abs(said - seen) * rows, rows) for curve in curves for said, seen, rows in curve]
    return ratio(math.fsum(gap for gap, _ in gaps), math.fsum(rows for _, rows in gaps))


def choose_best(
    metrics: Mapping[str, Mapping[str, Mapping[str, Any]]], by: str = "macro_f1", split: str = VALIDATION
) -> str:
    """Name the algorithm with the highest ``by`` on ``split``; equal values go to the first name.

    The choice must not look at the test rows. Where no algorithm has a value on ``split`` (no
    validation rows were held out), the training rows decide, and a warning says so.

    Parameters
    ----------
    metrics : dict
        What `evaluate` returned.
    by : str
        ``macro_f1``, ``accuracy`` or ``auc``.
    split : str
        Where the algorithms are compared.

    Raises
    ------
    DataContractError
        When no algorithm has a value on ``split`` nor on the training rows.
    """
    for source in dict.fromkeys([split, TRAIN]):
        values = {
            name: splits[source][by]
            for name, splits in metrics.items()
            if splits.get(source, {}).get(by) is not None
        }
        if values:
            if source != split:
                logger.warning("no %s on split %r: the best algorithm is chosen on %r", by, split, source)
            return min(values, key=lambda name: (-values[name], name))
    raise DataContractError(
        f"metric {by!r}",
        f"no algorithm has a value on split {split!r} nor on {TRAIN!r} (algorithms: {sorted(metrics)})",
        remedy="check that the table has labelled rows, and that `by` names a metric",
    )
