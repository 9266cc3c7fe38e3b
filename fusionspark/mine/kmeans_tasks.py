"""The Spark side of k-means: rows into matrices, one stage, one result."""

from __future__ import annotations

import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionspark.errors import DataContractError
from fusionspark.mine.arrow_columns import matrices, unlike_widths
from fusionspark.mine.exact_rows import ExactRows
from fusionspark.mine.lloyd import Outcome, Settings, fit, no_rows
from fusionspark.mine.mini_batches import Spill, fit_in_mini_batches
from fusionspark.mine.worker_group import TreeGroup, WorkerGroup

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    Batches = Iterable[pa.RecordBatch]
    Work = Callable[[Batches, WorkerGroup], Outcome]

_RESULT = "centres binary, sizes binary, facts string"


def in_memory(rows: DataFrame, workers: int, settings: Settings, *, device: str) -> Outcome:
    """Fit on the columns ``features`` and ``weight`` of ``rows``, held as float32 by ``workers`` tasks.

    Raises
    ------
    DataContractError
        See `lloyd.fit` and `arrow_columns.matrices`.
    """
    from pyspark.sql import functions as F

    def work(batches: Batches, group: WorkerGroup) -> Outcome:
        data = _agreed(group, lambda: _held(batches), device)
        return fit(data, group, settings)

    # By content, so that a task that is run again gets the rows that it had.
    return _run(rows.repartition(workers, F.xxhash64("features")), workers, work)


def in_mini_batches(rows: DataFrame, workers: int, settings: Settings, *, size: int, device: str) -> Outcome:
    """Fit by mini-batches of about ``size`` rows, which are the same whatever the partitioning.

    A mini-batch is the rows of one range of hashes. Each task writes its rows once, in that order, as float32
    to its temporary folder (``TMPDIR``) and reads them from there in every pass.
    """
    from pyspark.sql import functions as F

    count = max(1, -(-rows.count() // size))

    def work(batches: Batches, group: WorkerGroup) -> Outcome:
        with tempfile.TemporaryDirectory(prefix="fusionspark-kmeans-") as place:
            spill = Spill(f"{place}/rows", count)
            _agreed(group, lambda: _spilled(batches, spill), device, spill)
            return fit_in_mini_batches(spill, group, settings)

    content = F.xxhash64("features")
    laid = rows.select("features", "weight", F.pmod(content, F.lit(count)).cast("int").alias("batch"))
    return _run(laid.repartition(workers, content).sortWithinPartitions("batch"), workers, work)


def _run(laid: DataFrame, workers: int, work: Work) -> Outcome:
    task = _in_group(work, workers)
    found = [row for row in laid.mapInArrow(task, _RESULT, barrier=workers > 1).collect() if row["facts"]]
    facts = [json.loads(row["facts"]) for row in found]
    errors = sorted(fact["error"] for fact in facts if "error" in fact)
    if errors:
        subject, problem, allowed, remedy = errors[0]
        raise DataContractError(subject, problem, allowed=allowed, remedy=remedy)
    if not found:
        # Of a table that Spark knows to be empty no task is started.
        raise no_rows()
    row, fact = found[0], facts[0]
    centres = np.frombuffer(row["centres"], np.float64).reshape(fact["k"], -1)
    return Outcome(
        centres, fact["cost"], fact["iterations"], np.frombuffer(row["sizes"], np.int64), fact["resources"]
    )


def _in_group(work: Work, workers: int) -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    """Function for ``mapInArrow``: ``work`` among the tasks of the stage; rank 0 tells the result."""

    def run(batches: Batches) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        from threadpoolctl import threadpool_limits

        started = time.monotonic()
        group, cpus = _joined(workers)
        centres, sizes = b"", b""
        facts: dict[str, Any] = {}
        try:
            with threadpool_limits(cpus):
                outcome = work(batches, group)
            if group.rank == 0:
                centres, sizes = outcome.centres.tobytes(), outcome.sizes.tobytes()
                facts = {"k": len(outcome.centres), "cost": outcome.cost, "iterations": outcome.iterations}
                facts["resources"] = {
                    **outcome.resources,
                    "seconds": round(time.monotonic() - started, 3),
                    # Kibibytes on Linux.
                    "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                    "tasks": workers,
                }
        except DataContractError as error:
            facts = {"error": [error.subject, error.problem, error.allowed, error.remedy]}
        except _OthersFailedError:
            pass
        finally:
            group.close()
        said = json.dumps(facts) if facts else ""
        yield pa.RecordBatch.from_pydict({"centres": [centres], "sizes": [sizes], "facts": [said]})

    return run


class _OthersFailedError(Exception):
    """Another task found rows that cannot be used, and says so itself."""


def _joined(workers: int) -> tuple[WorkerGroup, int]:
    """The group of the running task, and the CPUs of the task."""
    from pyspark import BarrierTaskContext, TaskContext

    task: Any = TaskContext.get()
    cpus = max(1, int(task.cpus() or 1)) if task is not None else 1
    if workers == 1:
        return WorkerGroup(), cpus
    barrier = BarrierTaskContext.get()
    rank = barrier.partitionId()
    host = barrier.getTaskInfos()[rank].address.rsplit(":", 1)[0].strip("[]")
    return TreeGroup(rank, workers, host, barrier.allGather), cpus


def _agreed(
    group: WorkerGroup, read: Callable[[], ExactRows], device: str, spill: Spill | None = None
) -> ExactRows:
    """Read the rows of this task, and make sure that those of all tasks can be used together."""
    failed: DataContractError | None = None
    try:
        data = read()
    except DataContractError as error:
        data, failed = ExactRows(np.empty((0, 0), np.float32), np.empty(0)), error
    width = data.rows.shape[1]
    told = group.largest(np.array([float(failed is not None), width, -width if width else -np.inf]))
    if failed is not None:
        raise failed
    if told[0]:
        raise _OthersFailedError
    low, high = int(-told[2]) if np.isfinite(told[2]) else 0, int(told[1])
    if low != high:
        raise unlike_widths(low, high)
    data.device = _device(device)
    if not width and high:
        data.rows = np.empty((0, high), np.float32)
        if spill is not None:
            spill.width = high
    return data


def _device(wanted: str) -> str:
    """The device of products: ``auto`` is the GPU that Spark gave the task, else the CPU."""
    if wanted != "auto":
        return wanted
    from pyspark import TaskContext

    task: Any = TaskContext.get()
    gpu = (task.resources() or {}).get("gpu") if task is not None else None
    if gpu is None or not gpu.addresses:
        # torch is not even imported here: that alone takes longer than a fit of 100,000 rows.
        return "cpu"
    try:
        import torch
    except ImportError:
        return "cpu"
    if not torch.cuda.is_available():
        return "cpu"
    # A cluster manager may narrow what a task sees to its own GPU, which is then number 0.
    address = int(gpu.addresses[0])
    return f"cuda:{address if address < torch.cuda.device_count() else 0}"


def _pieces(batches: Batches) -> Iterator[tuple[Any, Any, Any, int]]:
    """Yield (matrix, weights, mini-batches or None, rows left out for being null), piece by piece."""
    for whole in batches:
        names = whole.schema.names
        features = whole.column(names.index("features"))
        nulls = features.null_count
        batch = whole.filter(features.is_valid()) if nulls else whole
        weights = batch.column(names.index("weight")).cast("float64").to_numpy(zero_copy_only=False)
        numbers = batch.column(names.index("batch")).to_numpy() if "batch" in names else None
        if nulls:
            yield None, None, None, nulls
        start = 0
        for matrix in matrices(batch.column(names.index("features"))):
            part = slice(start, start + len(matrix))
            yield matrix, weights[part], None if numbers is None else numbers[part], 0
            start = part.stop


def _held(batches: Batches) -> ExactRows:
    pieces, weights, nulls = [], [], 0
    for matrix, weight, _, missing in _pieces(batches):
        nulls += missing
        if matrix is not None:
            pieces.append(matrix)
            weights.append(weight)
    rows = np.empty((0, 0), np.float32)
    if pieces:
        widths = {piece.shape[1] for piece in pieces}
        if len(widths) > 1:
            raise unlike_widths(min(widths), max(widths))
        rows = np.empty((sum(len(piece) for piece in pieces), widths.pop()), np.float32)
    start = 0
    # From the front, letting go of each piece once it is copied: the rows are in memory once, not twice.
    pieces.reverse()
    while pieces:
        piece = pieces.pop()
        rows[start : start + len(piece)] = piece
        start += len(piece)
        del piece
    data = ExactRows(rows, np.concatenate([*weights, np.empty(0)]).astype(np.float64))
    data.nulls = nulls
    return data


def _spilled(batches: Batches, spill: Spill) -> ExactRows:
    for matrix, weight, numbers, missing in _pieces(batches):
        spill.nulls += missing
        if matrix is not None:
            spill.add(matrix, weight, numbers)
    spill.finish()
    return ExactRows(np.empty((0, spill.width), np.float32), np.empty(0))
