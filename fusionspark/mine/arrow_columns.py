"""Arrow tables and batches as plain NumPy arrays and lists, for code that knows no Spark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fusionspark.errors import DataContractError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame

Matrix = npt.NDArray[np.float32]

#: Most bytes of one piece of a matrix while a batch is made dense.
_PIECE_BYTES = 64 << 20


def collect_arrow(df: DataFrame) -> Any:
    """All rows as one Arrow table on the driver; Spark 3.5 has no public way."""
    frame: Any = df
    to_arrow: Any = getattr(frame, "toArrow", None)
    if to_arrow is not None:
        return to_arrow()
    import pyarrow as pa
    from pyspark.sql.pandas.types import to_arrow_schema

    return pa.Table.from_batches(frame._collect_as_arrow(), schema=to_arrow_schema(df.schema))


def as_columns(
    table: Any, *, numbers: Sequence[str] = (), values: Sequence[str] = (), vectors: str | None = None
) -> dict[str, Any]:
    """Columns of an Arrow table or record batch.

    Parameters
    ----------
    numbers : names of numeric columns
        Become float64 arrays, NaN where null.
    values : names of columns
        Become lists, None where null.
    vectors : name of an ``array<float>`` column, optional
        Becomes one float32 array, rows x width; a row of NaN where it is null or of another width than the
        first vector. Its width is 0 where no row has a vector.
    """
    found: dict[str, Any] = {
        name: np.asarray(table.column(name).to_numpy(zero_copy_only=False), dtype=np.float64)
        for name in numbers
    }
    found |= {name: table.column(name).to_pylist() for name in values}
    if vectors is not None:
        found[vectors] = vector_matrix(table.column(vectors))
    return found


def vector_matrix(column: Any, dtype: type[Any] = np.float32) -> Any:
    """A column of lists as one array, rows x width; see `as_columns`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    lengths = np.asarray(pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False))
    width = int(lengths[lengths > 0][0]) if (lengths > 0).any() else 0
    matrix = np.full((len(lengths), width), np.nan, dtype=dtype)
    there = lengths == width
    if width:
        matrix[there] = _rectangle(array.filter(pa.array(there)))
    return matrix


def as_stored(df: DataFrame, column: str) -> Column:
    """Return the column as Arrow can carry it: an array as it is, a vector as the struct it is stored as.

    Raises
    ------
    DataContractError
        The column is neither a vector nor an array of numbers.
    """
    from pyspark.ml.linalg import VectorUDT
    from pyspark.sql import functions as F
    from pyspark.sql.types import ArrayType, DoubleType, FloatType

    kind = df.schema[column].dataType
    if isinstance(kind, VectorUDT):
        # Sparse vectors stay sparse on the way: a wide TF-IDF block is mostly zeros.
        return F.unwrap_udt(F.col(f"`{column}`"))
    if isinstance(kind, ArrayType) and isinstance(kind.elementType, FloatType | DoubleType):
        return F.col(f"`{column}`")
    raise DataContractError(
        f"column {column!r}",
        f"is of type {kind.simpleString()}",
        allowed="vector, array<float> or array<double>",
        remedy="choose the column of features with featuresCol",
    )


def matrices(column: pa.Array) -> Iterator[Matrix]:
    """Yield the rows of one batch as float32 matrices of one width each.

    Raises
    ------
    DataContractError
        Rows of unlike width. A null inside a row becomes NaN; a row that is null must not be there.
    """
    import pyarrow as pa

    if not len(column):
        return
    if pa.types.is_struct(column.type):
        yield from _vectors(column)
        return
    yield _rectangle(column)


def _rectangle(column: Any) -> Matrix:
    offsets = column.offsets.to_numpy()
    values = column.values
    if values.null_count:
        values = values.fill_null(float("nan"))
    widths = np.diff(offsets)
    _same(int(widths.min()), int(widths.max()))
    flat = values.to_numpy()[offsets[0] : offsets[-1]]
    return np.asarray(flat, dtype=np.float32).reshape(len(column), -1)


def _vectors(column: Any) -> Iterator[Matrix]:
    kinds = column.field("type").to_numpy()
    if (kinds == 1).all():
        yield _rectangle(column.field("values"))
        return
    values, indices = column.field("values"), column.field("indices")
    sizes = column.field("size")
    ends = values.offsets.to_numpy()
    lengths = np.diff(ends)
    widths = np.where(kinds == 1, lengths, sizes.fill_null(0).to_numpy(zero_copy_only=False))
    _same(int(widths.min()), int(widths.max()))
    width = int(widths[0])
    numbers = values.values.to_numpy()
    places = indices.offsets.to_numpy()
    index = indices.values.to_numpy(zero_copy_only=False)
    step = max(1, _PIECE_BYTES // (4 * max(1, width)))
    for start in range(0, len(column), step):
        stop = min(len(column), start + step)
        piece = np.zeros((stop - start, width), dtype=np.float32)
        dense = np.flatnonzero(kinds[start:stop] == 1) + start
        for row in dense:
            piece[row - start] = numbers[ends[row] : ends[row + 1]]
        sparse = np.flatnonzero(kinds[start:stop] == 0) + start
        counts = lengths[sparse]
        if counts.sum():
            into = np.repeat(sparse - start, counts)
            within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            columns = index[np.repeat(places[sparse], counts) + within]
            piece[into, columns] = numbers[np.repeat(ends[sparse], counts) + within]
        yield piece


def _same(low: int, high: int) -> None:
    if low != high or not high:
        raise unlike_widths(low, high)


def unlike_widths(low: int, high: int) -> DataContractError:
    """Return the error of rows that are not all of one width."""
    return DataContractError(
        "features",
        f"rows are {low} to {high} wide",
        allowed="one width above 0 in all rows",
        remedy="make the features of all rows with one fitted model",
    )
