"""How far the columns of tonight lie from those that the models were trained on.

The measure is the population stability index, sum over bins of (a - e) ln(a / e) with the shares e at
training time and a now (Siddiqi 2006, "Credit Risk Scorecards", who calls 0.1 to 0.25 a shift worth a
look and more than that a major one). With n and m rows it is positive by chance alone: about (1/n + 1/m)
times a chi-square variable with bins - 1 degrees of freedom (Yurdakul and Naranjo 2020, "Statistical
properties of the population stability index", Journal of Risk Model Validation 14).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

#: How a column is parted: `edges` of a number or `values` of a category.
Bins = dict[str, Any]

#: Categories that get a bin of their own, the most frequent ones; all others share one.
MOST_VALUES = 20
#: Tenths of the training rows part a number into bins.
TENTHS = [i / 10 for i in range(1, 10)]
#: Standard normal quantile of 99.9%: what chance alone exceeds in one column of a thousand.
_Z = 3.0902


def psi(expected: Sequence[int], actual: Sequence[int]) -> tuple[float, float]:
    """Return the population stability index of two rows of counts, and what chance alone would reach.

    Half a row is added to every bin, so that an empty one stays finite. The second figure is the 99.9%
    quantile of the index for two samples of these sizes from one distribution (Wilson and Hilferty's
    approximation of the chi-square quantile).

    >>> [round(x, 3) for x in psi([500, 500], [500, 500])]
    [0.0, 0.022]
    >>> round(psi([5000, 5000], [8000, 2000])[0], 3)
    0.416
    """
    n, m, bins = sum(expected), sum(actual), len(expected)
    if not n or not m:
        return 0.0, 0.0
    total = 0.0
    for e, a in zip(expected, actual, strict=True):
        before, now = (e + 0.5) / (n + bins / 2), (a + 0.5) / (m + bins / 2)
        total += (now - before) * math.log(now / before)
    used = sum(1 for e, a in zip(expected, actual, strict=True) if e or a) - 1
    if used < 1:
        return total, 0.0
    quantile = used * (1 - 2 / (9 * used) + _Z * math.sqrt(2 / (9 * used))) ** 3
    return total, quantile * (1 / n + 1 / m)


def learn_bins(df: DataFrame, numeric: Sequence[str], categorical: Sequence[str]) -> dict[str, Bins]:
    """Choose the bins of each column: tenths of a number (``edges``), frequent ``values`` of a category.

    One job for the numbers, one for the categories; what reaches the driver is bounded.
    """
    bins: dict[str, Bins] = {}
    if numeric:
        row = df.agg(
            *[F.percentile_approx(F.col(f"`{name}`"), TENTHS, 10_000).alias(name) for name in numeric]
        ).first()
        bins = {name: {"edges": sorted(set(row[name] or []))} for name in numeric}  # type: ignore[index]
    values = frequent_values(df, {name: F.col(f"`{name}`") for name in categorical}, MOST_VALUES)
    return bins | {name: {"values": [value for value, _ in top]} for name, top in values.items()}


def frequent_values(
    df: DataFrame, values: Mapping[str, Column], most: int
) -> dict[str, list[tuple[str, int]]]:
    """Return the ``most`` frequent values of each string column with their rows; one job for all columns."""
    found: dict[str, list[tuple[str, int]]] = {name: [] for name in values}
    if not values:
        return found
    each = df.select(_each(list(values.items()))).select("each.*").where("bin IS NOT NULL")
    # Ties are broken by name, so that the list does not depend on the order of rows.
    order = Window.partitionBy("column").orderBy(F.col("count").desc(), "bin")
    ranked = each.groupBy("column", "bin").count().withColumn("nth", F.row_number().over(order))
    for row in ranked.where(F.col("nth") <= most).orderBy("column", "nth").collect():
        found[row["column"]].append((row["bin"], row["count"]))
    return found


def count_bins(df: DataFrame, bins: Mapping[str, Bins]) -> dict[str, list[int]]:
    """Count the rows of each bin, all columns in one aggregation.

    Returns
    -------
    dict
        ``{column: counts}`` in the order of the bins; then, for a category, all other values; last of all the
        missing ones.
    """
    if not bins:
        return {}
    place = _each([(name, _bin(F.col(f"`{name}`"), how)) for name, how in bins.items()])
    counts = {
        name: [0] * (len(how["edges"] if "edges" in how else how["values"]) + 2) for name, how in bins.items()
    }
    for row in df.select(place).select("each.*").groupBy("column", "bin").count().collect():
        counts[row["column"]][int(row["bin"])] = row["count"]
    return counts


def _each(columns: Sequence[tuple[str, Column]]) -> Column:
    """One row for each column of a row: its name and its value or bin."""
    pairs = [F.struct(F.lit(name).alias("column"), value.alias("bin")) for name, value in columns]
    return F.explode(F.array(*pairs)).alias("each")


def _bin(value: Column, how: Bins) -> Column:
    """Number of the bin of ``value``."""
    if "edges" in how:
        edges = how["edges"]
        place = F.lit(len(edges))
        for i, edge in reversed(list(enumerate(edges))):
            place = F.when(value <= edge, i).otherwise(place)
        return F.when(value.isNull(), len(edges) + 1).otherwise(place)
    values = how["values"]
    place = F.lit(len(values))
    for i, name in enumerate(values):
        place = F.when(value == name, i).otherwise(place)
    return F.when(value.isNull(), len(values) + 1).otherwise(place)
