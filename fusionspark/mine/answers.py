"""What trained models answer, one row a model, from one reading of the features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark.columns import FEATURES, LABEL, ROW_ID, SPLIT
from fusionspark.mine.checks import check_columns, finite


class Answering(Protocol):
    """A trained model."""

    def answer(self, features: DataFrame, name: str) -> DataFrame:
        """Add the answer to each row as a struct ``name`` of algorithm, prediction and scores; lazy."""
        ...


def predictions(models: Sequence[Answering], features: DataFrame) -> DataFrame:
    """Predictions of every row, with the columns of `columns.PREDICTIONS_DDL`; lazy.

    Reading a row without finite features fails with its ``row_id``, because every answer to it would be
    made up.
    """
    check_columns(features, [ROW_ID, SPLIT, LABEL], FEATURES)
    broken = F.raise_error(
        F.concat(
            F.lit("features of row "),
            F.col(ROW_ID),
            F.lit(": null, NaN or infinite. Remedy: use FeatureFuser with handleInvalid keep."),
        )
    )
    out = features.withColumn(FEATURES, F.when(finite(FEATURES), F.col(FEATURES)).otherwise(broken))
    names = [f"__answer_{i}" for i in range(len(models))]
    for one, name in zip(models, names, strict=True):
        out = one.answer(out, name)
    return spread(out, names)


def spread(answered: DataFrame, names: Sequence[str]) -> DataFrame:
    """One row of `columns.PREDICTIONS_DDL` for each of the structs ``names`` of a row."""
    each = F.inline(F.array(*[F.col(name) for name in names]))
    return answered.select(ROW_ID, SPLIT, LABEL, each)
