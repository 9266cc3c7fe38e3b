"""NumPy arrays as Arrow arrays, straight from their buffers.

``pyarrow.array`` asks pandas whether its argument is a Series, and imports pandas to ask: some 45 MB in each
worker that has no other use for it (pyarrow 26).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa


def numbers(values: npt.NDArray[np.number]) -> pa.Array:
    """The same numbers, shape (n,), none of them null and none copied."""
    import pyarrow as pa

    flat = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(flat.dtype), len(flat), [None, pa.py_buffer(flat)])


def booleans(values: npt.NDArray[np.bool_]) -> pa.Array:
    """The same truth values, shape (n,), none of them null."""
    import pyarrow as pa

    return pa.Array.from_buffers(pa.bool_(), len(values), [None, _bits(values)])


def strings(values: Sequence[str]) -> pa.Array:
    """The same strings, none of them null."""
    import pyarrow as pa

    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def float_lists(matrix: npt.NDArray[np.floating], missing: npt.NDArray[np.bool_]) -> pa.ListArray:
    """``array<float>`` of the rows of a matrix, shape (n, d), without Python lists; null if ``missing``."""
    import pyarrow as pa

    kept = matrix if not missing.any() else matrix[~missing]
    values = numbers(np.asarray(kept, dtype=np.float32).reshape(-1))
    ends = np.concatenate(([0], np.cumsum(np.where(missing, 0, matrix.shape[1])))).astype(np.int32)
    return pa.Array.from_buffers(
        pa.list_(pa.float32()), len(missing), [_bits(~missing), pa.py_buffer(ends)], children=[values]
    )


def _bits(values: npt.NDArray[np.bool_]) -> pa.Buffer:
    import pyarrow as pa

    return pa.py_buffer(np.packbits(values, bitorder="little"))
