"""The table layer: run folders, their tables and manifests, on any file system that Spark reaches."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fusionspark.columns import ROW_ID
from fusionspark.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MANIFEST = "run.json"


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

    def write_text(self, path: str, text: str) -> None:
        """Write a UTF-8 file whole or not at all: beside its place first, then renamed over it."""
        beside = f"{path}.part"
        stream = self._fs(path).create(self._path(beside), True)
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
            self._fs(path).makeQualified(self._path(beside)),
            self._fs(path).makeQualified(self._path(path)),
            options,
        )

    def absolute(self, path: str) -> str:
        """The path with scheme and without ``.`` and ``..``; a plain path for the local file system."""
        full = self._fs(path).makeQualified(self._path(path)).toString()
        return full.removeprefix("file:") if full.startswith("file:/") else str(full)


@dataclass(frozen=True)
class RunFolder:
    """One run's tables, models, stage markers and manifest.

    ``<root>/<run_date>/{collected,prepared,...}``, ``models/``, ``_stages/<stage>.json`` for each stage that
    is whole, and ``run.json``, written last: a folder without it is not a run that readers should see.
    """

    spark: SparkSession
    root: str
    run_date: str
    table_format: str = "parquet"

    @property
    def path(self) -> str:
        """Folder of this run."""
        return f"{self.root}/{self.run_date}"

    @property
    def files(self) -> Files:
        """Small files beside the tables."""
        return Files(self.spark)

    def table_path(self, name: str) -> str:
        """Folder of a table."""
        return f"{self.path}/{name}"

    def model_path(self, name: str) -> str:
        """Folder of a saved model."""
        return f"{self.path}/models/{name}"

    def write(self, df: DataFrame, name: str) -> DataFrame:
        """Write a table anew and return it as read back from disk."""
        df.write.format(self.table_format).mode("overwrite").save(self.table_path(name))
        return self.read(name)

    def read(self, name: str) -> DataFrame:
        """Open a table of this run.

        Raises
        ------
        ConfigError
            The table is not there.
        """
        if not self.files.exists(self.table_path(name)):
            raise ConfigError(
                f"table {name!r}", f"not found in {self.path}", remedy="run the stage that writes it first"
            )
        return self.spark.read.format(self.table_format).load(self.table_path(name))

    def mark_stage(self, stage: str, facts: dict[str, Any]) -> None:
        """State that ``stage`` is whole, with the facts that later stages and the manifest need."""
        self.files.write_text(f"{self.path}/_stages/{stage}.json", json.dumps(facts, allow_nan=False))

    def stage_facts(self, stage: str) -> dict[str, Any] | None:
        """Facts of a whole stage, or None."""
        path = f"{self.path}/_stages/{stage}.json"
        return dict(json.loads(self.files.read_text(path))) if self.files.exists(path) else None

    def forget_stage(self, stage: str) -> None:
        """Withdraw the statement that ``stage`` is whole, before it is written anew."""
        self.files.delete(f"{self.path}/_stages/{stage}.json")

    def is_published(self) -> bool:
        """Whether the manifest is there."""
        return self.files.exists(f"{self.path}/{MANIFEST}")

    def unpublish(self) -> None:
        """Withdraw the manifest, before tables are written anew."""
        self.files.delete(f"{self.path}/{MANIFEST}")

    def publish(self, manifest: dict[str, Any]) -> str:
        """Write the manifest, the last act of a run, and return its path."""
        path = f"{self.path}/{MANIFEST}"
        self.files.write_text(path, json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False))
        return path

    def manifest(self) -> dict[str, Any]:
        """The published manifest."""
        return dict(json.loads(self.files.read_text(f"{self.path}/{MANIFEST}")))


def newest_run(spark: SparkSession, root: str, table_format: str = "parquet") -> RunFolder | None:
    """The published run with the latest run date, or None."""
    for run_date in reversed(Files(spark).names(root)):
        folder = RunFolder(spark, root, run_date, table_format)
        if folder.is_published():
            return folder
    return None
