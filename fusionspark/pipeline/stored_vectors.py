"""Tonight's texts against the embedding store: what is there is reused, the rest is encoded and appended."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark import progress
from fusionspark.errors import DataContractError
from fusionspark.pipeline.context import Context
from fusionspark.represent.monitor import counters_accumulator
from fusionspark.represent.store.contents import content_of
from fusionspark.represent.store.embedding_store import EmbeddingStore, Encoding, buckets_for

#: Times that a run begins the look-up anew, where a file of the store is torn or a compaction replaced it.
ATTEMPTS = 3

#: Rows up to which their keys, about 100 bytes each, are sent to the vectors and not the vectors to them.
FEW_ROWS = 1_000_000


@dataclass
class Filled:
    """What became of the texts or pictures of a run; ``seconds`` has a figure for each part of the work."""

    table: DataFrame
    texts: int = 0
    distinct: int = 0
    encoded: int = 0
    rows: int = 0
    truncated: int = 0
    failed: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add the time spent inside to ``seconds[part]``."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[part] = self.seconds.get(part, 0.0) + time.monotonic() - started


def fill(
    ctx: Context, store: EmbeddingStore, keyed: DataFrame, encoding: Encoding, *, target: str = c.EMBEDDINGS
) -> Filled:
    """Encode what the store lacks, then write the table of embeddings with what the store gives back.

    Fresh vectors are read back too: a vector is the same on the night it was made and on every later one.

    Parameters
    ----------
    keyed : DataFrame
        ``row_id``, the content (``clean_text`` or ``picture``, null where there is none) and its key.
    target : str
        Name of the table that is written.

    Raises
    ------
    DataContractError
        Vectors are missing or unreadable after several attempts.
    """
    filled, warned = Filled(keyed), 0
    for attempt in range(1, ATTEMPTS + 1):
        try:
            store.open()
            lost = _fill_once(ctx, store, keyed, encoding, filled, target=target)
        except (PySparkException, Py4JJavaError):
            if attempt == ATTEMPTS or not store.mend():
                raise
            lost = -1
        for name in store.torn[warned:]:
            _warn(store, name)
        warned = len(store.torn)
        if not lost:
            return filled
    raise DataContractError(
        f"store {store.folder.path}",
        f"{lost} rows have no vector there though it was just made",
        remedy="run `fusionspark store verify`; is something else deleting files there?",
    )


def _fill_once(
    ctx: Context,
    store: EmbeddingStore,
    keyed: DataFrame,
    encoding: Encoding,
    filled: Filled,
    *,
    target: str,
) -> int:
    """One attempt; returns the rows whose vector is missing in the store."""
    content = content_of(encoding.settings)
    # With --full nothing counts as known, so that each text is encoded anew into a segment of tonight's.
    rows = ctx.facts["prepare"]["rows"]
    paths = [] if ctx.full else store.near(keyed, rows)
    known = store.known(paths)
    is_new = F.col(c.KEY).isNotNull() & F.col(c.SEGMENT).isNull()
    # Texts that are known are not carried along: on most nights that is nearly all of them.
    text = F.when(is_new, F.col(content)).alias(content)
    looked_up = keyed.join(known, c.KEY, "left").select(c.ROW_ID, c.KEY, c.SEGMENT, text).persist()
    try:
        with filled.timed("lookup"):
            # The join has brought the rows of a key together, so that this moves none.
            by_key = looked_up.groupBy(c.KEY).agg(
                F.count(c.KEY).alias("texts"), F.max(is_new.cast("int")).alias("missing")
            )
            counts = by_key.agg(F.sum("texts"), F.count(c.KEY), F.sum("missing")).collect()[0]
        filled.texts, filled.distinct, missing = (count or 0 for count in counts)
        filled.encoded += missing
        number = 0
        if missing:
            with filled.timed("encode"), _progress(ctx, encoding, missing):
                new = looked_up.where(is_new).select(c.KEY, content).dropDuplicates([c.KEY])
                segment = store.append(new, missing, encoding)
            number = segment.number
            paths = [*paths, segment.path]
        with filled.timed("join"):
            held = F.when(F.col(c.KEY).isNotNull(), F.coalesce(c.SEGMENT, F.lit(number))).alias(c.SEGMENT)
            # Each task of the job that writes is counted once (Spark's promise for accumulators in an
            # action), so the table need not be read again to count it.
            seen = counters_accumulator(ctx.spark)
            wanted = looked_up.select(c.ROW_ID, c.KEY, held)
            table = store.vectors(wanted, paths, few=rows <= FEW_ROWS, monitor=seen)
            filled.table = ctx.run.write(table, target)
    finally:
        looked_up.unpersist()
    told = seen.value
    filled.rows, filled.truncated, filled.failed = (
        told.get(name, 0) for name in ("rows", "truncated", "failed")
    )
    return int(rows) - filled.rows


@contextmanager
def _progress(ctx: Context, encoding: Encoding, missing: int) -> Iterator[None]:
    started = time.monotonic()

    def note() -> str:
        told: dict[str, Any] = encoding.monitor.value
        done = told.get("texts_encoded", 0) + told.get("images_encoded", 0)
        rate = done / max(time.monotonic() - started, 1e-9)
        left = f", {(missing - done) / rate:.0f} s left" if done else ""
        what = "pictures" if "images_encoded" in told else f"texts, {told.get('tokens', 0)} tokens"
        return f"{done} of {missing} {what}, {rate:.0f}/s{left}"

    tasks = buckets_for(missing, encoding.rows_per_task)
    with progress.stage(ctx.spark, "represent", note=note, total=tasks):
        yield


def _warn(store: EmbeddingStore, name: str) -> None:
    print(
        f"  warning: {name} of {store.folder.path} cannot be read; it was moved to torn/, and what it "
        "held is encoded again",
        file=sys.stderr,
    )
