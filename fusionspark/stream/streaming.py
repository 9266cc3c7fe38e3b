"""The loop of a stream: batches through the newest models, a swap between them, a stop after one of them."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession

from fusionspark.config import Config
from fusionspark.errors import ConfigError
from fusionspark.pipeline.run_lock import only_run
from fusionspark.stream.arriving import arriving, schema_of
from fusionspark.stream.batch_scorer import BatchScorer
from fusionspark.stream.batches import Batches
from fusionspark.tables import RunFolder, newest_run

#: Seconds between two looks at whether the query has ended or is to stop.
LOOK = 0.5


class _StoppingError(Exception):
    """Refuses a batch that begins after the stop was asked for; the next start reads its rows."""


class _Gate:
    """Lets batches pass one by one, until it is shut."""

    def __init__(self, scorer: BatchScorer) -> None:
        self._scorer, self._busy = scorer, threading.Lock()
        self.shut = threading.Event()
        self.failure: BaseException | None = None

    def take(self, rows: DataFrame, batch_id: int) -> None:
        """For ``foreachBatch``: to return means that the batch is done, so whatever is not must raise."""
        with self._busy:
            if self.shut.is_set():
                raise _StoppingError
            try:
                self._scorer.take(rows, batch_id)
            except BaseException as error:
                # Spark would pass on a text; the error itself has the exit code.
                self.failure = error
                raise

    def wait(self) -> None:
        """Return when no batch is under way."""
        with self._busy:
            pass


def stream(
    spark: SparkSession,
    config: Config,
    *,
    once: bool = False,
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr),
    note: Callable[[Mapping[str, Any]], None] = lambda event: None,
) -> dict[str, Any]:
    """Score rows as they arrive with the models of the newest published run, until SIGTERM or SIGINT.

    Each batch goes to ``<stream.output>/batches/<id>/`` whole and once: tables `predictions` and
    `quarantine`, and batch.json. A run that is published meanwhile is used from the next batch on.

    Parameters
    ----------
    once : bool
        End when what has arrived is scored.
    note : callable
        Is told each batch and each swap of models, as data.

    Returns
    -------
    dict
        Of this process: ``batches``, ``rows: {in, out, quarantined}``, ``latency: {p50, p99}`` in seconds,
        ``models_of``.

    Raises
    ------
    ConfigError
        Nothing is published; its models cannot be applied in one pass; the source cannot be streamed.
    DataContractError
        A file cannot be read.
    RunLockedError
        Another process writes to the same folder.
    """
    newest = newest_run(spark, f"{config.output}/runs", config.table_format)
    if newest is None:
        raise ConfigError(
            f"output {config.output!r}", "holds no published run whose models could be applied",
            remedy="run `fusionspark run` with this configuration first",
        )  # fmt: skip
    folder = config.stream.output or f"{config.output}/stream"
    batches = Batches(spark, folder, config.table_format)
    root, _, name = folder.rstrip("/").rpartition("/")
    with only_run(RunFolder(spark, root or ".", name, config.table_format), say) as lock:
        batches.check()
        batches.clear()
        scorer = BatchScorer(spark, config, batches, confirm=lock.confirm, say=say, note=note)
        scorer.swap(newest)
        gate = _Gate(scorer)
        rows = arriving(spark, config, schema_of(newest, config))
        interval = f"{round(config.stream.trigger_seconds * 1000)} milliseconds"
        trigger: dict[str, Any] = {"availableNow": True} if once else {"processingTime": interval}
        writer = rows.writeStream.queryName(config.title).option("checkpointLocation", batches.checkpoint)
        with _on_signals(gate.shut):
            query = writer.trigger(**trigger).foreachBatch(gate.take).start()
            say(f"stream: waiting for rows in {config.stream.path or config.stream.format}")
            _follow(query, gate)
    return scorer.summary()


def _follow(query: Any, gate: _Gate) -> None:
    """Return when the query has ended, or was asked to stop and has finished its batch."""
    try:
        while not query.awaitTermination(LOOK):
            if gate.shut.is_set():
                gate.wait()
                query.stop()
                return
    except StreamingQueryException:
        if gate.failure is not None:
            raise gate.failure from None
        if not gate.shut.is_set():
            raise
    finally:
        if query.isActive:
            query.stop()


@contextmanager
def _on_signals(asked: threading.Event) -> Iterator[None]:
    """Let SIGTERM and SIGINT ask for a stop instead of ending the process; only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, lambda *_: asked.set())
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
