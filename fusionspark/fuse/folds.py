"""Folds: by a hash of what must stay together (the row, or its group), or by stretches of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fusionspark.errors import DataContractError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

FOLD_BY = ("hash", "time")
#: Column of a row's fold, on its way to a task.
FOLD = "__fold"


def fold_of(key: str, folds: int, seed: int) -> Column:
    """Return the fold of each row, 0 to ``folds - 1``: equal keys share one, whatever else there is."""
    from pyspark.sql import functions as F

    hashed = F.xxhash64(F.lit(seed), F.lit("fold"), F.col(f"`{key}`").cast("string"))
    return F.pmod(hashed, F.lit(folds)).cast("int")


def _moment(name: str) -> Column:
    """A date or timestamp as seconds since 1970, a number as itself."""
    from pyspark.sql import functions as F

    return F.col(f"`{name}`").cast("timestamp").cast("double")


def time_bounds(rows: DataFrame, name: str, folds: int) -> list[float]:
    """Return the first moment of each stretch but the first, and the first moment after all rows.

    Equal moments share a stretch, so there may be fewer than ``folds``.

    Raises
    ------
    DataContractError
        A row has no moment.
    """
    from pyspark.sql import functions as F

    moment = _moment(name)
    shares = [i / folds for i in range(1, folds)]
    found = rows.agg(
        F.percentile_approx(moment, shares, 10_000).alias("cuts"),
        F.min(moment).alias("low"),
        F.max(moment).alias("high"),
        F.count(F.when(moment.isNull(), 1)).alias("none"),
    ).collect()[0]
    if found["none"]:
        raise DataContractError(
            f"column {name!r}",
            f"{found['none']} rows have no time, so they belong to no stretch of it",
            remedy="fill the column, or make folds by a hash",
        )
    cuts = sorted({cut for cut in found["cuts"] if cut > found["low"]})
    # Spark keeps microseconds; what comes after the last training row is not one of its stretch.
    return [*cuts, found["high"] + 1e-6]


def fold_column(by: str, name: str, folds: int, seed: int, bounds: Sequence[float]) -> Column:
    """Return the fold of each row: by hash, or the number of bounds that its moment has reached."""
    from pyspark.sql import functions as F

    if by == "hash":
        return fold_of(name, folds, seed)
    moment, fold = _moment(name), F.lit(0)
    for bound in bounds:
        fold = fold + F.when(moment >= F.lit(bound), 1).otherwise(0)
    # A row without a moment is answered by the model of all rows.
    return F.when(moment.isNull(), F.lit(len(bounds))).otherwise(fold).cast("int")
