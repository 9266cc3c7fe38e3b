"""What the structured columns say of a cluster: lift of categories, shift of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark.columns import CLUSTER
from fusionspark.mine.significance import fisher_greater
from fusionspark.mine.stability import frequent_values

#: Values of a category that are looked at, the most frequent ones.
MOST_VALUES = 50
#: Least lift that is told, and least shift in standard deviations (Cohen 1988 calls 0.2 a small effect).
LIFT, SHIFT = 1.2, 0.2
#: Chance at which either would come about in a random cluster of this size, at most; and its normal quantile.
CHANCE, QUANTILE = 0.001, 3.2905
#: Told of a cluster, the strongest ones.
MOST_TOLD = 5


def lifts(
    joined: DataFrame, categorical: Sequence[str], sizes: Mapping[int, int]
) -> dict[int, list[dict[str, Any]]]:
    """Values that are more frequent in a cluster than in the whole table, the surest first.

    Parameters
    ----------
    joined : DataFrame
        ``cluster`` and the columns.
    sizes : mapping of int to int
        Rows of each cluster.

    Returns
    -------
    dict
        Cluster -> ``[{column, value, share, overall, lift}]``: share of its rows with the value, of all rows,
        and the quotient. Told is a lift of at least `LIFT` whose p-value (Fisher's exact test) is at most
        `CHANCE`.
    """
    known = frequent_values(
        joined, {name: F.col(f"`{name}`").cast("string") for name in categorical}, MOST_VALUES
    )
    pairs = [
        F.struct(
            F.lit(name).alias("column"),
            F.when(
                F.col(f"`{name}`").cast("string").isin([value for value, _ in values]),
                F.col(f"`{name}`").cast("string"),
            ).alias("value"),
        )
        for name, values in known.items()
        if values
    ]
    if not pairs:
        return {}
    each = joined.select(CLUSTER, F.explode(F.array(*pairs)).alias("each")).select(CLUSTER, "each.*")
    counted = each.where("value IS NOT NULL").groupBy(CLUSTER, "column", "value").count().collect()
    if not counted:
        return {}
    totals = {(name, value): rows for name, values in known.items() for value, rows in values}
    whole = sum(sizes.values())
    of = [totals[(row["column"], row["value"])] for row in counted]
    p_values = fisher_greater(
        whole, [sizes[row[CLUSTER]] for row in counted], of, [row["count"] for row in counted]
    )
    found: dict[int, list[tuple[Any, ...]]] = {}
    for row, rows, p in zip(counted, of, p_values, strict=True):
        share, overall = row["count"] / sizes[row[CLUSTER]], rows / whole
        if share >= LIFT * overall and p <= CHANCE:
            told = {
                "column": row["column"],
                "value": row["value"],
                "share": share,
                "overall": overall,
                "lift": share / overall,
            }
            found.setdefault(row[CLUSTER], []).append(
                (float(p), -told["lift"], row["column"], row["value"], told)
            )
    return {
        cluster: [one[-1] for one in sorted(told, key=lambda t: t[:-1])[:MOST_TOLD]]
        for cluster, told in found.items()
    }


def shifts(joined: DataFrame, numeric: Sequence[str]) -> dict[int, list[dict[str, Any]]]:
    """Numbers whose mean in a cluster lies apart from that of the whole table, the farthest first.

    Returns
    -------
    dict
        Cluster -> ``[{column, mean, overall, shift}]``, ``shift`` in standard deviations of the whole table.
        Told is a shift of at least `SHIFT` that is `QUANTILE` standard errors from 0. Missing values are left
        out.
    """
    if not numeric:
        return {}
    measures = []
    for i, name in enumerate(numeric):
        number = F.col(f"`{name}`").cast("double")
        number = F.when(~F.isnan(number), number)
        measures += [
            F.count(number).alias(f"n{i}"),
            F.avg(number).alias(f"m{i}"),
            F.stddev_pop(number).alias(f"s{i}"),
        ]
    whole = joined.agg(*measures).collect()[0]
    found: dict[int, list[dict[str, Any]]] = {}
    for row in joined.groupBy(CLUSTER).agg(*measures).orderBy(CLUSTER).collect():
        told: list[dict[str, Any]] = []
        for i, name in enumerate(numeric):
            rows, mean, overall, deviation = row[f"n{i}"], row[f"m{i}"], whole[f"m{i}"], whole[f"s{i}"]
            if not rows or not deviation:
                continue
            shift = (mean - overall) / deviation
            if abs(shift) >= SHIFT and abs(shift) * rows**0.5 >= QUANTILE:
                told.append(
                    {"column": name, "mean": _plain(mean), "overall": _plain(overall), "shift": _plain(shift)}
                )
        found[row[CLUSTER]] = sorted(told, key=lambda one: (-abs(one["shift"]), one["column"]))[:MOST_TOLD]
    return found


def _plain(number: float) -> float:
    """Six digits: the last ones of a sum depend on the order of the rows."""
    return float(f"{number:.6g}")
