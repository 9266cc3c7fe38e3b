"""Whether probabilities can be believed, and what the answers cost: figures beside accuracy and AUC."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark.columns import ALGORITHM, LABEL, PREDICTION, SCORES, SPLIT

#: Bins of equal width of the probability of the answer.
BINS = 10


def reliability(predictions: DataFrame) -> dict[tuple[str, str], dict[str, float]]:
    """Calibration of each algorithm on each split, in one job; margins are no probabilities and left out.

    Returns
    -------
    dict
        ``{(algorithm, split): {ece, brier}}``. ``ece`` is the expected calibration error: the distance of
        accuracy and mean probability of the answers, averaged over `BINS` bins by their rows (Guo et al.
        2017, "On calibration of modern neural networks"). ``brier`` is the squared distance of all
        probabilities to the truth, summed over the classes (Brier 1950): 0 to 2.
    """
    values = F.map_values(SCORES)
    total = F.aggregate(values, F.lit(0.0), lambda a, b: a + b)
    squares = F.aggregate(values, F.lit(0.0), lambda a, b: a + b * b)
    of_truth = F.coalesce(F.element_at(F.col(SCORES), F.col(LABEL)), F.lit(0.0))
    confidence = F.element_at(F.col(SCORES), F.col(PREDICTION))
    probable = (F.abs(total - 1) < 1e-6) & (F.array_min(values) >= 0)
    rows = predictions.where(F.col(LABEL).isNotNull() & F.col(PREDICTION).isNotNull()).select(
        ALGORITHM,
        SPLIT,
        F.least(F.floor(confidence * BINS), F.lit(BINS - 1)).alias("bin"),
        confidence.alias("confidence"),
        (F.col(LABEL) == F.col(PREDICTION)).cast("int").alias("hit"),
        (squares - 2 * of_truth + 1).alias("brier"),
        probable.alias("probable"),
    )
    found: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for row in (
        rows.groupBy(ALGORITHM, SPLIT, "bin")
        .agg(
            F.count("*").alias("rows"),
            F.sum("confidence").alias("confidence"),
            F.sum("hit").alias("hits"),
            F.sum("brier").alias("brier"),
            F.min("probable").alias("probable"),
        )
        .orderBy(ALGORITHM, SPLIT, "bin")
        .collect()
    ):
        found[row[ALGORITHM], row[SPLIT]].append(row)
    return {
        place: {
            # Spark adds up in the order in which parts arrive, which moves the last digits.
            "ece": round(expected_error([(b["rows"], b["confidence"], b["hits"]) for b in bins]), 12),
            "brier": round(sum(b["brier"] for b in bins) / sum(b["rows"] for b in bins), 12),
        }
        for place, bins in found.items()
        if all(b["probable"] for b in bins)
    }


def expected_error(bins: Sequence[tuple[int, float, int]]) -> float:
    """Expected calibration error of bins with their rows, sum of confidences and right answers.

    >>> round(expected_error([(4, 3.2, 2), (6, 3.6, 3)]), 6)
    0.18
    """
    return sum(abs(confidence - hits) for _, confidence, hits in bins) / sum(rows for rows, _, _ in bins)


def mean_cost(confusion: Mapping[str, Any], costs: Mapping[str, Mapping[str, float]]) -> float | None:
    """Mean cost of a row: as stated for its truth and answer, else 1 for a wrong answer; None without rows.

    >>> mean_cost({"labels": ["a", "b"], "matrix": [[3, 1], [1, 0]]}, {"b": {"a": 5}})
    1.2
    """
    labels, matrix = confusion["labels"], confusion["matrix"]
    rows = sum(int(count) for line in matrix for count in line)
    if not rows:
        return None
    spent: float = sum(
        count * float(costs.get(truth, {}).get(answer, 0.0 if truth == answer else 1.0))
        for truth, line in zip(labels, matrix, strict=True)
        for answer, count in zip(labels, line, strict=True)
    )
    return spent / rows
