"""The table layer: run folders, their tables and manifests, on any file system that Spark reaches."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionspark.columns import ROW_ID
from fusionspark.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MANIFEST = "run.json"
#: Folder, inside the folder of a run date, of everything that the attempts at this date write.
ATTEMPTS = "attempts"


def ordered_for_fit(df: DataFrame, partitions: int) -> DataFrame:
    """The same rows in the same places, however ``df`` happens to be partitioned.

    MLlib seeds by partition and sums in row order, so a fit is repeatable only over a layout that does
    not depend on how the rows arrived.

    Parameters
    ----------
    df : DataFrame
        Needs the column ``row_id``.
    partitions : int
        Number of partitions; results depend on it, so it is a setting and never read from the cluster.
    """
    return df.repartition(partitions, ROW_ID).sortWithinPartitions(ROW_ID)


class Files:
    """Small files through Hadoop's file system, so that local, HDFS and object stores look the same."""

    def __init__(self, spark: SparkSession) -> None:
        self._jvm: Any = spark._jvm
        self._gateway: Any = spark.sparkContext._gateway
        self._conf: Any = spark._jsc.hadoopConfiguration()  # type: ignore[attr-defined]

    def _path(self, path: str) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path(path)

    def _fs(self, path: str) -> Any:
        return self._path(path).getFileSystem(self._conf)

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there."""
        return bool(self._fs(path).exists(self._path(path)))

    def names(self, folder: str) -> list[str]:
        """Sorted names inside ``folder``; empty where it does not exist."""
        if not self.exists(folder):
            return []
        return sorted(entry.getPath().getName() for entry in self._fs(folder).listStatus(self._path(folder)))

    def glob(self, pattern: str) -> list[str]:
        """Sorted paths, without scheme, that match a Hadoop glob."""
        found = self._fs(pattern).globStatus(self._path(pattern)) or []
        return sorted(entry.getPath().toUri().getPath() for entry in found)

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of each data file inside ``folder``, by name; hidden ones and folders are left out."""
        if not self.exists(folder):
            return {}
        entries = [entry for entry in self._fs(folder).listStatus(self._path(folder)) if entry.isFile()]
        found = {entry.getPath().getName(): int(entry.getLen()) for entry in entries}
        return {name: found[name] for name in sorted(found) if not name.startswith(("_", "."))}

    def measure(self, folder: str) -> tuple[int, int]:
        """Number of files below ``folder`` and their bytes, from one call whatever their number."""
        summary = self._fs(folder).getContentSummary(self._path(folder))
        return int(summary.getFileCount()), int(summary.getLength())

    def read_end(self, path: str, start: int) -> bytes:
        """Bytes of a file from ``start`` on."""
        stream = self._fs(path).open(self._path(path))
        try:
            stream.seek(start)
            return bytes(self._jvm.org.apache.commons.io.IOUtils.toByteArray(stream))
        finally:
            stream.close()

    def move(self, path: str, target: str) -> None:
        """Rename a file or folder; the folder of ``target`` is made where it is missing."""
        place = self._path(target)
        self._fs(target).mkdirs(place.getParent())
        self._fs(path).rename(self._path(path), place)

    def delete(self, path: str) -> None:
        """Delete a file or a whole folder; nothing happens where nothing is."""
        self._fs(path).delete(self._path(path), True)

    def read_text(self, path: str) -> str:
        """Content of a UTF-8 file."""
        stream = self._fs(path).open(self._path(path))
        try:
            return bytes(self._jvm.org.apache.commons.io.IOUtils.toByteArray(stream)).decode("utf-8")
        finally:
            stream.close()

    def read_text_if_there(self, path: str) -> str | None:
        """Content of a UTF-8 file that another process may delete at any moment; None where it is gone."""
        with self._none_if_gone():
            return self.read_text(path)
        return None

    @staticmethod
    @contextmanager
    def _none_if_gone() -> Iterator[None]:
        from py4j.protocol import Py4JJavaError

        try:
            yield
        except Py4JJavaError as error:
            if "FileNotFound" not in error.java_exception.getClass().getName():
                raise

    def write_text(self, path: str, text: str) -> None:
        """Write a UTF-8 file whole or not at all: beside its place first, then renamed over it."""
        # A name of its own: two runs may write the same file at once.
        unique = f".{uuid.uuid4().hex[:8]}.part"
        local = self._local(path)
        if local:
            # Hadoop's local file system deletes the old file before it renames the new one.
            local.parent.mkdir(parents=True, exist_ok=True)
            beside = local.with_name(local.name + unique)
            beside.write_text(text, encoding="utf-8", newline="")
            # The checksum that Hadoop may have kept is that of the old content.
            local.with_name(f".{local.name}.crc").unlink(missing_ok=True)
            beside.replace(local)
            return
        stream = self._fs(path).create(self._path(path + unique), True)
        try:
            stream.write(bytearray(text.encode("utf-8")))
        finally:
            stream.close()
        fs = self._jvm.org.apache.hadoop.fs
        overwrite = getattr(fs, "Options$Rename").OVERWRITE
        options = self._gateway.new_array(getattr(fs, "Options$Rename"), 1)
        options[0] = overwrite
        context = fs.FileContext.getFileContext(self._fs(path).getUri(), self._conf)
        context.rename(
            self._fs(path).makeQualified(self._path(path + unique)),
            self._fs(path).makeQualified(self._path(path)),
            options,
        )

    def create(self, path: str, text: str) -> bool:
        """Write a UTF-8 file that must not be there yet; False, and nothing changed, where it is.

        Of processes that try at once one gets True, as far as the file system's own creation is exclusive:
        the local one, NFS and HDFS are.
        """
        from py4j.protocol import Py4JJavaError

        local = self._local(path)
        try:
            if local:
                # Hadoop's local file system looks first and writes then, so two could pass.
                local.parent.mkdir(parents=True, exist_ok=True)
                with local.open("x", encoding="utf-8", newline="") as file:
                    file.write(text)
                return True
            stream = self._fs(path).create(self._path(path), False)
        except FileExistsError:
            return False
        except Py4JJavaError as error:
            if "FileAlreadyExists" in error.java_exception.getClass().getName():
                return False
            raise
        try:
            stream.write(bytearray(text.encode("utf-8")))
        finally:
            stream.close()
        return True

    def copy(self, path: str, to: str) -> None:
        """Copy a file or a whole folder; nothing happens where nothing is."""
        if self.exists(path):
            util = self._jvm.org.apache.hadoop.fs.FileUtil
            source, target = self._path(path), self._path(to)
            self._fs(to).mkdirs(target.getParent())
            util.copy(self._fs(path), source, self._fs(to), target, False, True, self._conf)

    def modified(self, path: str) -> float | None:
        """When a file was last written, in seconds since 1970; None where it is gone."""
        with self._none_if_gone():
            status = self._fs(path).getFileStatus(self._path(path))
            return float(status.getModificationTime()) / 1000
        return None

    def fingerprint(self, paths: Iterable[str]) -> str | None:
        """sha-256 over path, length and modification time of files, one look a file; None without files."""
        seen = []
        for path in sorted(paths):
            status = self._fs(path).getFileStatus(self._path(path))
            seen.append([path, status.getLen(), status.getModificationTime()])
        return hashlib.sha256(json.dumps(seen).encode()).hexdigest() if seen else None

    def _local(self, path: str) -> Path | None:
        """The place in terms of this machine, where the file system is its own."""
        return Path(self.absolute(path)) if self._fs(path).getUri().getScheme() == "file" else None

    def absolute(self, path: str) -> str:
        """The path with scheme and without ``.`` and ``..``; a plain path for the local file system."""
        full = self._fs(path).makeQualified(self._path(path)).toString()
        return full.removeprefix("file:") if full.startswith("file:/") else str(full)


@dataclass(frozen=True)
class RunFolder:
    """One run's tables, models, stage markers and manifest.

    ``<root>/<run_date>/`` holds ``report.html`` and ``run.json``, written last: a folder without it is not a
    run that readers should see. Whoever makes the date anew writes to an attempt of its own,
    ``attempts/<n>/{collected,prepared,...}``, ``models/`` and ``_stages/<stage>.json`` for each stage that is
    whole. ``run.json`` names, as ``tables``, the attempt that it is of; so what was published stays whole
    until the moment in which the new manifest takes its place.
    """

    spark: SparkSession
    root: str
    run_date: str
    table_format: str = "parquet"
    #: Folder of tables and models below `path`; None: the published attempt, else the newest one.
    attempt: str | None = None

    @property
    def path(self) -> str:
        """Folder of this run date."""
        return f"{self.root}/{self.run_date}"

    @property
    def place(self) -> str:
        """Folder of the tables, models and stage markers."""
        attempt = self.attempt
        if attempt is None:
            attempt = self.published_attempt()
        if attempt is None:
            attempt = (self.attempts() or [f"{ATTEMPTS}/1"])[-1]
        return f"{self.path}/{attempt}" if attempt else self.path

    def at(self, attempt: str | None) -> RunFolder:
        """The same run date, held to one attempt whatever is published meanwhile."""
        return replace(self, attempt=attempt)

    def attempts(self) -> list[str]:
        """Attempts at this date, oldest first."""
        names = self.files.names(f"{self.path}/{ATTEMPTS}")
        return [f"{ATTEMPTS}/{n}" for n in sorted(int(name) for name in names if name.isdigit())]

    def new_attempt(self) -> RunFolder:
        """An attempt that nobody has written to yet."""
        newest = max((number_of(name) for name in self.attempts()), default=0)
        return self.at(f"{ATTEMPTS}/{newest + 1}")

    def published_attempt(self) -> str | None:
        """The attempt that readers see; None where nothing is published."""
        # Manifests written before there were attempts lie beside their tables.
        return str(self.manifest().get("tables", "")) if self.is_published() else None

    def delete_attempt(self, attempt: str) -> None:
        """Delete what one attempt wrote."""
        self.files.delete(f"{self.path}/{attempt}")

    @property
    def files(self) -> Files:
        """Small files beside the tables."""
        return Files(self.spark)

    def table_path(self, name: str) -> str:
        """Folder of a table."""
        return f"{self.place}/{name}"

    def model_path(self, name: str) -> str:
        """Folder of a saved model."""
        return f"{self.place}/models/{name}"

    def write(self, df: DataFrame, name: str) -> DataFrame:
        """Write a table anew and return it as read back from disk."""
        df.write.format(self.table_format).mode("overwrite").save(self.table_path(name))
        if self.table_format != "parquet":
            return self.read(name)
        # Spark would start a job to learn from a file what was just written.
        return self.spark.read.schema(df.schema).parquet(self.table_path(name))

    def read(self, name: str) -> DataFrame:
        """Open a table of this run.

        Raises
        ------
        ConfigError
            The table is not there.
        """
        path = self.table_path(name)
        if not self.files.exists(path):
            raise ConfigError(
                f"table {name!r}", f"not found in {self.place}", remedy="run the stage that writes it first"
            )
        return self.spark.read.format(self.table_format).load(path)

    def mark_stage(self, stage: str, facts: dict[str, Any]) -> None:
        """State that ``stage`` is whole, with the facts that later stages and the manifest need."""
        self.files.write_text(f"{self.place}/_stages/{stage}.json", json.dumps(facts, allow_nan=False))

    def stage_facts(self, stage: str) -> dict[str, Any] | None:
        """Facts of a whole stage, or None."""
        path = f"{self.place}/_stages/{stage}.json"
        return dict(json.loads(self.files.read_text(path))) if self.files.exists(path) else None

    def forget_stage(self, stage: str) -> None:
        """Withdraw the statement that ``stage`` is whole, before it is written anew."""
        self.files.delete(f"{self.place}/_stages/{stage}.json")

    def is_published(self) -> bool:
        """Whether the manifest is there."""
        return self.files.exists(f"{self.path}/{MANIFEST}")

    def unpublish(self) -> None:
        """Withdraw the manifest, before the whole run is deleted."""
        self.files.delete(f"{self.path}/{MANIFEST}")

    def publish(self, manifest: dict[str, Any], pages: dict[str, str] | None = None) -> dict[str, Any]:
        """Put the manifest in its place, the last act of a run, and return it as it was written.

        Parameters
        ----------
        manifest : dict
            Content of run.json; the key ``tables`` is added.
        pages : dict of str to str, optional
            Text files that go beside it, by name.
        """
        written = {**manifest, "tables": self.place.removeprefix(self.path).lstrip("/")}
        for name, text in (pages or {}).items():
            self.files.write_text(f"{self.path}/{name}", text)
        content = json.dumps(written, indent=2, ensure_ascii=False, allow_nan=False)
        self.files.write_text(f"{self.path}/{MANIFEST}", content)
        return written

    def manifest(self) -> dict[str, Any]:
        """The published manifest."""
        return dict(json.loads(self.files.read_text(f"{self.path}/{MANIFEST}")))


def number_of(attempt: str) -> int:
    """Place of an attempt in the order in which they were begun.

    >>> number_of("attempts/12")
    12
    """
    name = attempt.rpartition("/")[2]
    return int(name) if name.isdigit() else 0


def published_runs(spark: SparkSession, root: str, table_format: str = "parquet") -> list[RunFolder]:
    """Every published run below ``root``, oldest run date first, held to what is published now."""
    found = []
    for run_date in Files(spark).names(root):
        folder = RunFolder(spark, root, run_date, table_format)
        attempt = folder.published_attempt()
        if attempt is not None:
            found.append(folder.at(attempt))
    return found


def newest_run(
    spark: SparkSession, root: str, table_format: str = "parquet", *, before: str | None = None
) -> RunFolder | None:
    """The published run with the latest run date, or None; ``before`` leaves later dates and itself out."""
    for run_date in reversed(Files(spark).names(root)):
        folder = RunFolder(spark, root, run_date, table_format)
        if before is not None and run_date >= before:
            continue
        attempt = folder.published_attempt()
        if attempt is not None:
            return folder.at(attempt)
    return None
