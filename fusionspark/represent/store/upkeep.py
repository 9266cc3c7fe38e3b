"""What the verbs ``fusionspark store stats | verify | compact | drop`` do to a store."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.errors import ConfigError
from fusionspark.files import Files
from fusionspark.represent.store.embedding_store import WRITE_OPTIONS, EmbeddingStore
from fusionspark.represent.store.segments import Seal, Segment, new_number
from fusionspark.represent.store.space import Space

#: Bytes of a file that compaction aims at.
FILE_BYTES = 32 << 20
#: A segment without a seal may still be written to; after so many hours it is taken for a killed one.
ABANDONED_HOURS = 24


def spaces(spark: SparkSession, path: str) -> Iterator[EmbeddingStore]:
    """Each space of the store, opened."""
    files = Files(spark)
    for name in files.names(path):
        description = f"{path}/{name}/space.json"
        if name.startswith("space=") and files.exists(description):
            told = json.loads(files.read_text(description))
            store = EmbeddingStore(spark, path, Space.from_dict(told), told.get("model", ""))
            store.open()
            yield store


@dataclass(frozen=True)
class Verified:
    """What reading every file of a space found; ``broken`` names what is wrong, in sentences."""

    rows: int
    keys: int
    broken: tuple[str, ...]


def verify(store: EmbeddingStore) -> Verified:
    """Read every row: keys of 32 bytes, vectors of one length, finite scales, equal keys with equal vectors.

    Files that cannot be read are set aside, as a run would do.
    """
    store.mend()
    rows = store.read([one.path for one in store.segments])
    has_vector = F.col(c.STATUS) == c.OK
    sums = rows.agg(
        F.count("*").alias("rows"),
        F.count_distinct(c.KEY).alias("keys"),
        F.count_if(F.col(c.KEY).isNull() | (F.length(c.KEY) != 32)).alias("bad_keys"),
        F.count_if(has_vector & F.col(c.VECTOR).isNull()).alias("no_vector"),
        F.count_distinct(F.length(c.VECTOR)).alias("lengths"),
        F.count_if(has_vector & ~(F.abs(c.SCALE) < float("inf"))).alias("bad_scales"),
    ).collect()[0]
    both = rows.where(has_vector).groupBy(c.KEY).agg(F.count_distinct(F.struct(c.VECTOR, c.SCALE)).alias("n"))
    differ = both.where("n > 1").count()
    findings = [
        (len(store.torn), f"files cannot be read and were moved to torn/: {', '.join(store.torn)}"),
        (sums["bad_keys"], "rows whose key is not 32 bytes"),
        (sums["no_vector"], "rows of status ok without a vector"),
        (max(0, sums["lengths"] - 1), "lengths of vectors beside the first one"),
        (sums["bad_scales"], "rows whose scale is not a finite number"),
        (differ, "keys with vectors that differ; runs take the oldest"),
    ]
    told = tuple(f"{count} {what}" for count, what in findings if count)
    return Verified(sums["rows"], sums["keys"], told)


def compact(store: EmbeddingStore) -> tuple[int, int]:
    """Rewrite the segments of a space into one; returns how many segments were replaced, and the rows kept.

    The new segment is sealed before the old ones go, so a killed compaction leaves some rows twice and loses
    none; a run that is reading the old files looks them up again. Of equal keys the oldest vector is kept, as
    runs take it; texts that the model failed on go.
    """
    old = [one for one in store.segments if one.seal or _abandoned(one)]
    if len(old) < 2:
        return 0, 0
    paths = [one.path for one in old]
    size = sum(one.seal.bytes for one in old if one.seal)
    buckets = 1 << max(0, -(-size // FILE_BYTES) - 1).bit_length()
    kept: DataFrame = store.read(paths).join(store.known(paths), [c.KEY, c.SEGMENT])
    laid_out = kept.dropDuplicates([c.KEY]).drop(c.SEGMENT).repartition(buckets, c.KEY)
    ordered = laid_out.sortWithinPartitions(c.KEY).select(
        c.KEY, c.VECTOR, c.SCALE, c.N_TOKENS, c.TRUNCATED, c.STATUS
    )
    new = store.folder.segment(new_number())
    ordered.write.options(**WRITE_OPTIONS).parquet(new.path)
    rows = store.read([new.path]).count()
    total = Seal.total(one.seal for one in old if one.seal)
    store.folder.seal(new, replace(total, rows=rows, buckets=buckets))
    for one in old:
        store.folder.delete(one)
    store.open()
    return len(old), rows


def drop(spark: SparkSession, path: str, model: str) -> list[EmbeddingStore]:
    """Delete every space of the model whose digest begins with ``model``; returns what was deleted.

    Raises
    ------
    ConfigError
        No model, or more than one, has this digest.
    """
    found = [store for store in spaces(spark, path) if store.space.model_digest.startswith(model)]
    digests = sorted({store.space.model_digest for store in found})
    if not model or len(digests) != 1:
        known = sorted({f"{s.space.model_digest[:12]} ({s.model})" for s in spaces(spark, path)})
        raise ConfigError(
            f"--model {model!r}",
            f"{len(digests)} models of the store {path} have a digest that begins so",
            allowed=", ".join(known) or "none, the store is empty",
            remedy="give as many digits as name one model",
        )
    for store in found:
        store.folder.files.delete(store.folder.path)
    return found


def _abandoned(segment: Segment) -> bool:
    age = time.time() * 1000 - (segment.number >> 20)
    return age > ABANDONED_HOURS * 3_600_000
