"""Folds: by a hash of what must stay together (the row, or its group), or by stretches of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fusionspark.errors import DataContractError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    from pyspark.sql import Column, DataFrame

FOLD_BY = ("hash", "time")
#: Column of a row's fold, on its way to a task.
FOLD = "__fold"
#: In place of a fold: of a row that nothing was learnt from.
NEW = -1


def hash_of(key: str, seed: int) -> Column:
    """Return the 64-bit hash of each row that its fold comes from."""
    from pyspark.sql import functions as F

    return F.xxhash64(F.lit(seed), F.lit("fold"), F.col(f"`{key}`").cast("string"))


def fold_of(key: str, folds: int, seed: int) -> Column:
    """Return the fold of each row, 0 to ``folds - 1``: equal keys share one, whatever else there is."""
    from pyspark.sql import functions as F

    return F.pmod(hash_of(key, seed), F.lit(folds)).cast("int")


def fold_of_learnt(learnt: npt.NDArray[np.int64], folds: int) -> Any:
    """Return a column function of `hash_of`: the fold of a row whose hash is among ``learnt``, else `NEW`.

    Parameters
    ----------
    learnt : array of int64
        Sorted.
    folds : int
    """
    import numpy as np
    import pandas as pd
    from pyspark.sql.pandas.functions import pandas_udf

    def batch(hashes: pd.Series) -> pd.Series:
        sought = hashes.to_numpy()
        places = np.minimum(np.searchsorted(learnt, sought), len(learnt) - 1)
        return pd.Series(np.where(learnt[places] == sought, sought % folds, NEW))

    # Types as objects: pyspark reads them to see what kind of UDF this is.
    batch.__annotations__ = {"hashes": pd.Series, "return": pd.Series}
    return pandas_udf(batch, "int")  # type: ignore[call-overload]


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
