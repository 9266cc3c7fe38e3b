"""Columns that hardly move, on which MLlib's penalised linear learners give up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Most that one of these columns could add to the deviation of a margin.
INFLUENCE = 1e-3


def without_still_columns(rows: DataFrame, column: str, penalty: float) -> DataFrame:
    """Return the rows with zeros where the penalty leaves a feature next to no influence.

    MLlib optimises over features of deviation 1, in which the penalty of the features as they are becomes
    ``penalty / variance``. One position of a vector that moves by a ten-thousandth of the others makes that
    ten million times theirs, no line search finds a step, and the fit ends where it began: with the majority
    class for every row. Such a position has nothing to say either. At the optimum ``penalty * |weight|`` is
    the mean of residual times centred feature, with a residual of at most 1 at most the feature's deviation,
    so what it adds to the deviation of a margin is at most ``variance / penalty``; up to `INFLUENCE` it is
    left out. MLlib gives a feature that never varies a weight of 0, so the model needs to know nothing of it.

    Parameters
    ----------
    rows : DataFrame
        Training rows.
    column : str
        Vectors of one width.
    penalty : float
        L2, relative to the mean loss of a row (``regParam``); with 0 nothing is left out.
    """
    from pyspark.ml.feature import ElementwiseProduct
    from pyspark.ml.linalg import Vectors
    from pyspark.ml.stat import Summarizer
    from pyspark.sql import functions as F

    if not penalty:
        return rows
    found = rows.select(Summarizer.variance(F.col(f"`{column}`"))).first()
    assert found is not None
    variance = np.asarray(found[0].toArray())
    still = (variance > 0) & (variance <= INFLUENCE * penalty)
    if not still.any():
        return rows
    moved, kept = f"__moving_{column}", [F.col(f"`{name}`") for name in rows.columns if name != column]
    mask = ElementwiseProduct(scalingVec=Vectors.dense((~still).astype(float).tolist()))
    zeroed = mask.setInputCol(column).setOutputCol(moved).transform(rows)
    return zeroed.select(*kept, F.col(f"`{moved}`").alias(column))
