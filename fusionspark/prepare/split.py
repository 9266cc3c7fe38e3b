"""Which rows train, which choose, which only measure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from fusionspark.columns import ROW_ID, SPLIT, TEST, TRAIN, VALIDATION
from fusionspark.config import Split
from fusionspark.errors import DataContractError


@dataclass(frozen=True)
class DateCut:
    """Where ``split.by: date`` cuts: first day of validation and of test, and the last day of all.

    Kept with the models that were trained on the days before, so that later nights cut at the same days.
    """

    validation_from: dt.date | None
    test_from: dt.date | None
    last: dt.date

    def facts(self) -> dict[str, str | None]:
        """As JSON."""
        return {name: None if day is None else day.isoformat() for name, day in asdict(self).items()}

    @classmethod
    def from_facts(cls, facts: Mapping[str, str | None]) -> DateCut:
        """Read back what `facts` gave."""
        return cls(**{name: day and dt.date.fromisoformat(day) for name, day in facts.items()})  # type: ignore[arg-type]


def date_cut(df: DataFrame, split: Split, date: str, *, kept: DateCut | None = None) -> DateCut:
    """Find the days at which ``split.by: date`` cuts; runs one small aggregation.

    The latest days are for test and the days before them for validation, cut between days so that no day is
    on both sides. With ``kept`` that cut stands, and days after its last one are all for test.

    Raises
    ------
    DataContractError
        A row has no date, or there are too few days to cut.
    """
    day = F.to_date(F.col(f"`{date}`"))
    counts = [(r["day"], r["count"]) for r in df.groupBy(day.alias("day")).count().orderBy("day").collect()]
    undated = sum(n for d, n in counts if d is None)
    if undated:
        raise DataContractError(
            f"column {date!r}",
            f"{undated} rows have no date, so they belong to no side of split.by: date",
            remedy="fill the date, drop the rows with source.where, or use split.by: hash",
        )
    if kept is not None:
        return kept
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
    return DateCut(validation_from, test_from, counts[-1][0])


@dataclass(frozen=True)
class HashCut:
    """Where ``split.by: hash`` cuts: draws of 0 to 1 below ``test`` are test rows, those up to ``validation``
    validation rows.
    """

    test: float
    validation: float


def hash_cut(df: DataFrame, split: Split, *, seed: int, kept: Mapping[str, float] | None = None) -> HashCut:
    """Find the draws at which ``split.by: hash`` cuts; runs a job only where numbers of rows are held out.

    Shares are draws themselves. Numbers are counted off in the order of the draws, so the rows that are held
    out are exactly so many, the same whatever the partitioning; they change as rows come and go. With
    ``kept`` (the fields of a cut) that cut stands: what was trained on is never held out.

    Raises
    ------
    DataContractError
        Fewer rows than are to be held out, and one to train on.
    """
    if kept is not None:
        return HashCut(**kept)
    if not split.counted:
        return HashCut(split.test, split.test + split.validation)
    held, rows = int(split.test + split.validation), df.count()
    if rows <= held:
        raise DataContractError(
            "rows to split",
            f"{rows}, of which split.test and split.validation hold out {held}",
            allowed=f"at least {held + 1}",
            remedy="give more rows, or lower split.test and split.validation",
        )
    draws = df.select(_draw(seed, F.col(ROW_ID)).alias("draw"))

    def after(count: float) -> float:
        """The draw that comes after so many."""
        least = draws.orderBy("draw").limit(int(count) + 1)
        return float(least.agg(F.max("draw")).collect()[0][0])

    return HashCut(after(split.test), after(split.test + split.validation))


def _draw(seed: int, unit: Column) -> Column:
    # 53 bits fit a double exactly; pmod makes the signed hash non-negative.
    return F.pmod(F.xxhash64(F.lit(seed), F.lit("split"), unit), F.lit(2**53)) / F.lit(2.0**53)


def split_by_hash(df: DataFrame, cut: HashCut, *, seed: int, unit: Column | None = None) -> DataFrame:
    """Add the column ``split``, drawn from a seeded hash of ``row_id``; lazy.

    Where shares are held out, a row keeps its part whatever other rows come and go. Rows of one ``unit`` (of
    strings), where it is given, fall into one part, that of the row whose ``row_id`` equals it.
    """
    draw = _draw(seed, F.col(ROW_ID) if unit is None else unit)
    part = F.when(draw < cut.test, TEST).when(draw < cut.validation, VALIDATION).otherwise(TRAIN)
    return df.withColumn(SPLIT, part)


def split_by_date(df: DataFrame, date: str, cut: DateCut) -> DataFrame:
    """Add the column ``split`` by the day in column ``date``; lazy."""
    day = F.to_date(F.col(f"`{date}`"))
    part = F.lit(TRAIN)
    if cut.validation_from is not None:
        part = F.when(day >= F.lit(cut.validation_from), VALIDATION).otherwise(part)
    if cut.test_from is not None:
        part = F.when(day >= F.lit(cut.test_from), TEST).otherwise(part)
    return df.withColumn(SPLIT, F.when(day > F.lit(cut.last), TEST).otherwise(part))


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
