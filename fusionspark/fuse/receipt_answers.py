"""The arms of the fusion receipt, trained side by side: one task an arm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from fusionspark.columns import FEATURES, LABEL, ROW_ID, SPLIT, TRAIN
from fusionspark.fuse import receipt_numbers
from fusionspark.fuse.folds import FOLD, fold_of
from fusionspark.fuse.receipt_arms import FOLDS, Arm, Rows, train_arm
from fusionspark.fuse.receipt_numbers import NumberRows
from fusionspark.fuse.vector_rows import parts, stacked

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

ARM, LEARNER, SAID = "arm", "learner", "said"
ANSWERS_DDL = (
    f"{ARM} string, {LEARNER} string, {ROW_ID} string, {SPLIT} string, {LABEL} string, {SAID} array<double>"
)


def sampled(features: DataFrame, shares: Mapping[str, float], seed: int) -> DataFrame:
    """Keep a share of the labelled rows of each split, by a hash of ``row_id``; lazy."""
    from pyspark.sql import functions as F

    draw = F.pmod(F.xxhash64(F.lit(seed), F.lit("receipt"), F.col(ROW_ID)), F.lit(2**53)) / F.lit(2.0**53)
    kept = [(F.col(SPLIT) == split) & (draw < share) for split, share in shares.items()]
    return features.where(F.col(LABEL).isNotNull() & reduce(lambda a, b: a | b, kept))


def answers(
    features: DataFrame, arms: Sequence[Arm], labels: Sequence[str] | None, *, seed: int
) -> DataFrame:
    """Train each arm and return what it says of the validation and test rows (`ANSWERS_DDL`); lazy.

    Parameters
    ----------
    features : DataFrame
        row_id, split, label and features. All rows of an arm meet in one task, so their number must be
        bounded (see `sampled`).
    labels : sequence of str, or None
        Labels of the training rows; position i of ``said`` is the log-probability of label i. None: labels
        are numbers, and so is the only value of ``said``.
    """
    from pyspark.sql import functions as F

    known, by_number = None if labels is None else list(labels), dict(enumerate(arms))

    def train(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        rows, facts = stacked(batches)
        if rows is None:
            return
        numbers = np.array(facts["__arm"])
        for number in np.unique(numbers):
            here = np.flatnonzero(numbers == number)
            here = here[np.argsort(np.array(facts[ROW_ID], dtype=object)[here])]
            splits = np.array([facts[SPLIT][i] for i in here], dtype=object)
            labelled = [facts[LABEL][i] for i in here]
            arm, folds = by_number[int(number)], np.array(facts[FOLD])[here]
            if known is None:
                targets = np.array(labelled, dtype=np.float64)
                found = receipt_numbers.train_arm(arm, NumberRows(rows[here], folds, splits, targets), seed)
            else:
                place = {label: i for i, label in enumerate(known)}
                classes = np.array([place.get(label, -1) for label in labelled])
                found = train_arm(arm, Rows(rows[here], folds, splits, classes, len(known)), seed)
            shown = np.flatnonzero(splits != TRAIN)
            yield pa.RecordBatch.from_pydict(
                {
                    ARM: pa.array([arm.name] * len(shown), pa.string()),
                    LEARNER: pa.array([found.learner] * len(shown), pa.string()),
                    ROW_ID: pa.array([facts[ROW_ID][here[i]] for i in shown], pa.string()),
                    SPLIT: pa.array(list(splits[shown]), pa.string()),
                    LABEL: pa.array([facts[LABEL][here[i]] for i in shown], pa.string()),
                    SAID: pa.array(list(found.said[shown]), pa.list_(pa.float64())),
                }
            )

    each = F.explode(F.array(*[F.lit(number) for number in by_number])).alias("__arm")
    sent = features.select(
        ROW_ID, SPLIT, LABEL, fold_of(ROW_ID, FOLDS, seed).alias(FOLD), *parts(FEATURES), each
    )
    # More parts than arms, so that few arms share one; which do changes nothing but the time.
    return sent.repartition(2 * len(arms), "__arm").mapInArrow(train, ANSWERS_DDL)
