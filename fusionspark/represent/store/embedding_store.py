"""`EmbeddingStore`: look keys up, encode and append what is missing, read vectors back."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.errors import ModelMismatchError
from fusionspark.represent.arrow_partition import Monitor
from fusionspark.represent.gpu_profile import map_in_arrow
from fusionspark.represent.store.canary import Canary, CanaryCheck, canary_file
from fusionspark.represent.store.contents import Settings
from fusionspark.represent.store.partition import canary_partition, decode_partition, encode_partition
from fusionspark.represent.store.segments import Seal, Segment, SegmentFolder, new_number
from fusionspark.represent.store.space import Space

if TYPE_CHECKING:
    from pyspark.accumulators import Accumulator

#: How segments are written and read. The second version of the committer moves a task's file into place as
#: soon as the task is done, so that a killed job keeps what it computed; readers ignore what lies in
#: `_temporary`. Vectors are noise to a dictionary.
WRITE_OPTIONS = {
    "mapreduce.fileoutputcommitter.algorithm.version": "2",
    "mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
    "compression": "zstd",
    f"parquet.enable.dictionary#{c.KEY}": "false",
    f"parquet.enable.dictionary#{c.VECTOR}": "false",
}
READ_OPTIONS = {"parquet.page.verify-checksum.enabled": "true"}

#: Few contents are spread over this many tasks (by this many each at least), so that cores share them; over
#: no more, since every further worker that takes a task must load the model first.
_SPREAD, _SPREAD_ROWS = 2, 64


def buckets_for(rows: int, rows_per_task: int) -> int:
    """Tasks that encode ``rows`` contents, and files that hold them: a power of two.

    >>> buckets_for(50_000, 2_000), buckets_for(400, 2_000), buckets_for(1, 2_000)
    (32, 2, 1)
    """
    wanted = max(-(-rows // rows_per_task), min(_SPREAD, rows // _SPREAD_ROWS), 1)
    return 1 << (wanted - 1).bit_length()


def bucket_of(buckets: int | Column) -> Column:
    """Column: bucket of `columns.KEY`; also the task that ``repartition(buckets, key)`` puts it in."""
    return F.pmod(F.hash(c.KEY), F.lit(buckets))


@dataclass(frozen=True)
class Encoding:
    """How missing contents are encoded.

    Attributes
    ----------
    settings : EngineSettings or ImageSettings
        With a precision other than ``auto``.
    rows_per_task : int
        Most contents a task encodes.
    canary_tolerance : float
        Largest distance of a canary's vector from its first one; see `Canary.distance`.
    """

    settings: Settings
    monitor: Accumulator[dict[str, Any]]
    window: int = 10_000
    gpu_amount: float = 0.0
    rows_per_task: int = 500
    canary_tolerance: float = 0.02


@dataclass
class EmbeddingStore:
    """Vectors of one space under the digests of their contents.

    Parameters
    ----------
    path : str
        Folder of the store; several outputs may share one.
    space : Space
        What makes the vectors.
    model : str
        How the user calls the model; kept for people to read.

    Attributes
    ----------
    segments : list of Segment
        What `open` found.
    torn : list of str
        Files that were set aside since this object was made.
    """

    spark: SparkSession
    path: str
    space: Space
    model: str = ""
    segments: list[Segment] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder = SegmentFolder(self.spark, f"{self.path}/{self.space.folder}")

    def open(self) -> None:
        """Look what is there now, and set torn files aside.

        Raises
        ------
        ModelMismatchError
            The folder was opened for another space.
        """
        description = f"{self.folder.path}/space.json"
        if self.folder.files.exists(description):
            held = json.loads(self.folder.files.read_text(description))
            if held["digest"] != self.space.digest():
                raise ModelMismatchError(
                    f"store {self.folder.path}",
                    f"holds vectors of space {held['digest'][:16]} (model {held['model_digest'][:12]})",
                    allowed=f"space {self.space.digest()[:16]} (model {self.space.model_digest[:12]})",
                    remedy="move that folder away; no two spaces share one",
                )
        self.segments, torn = self.folder.open()
        self.torn += torn

    def near(self, keys: DataFrame, rows: int) -> list[str]:
        """Files in which ``keys`` may lie: all folders, or single files where ``rows`` keys are the fewer.

        Parameters
        ----------
        rows : int
            How many keys there are at most.
        """
        widths = [one.seal.buckets for one in self.segments if one.seal and one.seal.buckets]
        files = sum(one.seal.files for one in self.segments if one.seal)
        if rows >= files or not widths:
            return [one.path for one in self.segments]
        found = {row[0] for row in keys.select(bucket_of(max(widths))).distinct().collect()}
        paths: list[str] = []
        for one in self.segments:
            if one.seal is None or not one.seal.buckets:
                paths.append(one.path)
                continue
            wanted = {bucket % one.seal.buckets for bucket in found}
            paths += [
                f"{one.path}/{name}"
                for name in self.folder.files.sizes(one.path)
                if bucket_of_file(name) in wanted
            ]
        return paths

    def read(self, paths: Sequence[str]) -> DataFrame:
        """Stored rows (`columns.STORED_DDL` and the segment's number) in these folders or files."""
        schema = f"{c.STORED_DDL}, {c.SEGMENT} long"
        if not paths:
            return self.spark.createDataFrame([], schema)
        reader = self.spark.read.schema(schema).options(**READ_OPTIONS)
        return reader.option("basePath", self.folder.root).parquet(*paths)

    def known(self, paths: Sequence[str]) -> DataFrame:
        """Keys that need not be encoded, once each, with the oldest segment that holds them.

        A content that the model failed on is not known: it is tried again.
        """
        stored = self.read(paths).where(F.col(c.STATUS) != c.FAILED)
        return stored.groupBy(c.KEY).agg(F.min(c.SEGMENT).alias(c.SEGMENT))

    def append(self, contents: DataFrame, rows: int, encoding: Encoding) -> Segment:
        """Encode ``contents`` (key, content; ``rows`` of them, keys unlike) into a new segment.

        What each task has encoded is kept when it ends, whatever becomes of the others.

        Raises
        ------
        ModelMismatchError
            The canaries have drifted from their first vectors; nothing was appended.
        """
        segment = self.folder.segment(new_number())
        buckets = buckets_for(rows, encoding.rows_per_task)
        started = time.monotonic()
        check = CanaryCheck(self._canary(encoding), encoding.canary_tolerance, segment.number)
        run = encode_partition(encoding.settings, encoding.window, self.space.dtype, encoding.monitor, check)
        # Which contents share a batch depends on their keys alone, not on how many machines there are.
        laid_out = contents.repartition(buckets, c.KEY).sortWithinPartitions(c.KEY)
        encoded = map_in_arrow(laid_out, run, c.STORED_DDL, encoding.gpu_amount)
        before = dict(encoding.monitor.value)
        encoded.write.options(**WRITE_OPTIONS).parquet(segment.path)
        told = encoding.monitor.value
        self._refuse_drift(told.get("canary_distance", 0.0), encoding.canary_tolerance, segment)

        def new(name: str) -> Any:
            return told.get(name, 0) - before.get(name, 0)

        seal = Seal(
            files=0, bytes=0, rows=rows, buckets=buckets, texts=rows, seconds=time.monotonic() - started,
            measured=new("measured"), sum_cosine=new("sum_cosine"),
            lowest_cosine=told.get("lowest_cosine", 1.0),
        )  # fmt: skip
        whole = self.folder.segment(segment.number, self.folder.seal(segment, seal))
        self.segments.append(whole)
        return whole

    def vectors(
        self, rows: DataFrame, paths: Sequence[str], *, few: bool = False, monitor: Monitor | None = None
    ) -> DataFrame:
        """``rows`` (row_id, key, segment) with the vector that this segment holds; `columns.EMBEDDINGS_DDL`.

        The status of a row without a key is ``empty``; a row that is not in its segment is left out.

        Parameters
        ----------
        few : bool
            ``rows`` fit into the memory of every machine: they go to the vectors, which then stay where
            they are instead of being sorted by key.
        monitor : Monitor, optional
            Is told what went through; see `decode_partition`.
        """
        on = [c.KEY, c.SEGMENT]
        with_text = rows.where(F.col(c.KEY).isNotNull())
        found = self.read(paths).join(F.broadcast(with_text) if few else with_text, on)
        kept = [c.ROW_ID, c.VECTOR, c.SCALE, c.N_TOKENS, c.TRUNCATED, c.STATUS]
        empty = rows.where(F.col(c.KEY).isNull()).select(c.ROW_ID, F.lit(c.EMPTY).alias(c.STATUS))
        wanted = found.select(*kept).unionByName(empty, allowMissingColumns=True)
        run = decode_partition(self.space.dtype, self.space.model_digest, monitor)
        return wanted.mapInArrow(run, c.EMBEDDINGS_DDL)

    def mend(self) -> bool:
        """After a read failed: set aside the files that cannot be read, and say whether to try again.

        True also where a compaction has replaced segments meanwhile.
        """
        held = [one.path for one in self.segments]
        broken = len(self.torn)
        self.open()
        for path in self._unreadable(self.folder.data_files(self.segments)):
            segment_path, _, name = path.rpartition("/")
            segment = next(one for one in self.segments if one.path == segment_path)
            self.torn.append(self.folder.set_aside(segment, name))
        return len(self.torn) > broken or held != [one.path for one in self.segments]

    def figures(self) -> Seal:
        """Sums over the sealed segments."""
        return Seal.total(one.seal for one in self.segments if one.seal)

    def _unreadable(self, paths: list[str]) -> list[str]:
        """The files that Spark cannot read to their end, found by halving."""
        if not paths:
            return []
        try:
            self.read(paths).write.format("noop").mode("overwrite").save()
        except (PySparkException, Py4JJavaError):
            if len(paths) == 1:
                return paths
            middle = len(paths) // 2
            return self._unreadable(paths[:middle]) + self._unreadable(paths[middle:])
        return []

    def _canary(self, encoding: Encoding) -> Canary:
        """First vectors of the canaries; made now, with ``space.json``, where the space is new."""
        path = f"{self.folder.path}/{canary_file()}"
        files = self.folder.files
        if files.exists(path):
            return Canary.from_dict(json.loads(files.read_text(path)))
        one = self.spark.range(1, numPartitions=1)
        run = canary_partition(encoding.settings, encoding.monitor)
        found = sorted(map_in_arrow(one, run, "nth int, vector array<float>", encoding.gpu_amount).collect())
        dimension = next((len(row["vector"]) for row in found if row["vector"] is not None), 0)
        rows = [row["vector"] for row in found]
        canary = Canary.from_dict({"vectors": rows, "dimension": dimension})
        description = {**self.space.to_dict(), "model": self.model}
        files.write_text(f"{self.folder.path}/space.json", json.dumps(description, indent=2))
        files.write_text(path, json.dumps(canary.to_dict(), allow_nan=False))
        return canary

    def _refuse_drift(self, distance: float, tolerance: float, segment: Segment) -> None:
        if distance <= tolerance:
            return
        self.folder.delete(segment)
        raise ModelMismatchError(
            f"model {self.model!r}",
            f"encodes the canary texts otherwise than when this space was opened: distance {distance:.3g}",
            allowed=f"store.canary_tolerance = {tolerance:g}; nothing was appended",
            remedy="find what changed (libraries, processor, driver); then raise the tolerance, or begin "
            f"anew with `fusionspark store drop --model {self.space.model_digest[:12]}`",
        )


def bucket_of_file(name: str) -> int:
    """Bucket of the keys in a file: Spark names files after the task that wrote them.

    >>> bucket_of_file("part-00013-0a1b.c000.zstd.parquet")
    13
    """
    return int(name.split("-")[1])
