"""What features must be before MLlib sees them, asked in one aggregation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fusionspark.columns import MODEL_DIGEST
from fusionspark.errors import ConfigError, DataContractError, nearest

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


@dataclass(frozen=True)
class FeatureFacts:
    """Rows, width of the vectors, and the share of rows that are stored dense."""

    rows: int
    width: int
    dense: float


def finite(features: str) -> Column:
    """Return whether the vector is there and holds finite numbers only."""
    from pyspark.sql import functions as F

    values = F.unwrap_udt(F.col(features))["values"]
    good = F.lit(True)
    for bad in (float("nan"), float("inf"), float("-inf")):
        good = good & ~F.array_contains(values, F.lit(bad))
    return F.coalesce(good, F.lit(False))


def vector_size(features: str) -> Column:
    """Return the width of the vector; -1 for null."""
    from pyspark.sql import functions as F

    stored = F.unwrap_udt(F.col(features))
    return F.coalesce(stored["size"], F.size(stored["values"]))


def check_columns(df: DataFrame, names: list[str], features: str) -> None:
    """Raise where a column is missing or ``features`` is no vector column.

    Raises
    ------
    ConfigError
        A column is missing.
    DataContractError
        ``features`` is of another type.
    """
    from pyspark.ml.linalg import VectorUDT

    for name in [*names, features]:
        if name not in df.columns:
            raise ConfigError(
                f"column {name!r}",
                f"missing from the features{nearest(name, df.columns)}",
                allowed=", ".join(df.columns),
            )
    kind = df.schema[features].dataType
    if not isinstance(kind, VectorUDT):
        raise DataContractError(
            f"column {features!r}",
            f"is of type {kind.simpleString()}",
            allowed="an MLlib vector",
            remedy="use FeatureFuser, or pyspark.ml.functions.array_to_vector",
        )


def carried(df: DataFrame) -> list[str]:
    """Columns that a fit takes along for `feature_facts`: the model of each row, where the table names it."""
    return [MODEL_DIGEST] if MODEL_DIGEST in df.columns else []


def feature_facts(df: DataFrame, features: str, purpose: str) -> FeatureFacts:
    """Look at all rows once, and raise where MLlib would fail or learn nonsense.

    Raises
    ------
    DataContractError
        No rows; null, NaN or infinite features; vectors of unlike width. Counts are in the message.
    ModelMismatchError
        The column ``model_digest`` is there, and names two models or more.
    """
    from pyspark.sql import functions as F

    from fusionspark.one_model import check_seen, digest_range

    size = vector_size(features)
    found = df.agg(
        F.count(F.lit(1)).alias("rows"),
        F.count(F.when(~finite(features), 1)).alias("bad"),
        F.min(F.when(size >= 0, size)).alias("low"),
        F.max(size).alias("high"),
        F.avg(F.when(F.unwrap_udt(F.col(features))["type"] == 1, 1.0).otherwise(0.0)).alias("dense"),
        *digest_range(df),
    ).collect()[0]
    check_seen([found], df, f"rows for {purpose}")
    if not found["rows"]:
        raise DataContractError(
            f"rows for {purpose}", "there are none", remedy="check the split and the filters before it"
        )
    if found["bad"]:
        raise DataContractError(
            f"column {features!r}",
            f"{found['bad']} of {found['rows']} rows for {purpose} are null or hold NaN or infinity",
            allowed="finite numbers",
            remedy="impute before, or use FeatureFuser with handleInvalid keep",
        )
    if found["low"] != found["high"] or not found["high"]:
        raise DataContractError(
            f"column {features!r}",
            f"vectors are {found['low']} to {found['high']} wide",
            allowed="one width above 0 in all rows",
            remedy="make the features of all rows with one fitted model",
        )
    return FeatureFacts(found["rows"], found["high"], found["dense"])
