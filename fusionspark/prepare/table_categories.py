"""Categories of a table: frequent values get a feature each, rare ones share one or a few."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F


def learn(dataset: DataFrame, name: str, most: int) -> list[str]:
    """The ``most`` frequent values; ties are broken by name, so that the order of rows does not matter."""
    value = F.col(f"`{name}`")
    frequent = (
        dataset.where(value.isNotNull())
        .groupBy(value.alias("value"))
        .count()
        .orderBy(F.desc("count"), "value")
        .limit(most)
        .collect()
    )
    return [row["value"] for row in frequent]


def features(name: str, values: Sequence[str], buckets: int) -> Column:
    """One-hot features of ``values``, then of the others, then one for null.

    Others, also those never seen, share one feature; with ``buckets`` above 0 their hash picks one of so many
    (feature hashing, Weinberger et al. 2009, arXiv 0902.2206).
    """
    value = F.col(f"`{name}`").cast("string")
    known = F.array(*[F.lit(v) for v in values]) if values else F.array().cast("array<string>")
    hot = F.transform(known, _is_value(value))
    other = value.isNotNull() & ~F.coalesce(F.array_contains(known, value), F.lit(False))
    if buckets:
        bucket = F.pmod(F.xxhash64(F.lit(name), value), F.lit(buckets))
        others = F.array(*[(other & (bucket == i)).cast("double") for i in range(buckets)])
    else:
        others = F.array(other.cast("double"))
    return F.concat(hot, others, F.array(value.isNull().cast("double")))


def feature_names(name: str, values: Sequence[str], buckets: int) -> list[str]:
    """Name of each of `features`."""
    others = [f"{name} is another ({i + 1} of {buckets})" for i in range(buckets)] or [f"{name} is another"]
    return [*[f"{name} = {value}" for value in values], *others, f"{name} is missing"]


def _is_value(value: Column) -> Callable[[Column], Column]:
    """Expression of one array element: 1.0 where it equals ``value``; 0.0 elsewhere, also for null."""
    return lambda element: F.when(element == value, 1.0).otherwise(0.0)
