"""Vectors as bytes of fixed width, and what that costs.

Spark's Parquet has no 16-bit or 8-bit float, and its ``array<float>`` stores two levels beside each value.
A row is one binary value here and one scale; numpy turns a whole batch at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fusionspark.errors import ConfigError, DataContractError
from fusionspark.represent.encoders import FloatMatrix

#: Stored type -> numpy's little-endian type.
DTYPES = {"float32": "<f4", "float16": "<f2", "int8": "<i1"}


def encode(matrix: FloatMatrix, dtype: str) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Bytes and scale of each row of finite values.

    Parameters
    ----------
    matrix : ndarray of float32, shape (n, d)
        One vector a row.
    dtype : {"float32", "float16", "int8"}
        ``float16`` and ``int8`` are scaled row by row, so that the error follows the row's largest value and
        not its size: at most 2^-11 and 1/254 of it. The scale of ``float16`` is a power of two, which
        costs nothing itself.

    Returns
    -------
    bytes : ndarray of uint8, shape (n, d * width of the type)
    scale : ndarray of float32, shape (n,)
        What the stored numbers are multiplied by when they are read.
    """
    if dtype not in DTYPES:
        raise ConfigError("store.dtype", f"is {dtype!r}", allowed=", ".join(DTYPES))
    matrix = np.ascontiguousarray(matrix, dtype=np.float32)
    if dtype == "float32":
        numbers, scale = matrix.astype(DTYPES[dtype], copy=False), np.ones(len(matrix), dtype=np.float32)
    elif dtype == "float16":
        exponent = np.frexp(np.abs(matrix).max(axis=1, initial=0.0))[1] - 1
        numbers = np.ldexp(matrix, -exponent[:, None]).astype(DTYPES[dtype])
        scale = np.ldexp(np.float32(1), exponent).astype(np.float32)
    else:
        scale = np.abs(matrix).max(axis=1, initial=0.0) / np.float32(127)
        each = scale[:, None].astype(np.float64)
        steps = np.divide(matrix, each, out=np.zeros(matrix.shape), where=each > 0)
        numbers = np.clip(np.rint(steps), -127, 127).astype(DTYPES[dtype])
    return np.ascontiguousarray(numbers).view(np.uint8), scale


def decode(data: NDArray[np.uint8], scale: NDArray[np.float32], dtype: str) -> FloatMatrix:
    """Vectors of `encode`'s bytes and scales: ndarray of float32, shape (n, d).

    Raises
    ------
    DataContractError
        The rows are no whole numbers of this type.
    """
    kind = np.dtype(DTYPES[dtype])
    if data.shape[1] % kind.itemsize:
        raise DataContractError(
            "stored vector",
            f"has {data.shape[1]} bytes",
            allowed=f"a multiple of {kind.itemsize} for {dtype}",
            remedy="run `fusionspark store verify`",
        )
    numbers = np.ascontiguousarray(data).view(kind).astype(np.float32)
    return numbers if dtype == "float32" else numbers * scale[:, None]


def cosines(a: FloatMatrix, b: FloatMatrix) -> NDArray[np.float64]:
    """Cosine of each row of ``a`` with the same row of ``b``; 1 where both are zero."""
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(wide_a, axis=1) * np.linalg.norm(wide_b, axis=1)
    same = np.all(a == b, axis=1)
    dots = np.einsum("ij,ij->i", wide_a, wide_b)
    return np.where(same, 1.0, dots / np.maximum(norms, np.finfo(np.float64).tiny))
