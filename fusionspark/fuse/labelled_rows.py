"""The rows that a fusion method learns from: those with a label it knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fusionspark.errors import ConfigError, DataContractError, nearest

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def class_column(label: str, labels: Sequence[str]) -> Column:
    """Return the place of each row's label among ``labels``; null for others."""
    from pyspark.sql import functions as F

    # A plain CASE: array_position takes no column as value before Spark 4.
    value, place = F.col(f"`{label}`").cast("string"), F.when(F.lit(False), -1)
    for number, name in enumerate(labels):
        place = place.when(value == F.lit(name), number)
    return place


def rows_for_fit(
    dataset: DataFrame, label: str, labels: Sequence[str], *, key: str, limit: int, seed: int
) -> DataFrame:
    """Return the rows with a known label, at most about ``limit`` of them, drawn by a hash of ``key``.

    Raises
    ------
    ConfigError
        The key column is missing.
    DataContractError
        Fewer than two of the labels have rows.
    """
    from pyspark.sql import functions as F

    if key not in dataset.columns:
        raise ConfigError(f"column {key!r}", f"no such column{nearest(key, dataset.columns)}")
    known = dataset.where(class_column(label, labels).isNotNull())
    counts = {row[0]: row[1] for row in known.groupBy(F.col(f"`{label}`").cast("string")).count().collect()}
    if len(counts) < 2:
        raise DataContractError(
            "the label",
            f"rows to learn from have {len(counts)} class(es): {', '.join(map(repr, counts)) or 'none'}",
            allowed="at least two classes",
            remedy="check the label, or fuse by concatenation, which needs none",
        )
    share = limit / sum(counts.values())
    if share >= 1:
        return known
    draw = F.pmod(F.xxhash64(F.lit(seed), F.lit("fit"), F.col(f"`{key}`").cast("string")), F.lit(2**53))
    return known.where(draw / F.lit(2.0**53) < share)
