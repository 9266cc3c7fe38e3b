"""One partition of a Spark DataFrame through the engine, in Arrow record batches."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fusionspark import columns
from fusionspark.errors import DataContractError
from fusionspark.represent import loading
from fusionspark.represent.arrow_arrays import booleans, float_lists, numbers, strings
from fusionspark.represent.engine import Counters, EmbeddingEngine, EncodeResult
from fusionspark.represent.loading import EngineSettings

if TYPE_CHECKING:
    import pyarrow as pa

#: Most bytes of one window of input, and of the vectors in one record batch of output.
_WINDOW_BYTES = 128 << 20
_OUTPUT_BYTES = 4 << 20


class Monitor(Protocol):
    """Anything that takes a dict of counters; a Spark accumulator does."""

    def add(self, term: dict[str, Any]) -> None:
        """Take one more dict of counters."""
        ...


#: Names of the columns that a text gets.
RESULT_NAMES = (columns.EMBEDDING, columns.N_TOKENS, columns.TRUNCATED, columns.STATUS)


def text_partition(
    settings: EngineSettings,
    column: str,
    window: int,
    invalid: str,
    monitor: Monitor | None,
    *,
    names: tuple[str, ...] = RESULT_NAMES,
) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    """Function for ``DataFrame.mapInArrow`` that appends vector, token count, truncated and status.

    Parameters
    ----------
    settings : EngineSettings
        Model and how to run it.
    column : str
        Name of the text column.
    window : int
        Rows that are sorted by length together.
    invalid : {"keep", "skip", "error"}
        What happens to rows whose status is not ``ok``.
    monitor : Monitor or None
        Told the counters of every window.
    names : tuple of str
        Of the four columns; none of them may be in the table.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        tables = windows(batches, window)
        first = next(tables, None)
        if first is None:
            # An empty partition loads nothing.
            return
        before = loading.loads()
        engine = loading.build_engine(settings)
        texts = ((table, read_strings(table.column(column))) for table in chain([first], tables))
        for table, result in engine.encode_ahead(texts):
            if monitor is not None:
                monitor.add(report(engine, before))
                before = loading.loads()
            yield from append_result(table, result, invalid, names)

    return run


def windows(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Gather record batches into tables of ``rows`` rows, or fewer where they are wide."""
    import pyarrow as pa

    pending: list[pa.RecordBatch] = []
    count = size = 0
    for batch in batches:
        # Few large batches are cut too, so that memory does not follow Spark's batch size.
        for start in range(0, batch.num_rows, rows):
            piece = batch.slice(start, rows)
            if pending and (count + piece.num_rows > rows or size + piece.nbytes > _WINDOW_BYTES):
                yield pa.Table.from_batches(pending)
                pending, count, size = [], 0, 0
            pending.append(piece)
            count += piece.num_rows
            size += piece.nbytes
    if pending:
        yield pa.Table.from_batches(pending)


def read_strings(column: pa.ChunkedArray) -> list[str | None]:
    """Values of a string column; bytes that are not UTF-8 become U+FFFD."""
    import pyarrow as pa

    try:
        values: list[str | None] = column.to_pylist()
    except UnicodeDecodeError:
        raw = [chunk.view(pa.large_binary() if pa.types.is_large_string(chunk.type) else pa.binary())
               for chunk in column.chunks]  # fmt: skip
        values = [
            None if value is None else value.decode("utf-8", "replace")
            for chunk in raw
            for value in chunk.to_pylist()
        ]
    return values


def append_result(
    table: pa.Table, result: EncodeResult, invalid: str, names: tuple[str, ...]
) -> Iterator[pa.RecordBatch]:
    """Record batches of ``table`` with the four result columns behind its own."""
    bad = np.array(result.status, dtype=object) != columns.OK
    added = [
        float_lists(result.embeddings, bad),
        numbers(result.n_tokens),
        booleans(result.truncated),
        strings(result.status),
    ]
    yield from append_columns(
        table, added, names, bad=bad, status=result.status, invalid=invalid, what="text"
    )


def append_columns(
    table: pa.Table,
    added: list[pa.Array],
    names: tuple[str, ...],
    *,
    bad: np.ndarray,
    status: list[str],
    invalid: str,
    what: str,
) -> Iterator[pa.RecordBatch]:
    """Record batches of ``table`` with the arrays ``added`` behind its own columns.

    Parameters
    ----------
    added : list of Array
        The first one is the vector.
    bad : ndarray of bool, shape (rows,)
        Rows without a vector, treated as ``invalid`` says.
    what : str
        Word for an input in the error message.
    """
    import pyarrow as pa

    if invalid == "error" and bad.any():
        first = status[int(np.flatnonzero(bad)[0])]
        raise DataContractError(
            f"{what} column",
            f"{int(bad.sum())} of {len(bad)} {what}s gave no vector; status of the first: {first!r}",
            allowed=f"{what}s that can be read and are not empty",
            remedy="set handleInvalid to keep or skip",
        )
    wide = pa.Table.from_arrays([*table.columns, *added], names=[*table.column_names, *names])
    if invalid == "skip":
        wide = wide.filter(booleans(~bad))
    width = added[0].type.value_type.bit_width // 8 * max(1, len(added[0].values) // max(1, len(added[0])))
    # Slices of the window, not copies; small ones, since what is sent is copied once more.
    yield from wide.to_batches(max_chunksize=max(1, _OUTPUT_BYTES // width))


def report(engine: EmbeddingEngine, loads_before: int) -> dict[str, Any]:
    """Counters since the last report, with the name of this process; the engine starts counting anew."""
    worker = f"{socket.gethostname()}:{os.getpid()}"
    told = loading.counters_dict(engine.counters, loads_before) | {"workers": [worker]}
    engine.counters = Counters(token_budget=engine.counters.token_budget)
    return told
