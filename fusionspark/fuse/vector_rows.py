"""Fused vectors on their way to Python: as Arrow columns, and as one sparse matrix there.

MLlib's vectors cross to Python as objects, one a row. Their parts do as plain lists: a row is ``size``,
``indices`` (null where it is dense) and ``values``, and a batch of them becomes a matrix without a loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyspark.sql import Column

#: Columns of a vector's parts.
SIZE, INDICES, VALUES = "__size", "__indices", "__values"


def parts(features: str) -> list[Column]:
    """Return the columns of the parts of vector column ``features``; evaluated inside the JVM."""
    from pyspark.sql import functions as F

    stored = F.unwrap_udt(F.col(f"`{features}`"))
    return [
        F.coalesce(stored["size"], F.size(stored["values"])).alias(SIZE),
        stored["indices"].alias(INDICES),
        stored["values"].cast("array<float>").alias(VALUES),
    ]


def matrix(batch: pa.RecordBatch) -> Any:
    """Return the vectors of one batch as a scipy CSR matrix of float32, in the order of its rows."""
    from scipy import sparse

    stored, places = batch.column(VALUES), batch.column(INDICES)
    if not batch.num_rows:
        return sparse.csr_matrix((0, 0), dtype=np.float32)
    return _csr(
        batch.column(SIZE)[0].as_py(),
        stored.value_lengths().to_numpy(zero_copy_only=False),
        stored.flatten().to_numpy(zero_copy_only=False),
        places.is_null().to_numpy(zero_copy_only=False),
        places.flatten().to_numpy(zero_copy_only=False),
    )


def matrix_of_lists(size: pd.Series, indices: pd.Series, values: pd.Series) -> Any:
    """Return the vectors whose parts came as pandas columns, as a scipy CSR matrix of float32."""
    from scipy import sparse

    if not len(size):
        return sparse.csr_matrix((0, 0), dtype=np.float32)
    dense = indices.isna().to_numpy()
    places = list(indices[~dense])
    return _csr(
        int(size.iloc[0]),
        np.array([len(row) for row in values]),
        np.concatenate(list(values)),
        dense,
        np.concatenate(places) if places else np.empty(0, dtype=np.int32),
    )


def vector_function(compute: Callable[..., npt.NDArray[np.float64]]) -> Any:
    """Return a column function (size, indices, values, *more) -> array<double> of rows of a vector column.

    Parameters
    ----------
    compute : callable
        (CSR matrix, *arrays of the further columns) -> array of shape (rows, n).
    """
    import pandas as pd
    from pyspark.sql.pandas.functions import pandas_udf

    def batch(*columns: pd.Series) -> pd.Series:
        size, indices, values, *more = columns
        if not len(size):
            return pd.Series([], dtype=object)
        rows = matrix_of_lists(size, indices, values)
        return pd.Series(list(compute(rows, *[column.to_numpy() for column in more])))

    # Types as objects: pyspark reads them to see what kind of UDF this is.
    batch.__annotations__ = {"columns": pd.Series, "return": pd.Series}
    return pandas_udf(batch, "array<double>")  # type: ignore[call-overload]


def _csr(width: int, lengths: Any, values: Any, dense: Any, places: Any) -> Any:
    """Build the matrix from the rows' lengths, all their values, and the places of those of sparse rows."""
    from scipy import sparse

    columns = np.empty(len(values), dtype=np.int32)
    of_dense = np.repeat(dense, lengths)
    columns[of_dense] = np.tile(np.arange(width, dtype=np.int32), int(dense.sum()))
    columns[~of_dense] = places
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return sparse.csr_matrix((values, columns, starts), shape=(len(lengths), width), dtype=np.float32)


def stacked(batches: Iterable[pa.RecordBatch]) -> tuple[Any, dict[str, list[Any]]]:
    """Return all batches as one matrix, and their other columns as lists."""
    from scipy import sparse

    blocks: list[Any] = []
    others: dict[str, list[Any]] = {}
    for batch in batches:
        if not batch.num_rows:
            continue
        blocks.append(matrix(batch))
        for name in batch.schema.names:
            if name not in (SIZE, INDICES, VALUES):
                others.setdefault(name, []).extend(batch.column(name).to_pylist())
    return (sparse.vstack(blocks, format="csr") if blocks else None), others


def columns_of(rows: Any, spans: Iterable[tuple[int, int]]) -> Any:
    """Return the columns of a CSR matrix in these spans: dense where most values are, else CSR."""
    wanted = np.concatenate([np.arange(start, end) for start, end in spans])
    part = rows[:, wanted]
    return part.toarray() if part.nnz * 3 > part.shape[0] * part.shape[1] else part
