"""A bounded sample of feature vectors on the driver, the same for every partitioning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionspark.mine.arrow_columns import Matrix, as_stored, collect_arrow, matrices

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Rows that are brought to the driver at most, and numbers: very wide vectors get a smaller sample.
ROWS, MAX_CELLS = 10_000, 20_000_000


def feature_sample(df: DataFrame, features: str, *, seed: int, purpose: str, by: str | None = None) -> Matrix:
    """The rows with the smallest seeded hash, in its order, as float32 (rows x width).

    Parameters
    ----------
    features : str
        Vector or array column, of one width and without nulls.
    purpose : str
        What it is drawn for: samples for two purposes are two samples.
    by : str, optional
        Column that is hashed; by default the features themselves, so that equal rows come all or none.
    """
    from pyspark.sql import functions as F

    stored = as_stored(df, features)
    column = stored if by is None else F.col(f"`{by}`")
    draw = F.xxhash64(F.lit(seed), F.lit(purpose), column)
    rows = df.select(stored.alias("features"), draw.alias("draw"), column.alias("by"))
    size = F.coalesce(F.col("features")["size"], F.size(F.col("features")["values"]))
    is_struct = rows.schema["features"].dataType.typeName() == "struct"
    first = rows.select((size if is_struct else F.size("features")).alias("n")).first()
    if first is None:
        return np.zeros((0, 0), dtype=np.float32)
    most = max(2, min(ROWS, MAX_CELLS // max(1, first["n"])))
    keys = ["draw"] if by is None else ["draw", "by"]
    table = collect_arrow(rows.orderBy(*keys).limit(most).select("features", *keys))
    table = table.sort_by([(key, "ascending") for key in keys])
    pieces = [piece for batch in table.to_batches() for piece in matrices(batch.column("features"))]
    return np.concatenate(pieces)
