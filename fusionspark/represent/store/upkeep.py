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
from fusionspark.represent.store.embedding_store import WRITE_OPTIONS, EmbeddingStore, bucket_of
from fusionspark.represent.store.partition import not_finite_partition
from fusionspark.represent.store.segments import Seal, Segment, new_number
from fusionspark.represent.store.space import Space
from fusionspark.represent.store.verdicts import Verdicts

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
    """Read every row: keys of 32 bytes in files of their bucket, vectors of one length and of finite numbers,
    equal keys with equal vectors.

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
    # Rows of unlike length are a finding of their own, and no matrix.
    not_finite = _not_finite(store, rows.where(has_vector)) if sums["lengths"] == 1 else 0
    findings = [
        (len(store.torn), f"files cannot be read and were moved to torn/: {', '.join(store.torn)}"),
        (sums["bad_keys"], "rows whose key is not 32 bytes"),
        (sums["no_vector"], "rows of status ok without a vector"),
        (max(0, sums["lengths"] - 1), "lengths of vectors beside the first one"),
        (sums["bad_scales"], "rows whose scale is not a finite number"),
        (not_finite, "rows whose vector holds NaN or infinity"),
        (_misplaced(store), "rows in a file of another bucket, where a look-up of few keys would miss them"),
        (differ, "keys with vectors that differ; runs take the oldest"),
    ]
    told = tuple(f"{count} {what}" for count, what in findings if count)
    return Verified(sums["rows"], sums["keys"], told)


def _not_finite(store: EmbeddingStore, rows: DataFrame) -> int:
    run = not_finite_partition(store.space.dtype)
    bad = rows.select(c.VECTOR, c.SCALE).mapInArrow(run, "bad long")
    return int(bad.agg(F.sum("bad")).collect()[0][0] or 0)


def _misplaced(store: EmbeddingStore) -> int:
    """Rows of sealed segments whose file is not named for the bucket of their key."""
    widths = [(one.number, one.seal.buckets) for one in store.segments if one.seal and one.seal.buckets]
    if not widths:
        return 0
    paths = [one.path for one in store.segments if one.seal and one.seal.buckets]
    task = F.regexp_extract(F.input_file_name(), r"part-(\d+)-[^/]*$", 1).cast("int")
    rows = store.read(paths).select(c.KEY, c.SEGMENT, task.alias("task"))
    buckets = store.spark.createDataFrame(widths, f"{c.SEGMENT} long, buckets int")
    found = rows.join(F.broadcast(buckets), c.SEGMENT)
    return found.where(bucket_of(F.col("buckets")) != F.col("task") % F.col("buckets")).count()


def compact(store: EmbeddingStore) -> tuple[int, int]:
    """Rewrite the segments of a space into one; returns how many segments were replaced, and the rows kept.

    A segment without a seal is left as it is: a run may still be writing to it. One that is older than
    `ABANDONED_HOURS` was left by a killed run, and what it holds goes into the new segment.

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


@dataclass(frozen=True)
class Doomed:
    """What `drop` deletes of a store: all spaces of one model, and the verdicts on its precision."""

    spaces: tuple[EmbeddingStore, ...]
    verdicts: tuple[str, ...]


def doomed(spark: SparkSession, path: str, model: str) -> Doomed:
    """What there is of the model whose digest begins with ``model``; deletes nothing.

    Raises
    ------
    ConfigError
        No model, or more than one, has this digest.
    """
    held = list(spaces(spark, path))
    found = [store for store in held if store.space.model_digest.startswith(model)]
    digests = sorted({store.space.model_digest for store in found})
    if not model or len(digests) != 1:
        known = sorted({f"{s.space.model_digest[:12]} ({s.model})" for s in held})
        raise ConfigError(
            f"--model {model!r}",
            f"{len(digests)} models of the store {path} have a digest that begins so",
            allowed=", ".join(known) or "none, the store is empty",
            remedy="give as many digits as name one model",
        )
    return Doomed(tuple(found), tuple(Verdicts(Files(spark), path).about(digests[0])))


def drop(spark: SparkSession, what: Doomed) -> None:
    """Delete it; the verdicts first, since without vectors they would name a model that is not there."""
    files = Files(spark)
    for path in (*what.verdicts, *[store.folder.path for store in what.spaces]):
        files.delete(path)


def _abandoned(segment: Segment) -> bool:
    age = time.time() * 1000 - (segment.number >> 20)
    return age > ABANDONED_HOURS * 3_600_000
