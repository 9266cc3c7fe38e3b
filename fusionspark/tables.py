"""The table layer: run folders, their tables and manifests, on any file system that Spark reaches."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fusionspark.columns import ROW_ID
from fusionspark.errors import ConfigError
from fusionspark.files import Files

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import StructType

MANIFEST = "run.json"
#: Folder, inside the folder of a run date, of everything that the attempts at this date write.
ATTEMPTS = "attempts"


#: Rows of one part of a table that is fitted, where the configuration names no number of parts.
ROWS_A_PART = 50_000


def fit_partitions(setting: int, rows: int) -> int:
    """Parts that a table of ``rows`` rows is laid out in before a fit; ``setting`` where it is not 0.

    Two parts where they suffice: MLlib adds up what the parts send in the order in which they arrive. Two
    sums are the same either way round; three differ in the last digit from run to run, and a learner whose
    loss is not smooth (the SVM's hinge) may magnify that to the third.
    """
    return setting or max(2, -(-rows // ROWS_A_PART))


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
    #: Schemas of the tables that were written or read through this object, by the folder of the table.
    known: dict[str, StructType] = field(default_factory=dict, repr=False, compare=False)

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
        path = self.table_path(name)
        writer = df.write.format(self.table_format).mode("overwrite")
        if self.table_format == "parquet":
            writer = writer.options(**_parquet_options(df))
        writer.save(path)
        if self.table_format == "parquet":
            self.known[path] = df.schema
        return self.read(name)

    def write_counted(self, df: DataFrame, name: str, **figures: Column) -> tuple[DataFrame, dict[str, Any]]:
        """Write a table as `write` does, and return it with aggregates of the rows that lie on disk.

        Spark's Observation would count on the way, but makes its session unfit for MLlib: in 4.1 a model
        that holds its training summary cannot be sent to a task any more.
        """
        written = self.write(df, name)
        named = [figure.alias(key) for key, figure in figures.items()]
        return written, written.agg(*named).collect()[0].asDict()

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
        if path in self.known:
            # Spark would start a job to learn the schema from a file.
            return self.spark.read.schema(self.known[path]).parquet(path)
        table = self.spark.read.format(self.table_format).load(path)
        if self.table_format == "parquet":
            self.known[path] = table.schema
        return table

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


def _parquet_options(df: DataFrame) -> dict[str, str]:
    """A language model's vectors are noise to a dictionary and to a codec, which cost half of the writing."""
    vectors = [name for name, kind in df.dtypes if kind == "array<float>"]
    off = {f"parquet.enable.dictionary#{name}.list.element": "false" for name in vectors}
    return {**off, "compression": "none"} if vectors else {}


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
