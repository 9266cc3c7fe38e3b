"""Frequent itemsets by MLlib's FP-growth, of a number that the driver can hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fusionspark.errors import DataContractError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Column of the items of a row.
ITEMS = "items"
#: Factor by which the least number of rows grows as long as there are too many itemsets.
RAISE = 1.5


@dataclass(frozen=True)
class Itemsets:
    """Frequent itemsets, each a sorted tuple, with the rows that hold all its items.

    ``min_rows`` is the least number of rows an itemset has; ``asked_rows`` what was asked for, and less than
    ``min_rows`` where that gave too many.
    """

    rows: int
    counts: Mapping[tuple[str, ...], int]
    min_rows: int
    asked_rows: int


def least_rows(rows: int, min_support: float, min_rows: int) -> int:
    """Rows that an itemset needs: a share of all, and never fewer than ``min_rows``.

    >>> least_rows(979, 0.01, 5), least_rows(200, 0.01, 5), least_rows(10, 0.3, 1)
    (10, 5, 3)
    """
    # 0.3 * 10 is a little more than 3 in binary.
    return max(math.ceil(min_support * rows - 1e-9), min_rows, 1)


def frequent_itemsets(
    baskets: DataFrame, *, min_support: float, min_rows: int, most: int, partitions: int = 4
) -> Itemsets:
    """Find the itemsets that occur often enough (Han, Pei and Yin 2000, by `pyspark.ml.fpm.FPGrowth`).

    Where there are more than ``most``, the least number of rows is raised by half until there are not: MLlib
    knows no longest itemset, and rows with many items that go together have exponentially many of them.

    Parameters
    ----------
    baskets : DataFrame
        ``items array<string>``, no item twice in a row. Read several times: best cached.
    min_support : float
        Least share of rows.
    min_rows : int
        Least number of rows, whatever the share.
    most : int
        Itemsets that reach the driver.
    partitions : int
        Parts in which the itemsets are searched at once; the result does not depend on it.

    Raises
    ------
    DataContractError
        No rows.
    """
    from pyspark.ml.fpm import FPGrowth

    items = baskets.select(ITEMS)
    rows = items.count()
    if not rows:
        raise DataContractError(
            "rows for association rules", "there are none", remedy="check the source and its filters"
        )
    asked = least = least_rows(rows, min_support, min_rows)
    while True:
        # Half a row less: MLlib rounds share times rows up, and a share in binary may lie above the whole.
        model = FPGrowth(itemsCol=ITEMS, minSupport=(least - 0.5) / rows, numPartitions=partitions).fit(items)
        # MLlib makes the itemsets one by one while they are read, so a limit ends it early.
        found = model.freqItemsets.limit(most + 1).collect()
        if len(found) <= most:
            counts = {tuple(sorted(row["items"])): int(row["freq"]) for row in found}
            return Itemsets(rows, counts, least, asked)
        least = max(least + 1, math.ceil(least * RAISE))
