"""Which rows train, which choose, which only measure."""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark.columns import ROW_ID, SPLIT, TEST, TRAIN, VALIDATION
from fusionspark.config import Split
from fusionspark.errors import DataContractError


def assign_split(df: DataFrame, split: Split, *, seed: int, date: str | None = None) -> DataFrame:
    """Add the column ``split``.

    ``by: hash`` draws from a seeded hash of ``row_id``, so a row keeps its part whatever other rows come and
    go. ``by: date`` gives the latest days to test and the days before them to validation, cut between days
    so that no day is on both sides; this runs one small aggregation.

    Raises
    ------
    DataContractError
        ``by: date`` and a row has no date, or there are too few days to cut.
    """
    if split.by == "hash":
        # 53 bits fit a double exactly; pmod makes the signed hash non-negative.
        draw = F.pmod(F.xxhash64(F.lit(seed), F.lit("split"), F.col(ROW_ID)), F.lit(2**53)) / F.lit(2.0**53)
        part = (
            F.when(draw < split.test, TEST)
            .when(draw < split.test + split.validation, VALIDATION)
            .otherwise(TRAIN)
        )
        return df.withColumn(SPLIT, part)
    day = F.to_date(F.col(f"`{date}`"))
    counts = [(r["day"], r["count"]) for r in df.groupBy(day.alias("day")).count().orderBy("day").collect()]
    undated = sum(n for d, n in counts if d is None)
    if undated:
        raise DataContractError(
            f"column {date!r}",
            f"{undated} rows have no date, so they belong to no side of split.by: date",
            remedy="fill the date, drop the rows with source.where, or use split.by: hash",
        )
    test_from = _first_day(counts, split.test)
    before = [(d, n) for d, n in counts if test_from is None or d < test_from]
    rows = sum(n for _, n in counts)
    share = split.validation * rows / max(1, sum(n for _, n in before))
    validation_from = _first_day(before, share)
    if not [d for d, _ in before if validation_from is None or d < validation_from]:
        raise DataContractError(
            f"column {date!r}",
            f"{len(counts)} different days are too few to part into train, validation and test",
            remedy="lower split.test and split.validation, or use split.by: hash",
        )
    part = F.lit(TRAIN)
    if validation_from is not None:
        part = F.when(day >= F.lit(validation_from), VALIDATION).otherwise(part)
    if test_from is not None:
        part = F.when(day >= F.lit(test_from), TEST).otherwise(part)
    return df.withColumn(SPLIT, part)


def _first_day(counts: list[tuple[Any, int]], share: float) -> Any:
    """The latest day from which on at least ``share`` of the rows lie; None for a share of 0."""
    wanted = share * sum(n for _, n in counts)
    seen = 0
    if share <= 0:
        return None
    for day, rows in reversed(counts):
        seen += rows
        if seen >= wanted:
            return day
    return None
