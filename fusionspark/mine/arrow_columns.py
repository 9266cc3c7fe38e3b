"""Arrow tables and batches as plain NumPy arrays and lists, for code that knows no Spark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


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
        found[vectors] = _matrix(table.column(vectors))
    return found


def _matrix(column: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    lengths = np.asarray(pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False))
    width = int(lengths[lengths > 0][0]) if (lengths > 0).any() else 0
    matrix = np.full((len(lengths), width), np.nan, dtype=np.float32)
    there = lengths == width
    if width:
        kept = array.filter(pa.array(there))
        matrix[there] = kept.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    return matrix
