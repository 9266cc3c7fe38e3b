"""The guard against vectors of two models in one table or one fit."""

from __future__ import annotations

from collections.abc import Iterable

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from fusionspark.columns import MODEL_DIGEST
from fusionspark.errors import ModelMismatchError


def digest_range(df: DataFrame) -> list[Column]:
    """Aggregates for `check_seen`, to be taken in a pass that is made anyway; none without the column."""
    if MODEL_DIGEST not in df.columns:
        return []
    return [F.min(MODEL_DIGEST).alias("first_model"), F.max(MODEL_DIGEST).alias("last_model")]


def check_seen(seen: Iterable[Row], df: DataFrame, place: str) -> None:
    """Raise as `check_one_model` does where ``seen``, rows with the aggregates of ``df``, name two models."""
    if MODEL_DIGEST not in df.columns:
        return
    digests = {row[name] for row in seen for name in ("first_model", "last_model")} - {None}
    if len(digests) > 1:
        check_one_model(df, place)


def check_one_model(vectors: DataFrame, place: str) -> None:
    """Raise unless all rows of ``vectors`` name one model; a few milliseconds, the column is constant.

    Raises
    ------
    ModelMismatchError
        Rows of two or more model digests; the message counts the rows of each.
    """
    counts = {row[0]: row["count"] for row in vectors.groupBy(MODEL_DIGEST).count().collect()}
    if len(counts) > 1:
        each = ", ".join(f"{n} rows of {str(digest)[:12]}" for digest, n in sorted(counts.items(), key=str))
        raise ModelMismatchError(
            place,
            f"mixes vectors of {len(counts)} models: {each}",
            allowed="one model digest",
            remedy="encode all rows with one model: run the stage represent, or the embedder, again",
        )
