"""The shape of a source: types, missing values and frequent categories of its columns."""

from __future__ import annotations

from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from fusionspark.config import Columns
from fusionspark.mine.stability import frequent_values

#: Categories of a column whose shares are kept, the most frequent ones.
MOST_CATEGORIES = 20
#: Characters of a category that are kept.
_LONGEST = 100


def profile(source: DataFrame, columns: Columns) -> dict[str, Any]:
    """Count rows, missing values and categories of a source that is held in memory.

    One aggregation over all columns, and one over the configured categorical columns and the label. Missing
    is null, NaN or a blank string: a feed that begins to write one for the other has changed nothing.

    Returns
    -------
    dict
        ``rows``, and ``columns: {name: {type, null_share[, categories, whole]}}``. ``categories`` holds the
        shares of the `MOST_CATEGORIES` most frequent values; ``whole`` says that there are no others.
    """
    names = source.columns
    counted = source.agg(
        F.count(F.lit(1)).alias("rows"),
        *[F.count(F.when(_missing(source, name), 1)).alias(f"missing{i}") for i, name in enumerate(names)],
    ).collect()[0]
    rows = counted["rows"]
    found: dict[str, dict[str, Any]] = {
        name: {
            "type": source.schema[name].dataType.simpleString(),
            "null_share": _share(counted[f"missing{i}"], rows),
        }
        for i, name in enumerate(names)
    }
    known = columns.label in names and not columns.number
    kinds = [*columns.categorical, *([columns.label] if known else [])]
    values = {
        name: F.substring(F.trim(F.when(~_missing(source, name), _at(name).cast("string"))), 1, _LONGEST)
        for name in kinds
        if name is not None
    }
    # One more than is kept: it tells whether there are others.
    for name, top in frequent_values(source, values, MOST_CATEGORIES + 1).items():
        found[name]["categories"] = {value: _share(n, rows) for value, n in top[:MOST_CATEGORIES]}
        found[name]["whole"] = len(top) <= MOST_CATEGORIES
    return {"rows": rows, "columns": found}


def _at(name: str) -> Column:
    return F.col(f"`{name}`")


def _missing(source: DataFrame, name: str) -> Column:
    kind = source.schema[name].dataType
    if isinstance(kind, T.FloatType | T.DoubleType):
        return _at(name).isNull() | F.isnan(_at(name))
    if isinstance(kind, T.StringType):
        return _at(name).isNull() | (F.trim(_at(name)) == "")
    return _at(name).isNull()


def _share(part: int, rows: int) -> float:
    return round(part / rows, 6) if rows else 0.0
