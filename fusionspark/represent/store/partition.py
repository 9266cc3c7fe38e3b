"""What Spark's workers do for the store: encode into stored rows, and turn stored rows into vectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fusionspark import columns
from fusionspark.errors import DataContractError
from fusionspark.represent.arrow_arrays import float_lists
from fusionspark.represent.arrow_partition import Monitor
from fusionspark.represent.store.canary import CanaryCheck
from fusionspark.represent.store.codec import cosines, decode, encode
from fusionspark.represent.store.contents import (
    Partition,
    Settings,
    canary_vectors,
    embed_partition,
    loads,
)

if TYPE_CHECKING:
    import pyarrow as pa

#: Distance of the canaries in this process, by the append that it was measured for.
_distances: dict[int, float] = {}


def encode_partition(
    settings: Settings, window: int, dtype: str, monitor: Monitor, check: CanaryCheck
) -> Partition:
    """Function for ``mapInArrow`` from rows (key, content) to stored rows.

    Every worker process holds the canaries against their first vectors before its first row of an append.
    One that has drifted yields no rows and tells the monitor: were it to raise, the figures would be buried
    in the trace of a failed task.

    Parameters
    ----------
    monitor : Monitor
        Is told the engine's counters, ``canary_distance``, and what storing costs: ``measured`` vectors,
        ``sum_cosine`` and ``lowest_cosine`` with what was encoded.
    """
    embed = embed_partition(settings, window, monitor)

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = iter(batches)
        first = next(rows, None)
        if first is None:
            # An empty partition loads nothing.
            return
        if not _distance(settings, check, monitor) <= check.tolerance:
            for _ in rows:
                # The JVM waits for its rows to be taken.
                pass
            return
        for batch in embed(chain([first], rows)):
            yield pack(batch, dtype, monitor)

    return run


def canary_partition(settings: Settings, monitor: Monitor) -> Partition:
    """Function for ``mapInArrow`` over one row, whatever it is: the canaries' vectors, one a row."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        if not sum(batch.num_rows for batch in batches):
            return
        before = loads(settings)
        vectors = canary_vectors(settings)
        monitor.add({"model_loads": loads(settings) - before})
        missing = ~np.isfinite(vectors).all(axis=1)
        order = pa.array(np.arange(len(vectors)), type=pa.int32())
        yield pa.RecordBatch.from_arrays([order, float_lists(vectors, missing)], names=["nth", "vector"])

    return run


def _distance(settings: Settings, check: CanaryCheck, monitor: Monitor) -> float:
    if check.append not in _distances:
        before = loads(settings)
        _distances[check.append] = check.canary.distance(canary_vectors(settings))
        monitor.add({"model_loads": loads(settings) - before})
    monitor.add({"canary_distance": _distances[check.append]})
    return _distances[check.append]


def pack(batch: pa.RecordBatch, dtype: str, monitor: Monitor | None = None) -> pa.RecordBatch:
    """Stored rows of rows (key, content, vector, n_tokens, truncated, status)."""
    import pyarrow as pa

    key, _, lists, n_tokens, truncated, status = batch.columns
    there = np.asarray(lists.is_valid())
    values = lists.flatten().to_numpy(zero_copy_only=False)
    matrix = values.reshape(there.sum(), len(values) // max(1, there.sum()))
    data, scale = encode(matrix, dtype)
    if monitor is not None and len(matrix):
        cosine = cosines(matrix, decode(data, scale, dtype))
        monitor.add(
            {
                "measured": len(cosine),
                "sum_cosine": float(cosine.sum()),
                "lowest_cosine": float(cosine.min()),
            }
        )
    all_scales = np.zeros(len(there), dtype=np.float32)
    all_scales[there] = scale
    arrays = [
        key,
        binaries(data, there),
        pa.array(all_scales, mask=~there),
        n_tokens,
        truncated,
        status,
    ]
    return pa.RecordBatch.from_arrays(arrays, names=list(_STORED))


_STORED = (
    columns.KEY, columns.VECTOR, columns.SCALE, columns.N_TOKENS, columns.TRUNCATED, columns.STATUS,
)  # fmt: skip


def decode_partition(dtype: str, digest: str, monitor: Monitor | None = None) -> Partition:
    """Function for ``mapInArrow`` to the embeddings table.

    The input has the columns row_id, vector, scale, n_tokens, truncated and status.

    Parameters
    ----------
    monitor : Monitor, optional
        Is told ``rows``, and how many of them are ``truncated`` and ``failed``.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        import pyarrow.compute as pc

        for batch in batches:
            row_id, stored, scale, *rest = batch.columns
            lists = unpack(stored, scale, dtype)
            if monitor is not None:
                _, truncated, status = rest
                failed = pc.sum(pc.equal(status, columns.FAILED)).as_py() or 0
                monitor.add({"rows": batch.num_rows, "truncated": truncated.true_count, "failed": failed})
            digests = pa.array([digest]).take(pa.array(np.zeros(batch.num_rows, dtype=np.int8)))
            arrays: list[Any] = [row_id, lists, *rest, digests]
            yield pa.RecordBatch.from_arrays(arrays, names=list(_EMBEDDINGS))

    return run


def not_finite_partition(dtype: str) -> Partition:
    """Function for ``mapInArrow`` from rows (vector, scale), none null and of one length, to counts.

    One row a batch: how many of its vectors hold a number that is not finite.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            vectors = decode(byte_rows(batch.column(0)), np.asarray(batch.column(1), dtype=np.float32), dtype)
            bad = int((~np.isfinite(vectors).all(axis=1)).sum())
            yield pa.RecordBatch.from_arrays([pa.array([bad], pa.int64())], names=["bad"])

    return run


_EMBEDDINGS = (
    columns.ROW_ID, columns.EMBEDDING, columns.N_TOKENS, columns.TRUNCATED, columns.STATUS,
    columns.MODEL_DIGEST,
)  # fmt: skip


def unpack(stored: pa.Array, scale: pa.Array, dtype: str) -> pa.ListArray:
    """``array<float>`` of stored vectors without Python lists; null where there is none.

    Raises
    ------
    DataContractError
        Vectors of one batch differ in length.
    """
    missing = ~np.asarray(stored.is_valid())
    data = byte_rows(stored)
    factors = np.asarray(scale.drop_null(), dtype=np.float32)
    vectors = decode(data, factors, dtype)
    matrix = np.zeros((len(missing), vectors.shape[1]), dtype=np.float32)
    matrix[~missing] = vectors
    return float_lists(matrix, missing)


def binaries(rows: NDArray[np.uint8], there: NDArray[np.bool_]) -> pa.BinaryArray:
    """Binary column of the rows of a matrix of bytes; null where not ``there``."""
    import pyarrow as pa

    offsets = np.concatenate(([0], np.cumsum(np.where(there, rows.shape[1], 0)))).astype(np.int32)
    valid = pa.py_buffer(np.packbits(there, bitorder="little").tobytes())
    buffers = [valid, pa.py_buffer(offsets.tobytes()), pa.py_buffer(np.ascontiguousarray(rows).tobytes())]
    return pa.Array.from_buffers(pa.binary(), len(there), buffers)


def byte_rows(column: pa.BinaryArray) -> NDArray[np.uint8]:
    """Matrix of the values of a binary column that are not null, without a copy.

    Raises
    ------
    DataContractError
        The values differ in length.
    """
    _, offset_buffer, data_buffer = column.buffers()
    rows = len(column) - column.null_count
    if not rows or data_buffer is None:
        return np.zeros((rows, 0), dtype=np.uint8)
    kind = np.int64 if "large" in str(column.type) else np.int32
    offsets = np.frombuffer(offset_buffer, dtype=kind)[column.offset : column.offset + len(column) + 1]
    sizes = np.unique(np.diff(offsets)[np.asarray(column.is_valid())])
    if len(sizes) > 1:
        raise DataContractError(
            "stored vectors",
            f"have {sizes[0]} to {sizes[-1]} bytes",
            allowed="one length in one space",
            remedy="run `fusionspark store verify`",
        )
    data = np.frombuffer(data_buffer, dtype=np.uint8)[offsets[0] : offsets[-1]]
    return data.reshape(rows, -1)
