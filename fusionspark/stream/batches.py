"""Batches on disk: each is written beside its place and renamed into it whole, once and for all."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

from fusionspark.errors import ConfigError, DataContractError
from fusionspark.files import Files
from fusionspark.tables import RunFolder

BATCHES, STAGING, CHECKPOINT = "batches", "staging", "checkpoint"
#: What a batch says of itself; a folder without it is none.
MANIFEST = "batch.json"


@dataclass(frozen=True)
class Batches:
    """The output of one stream.

    Parameters
    ----------
    folder : str
        Holds ``batches/<id>/{predictions,quarantine,batch.json}``, ``staging`` and ``checkpoint``. Its file
        system must rename a folder in one step: local, NFS, HDFS and most file systems of clouds with a
        hierarchy do, plain object stores do not.
    """

    spark: SparkSession
    folder: str
    table_format: str

    @property
    def checkpoint(self) -> str:
        """Where Spark notes what each batch was to read, and which are done."""
        return f"{self.folder}/{CHECKPOINT}"

    def check(self) -> None:
        """Raise where batches are there and the checkpoint that numbers them is not.

        Raises
        ------
        ConfigError
            Numbers would start anew, and rows be taken for those of old batches.
        """
        files = Files(self.spark)
        if files.names(f"{self.folder}/{BATCHES}") and not files.names(f"{self.checkpoint}/offsets"):
            raise ConfigError(
                f"checkpoint {self.checkpoint}",
                f"is gone, and {self.folder}/{BATCHES} holds batches that it counted",
                remedy="bring it back, or set stream.output to a folder of its own for a new start",
            )

    def place(self, batch_id: int) -> str:
        """Folder of a batch, in the order of their numbers."""
        return f"{self.folder}/{BATCHES}/{batch_id:010d}"

    def done(self, batch_id: int) -> dict[str, Any] | None:
        """What a batch that is whole says of itself; None for one that is not there."""
        text = Files(self.spark).read_text_if_there(f"{self.place(batch_id)}/{MANIFEST}")
        return None if text is None else dict(json.loads(text))

    def clear(self) -> None:
        """Delete what starts that were killed on their way have left."""
        Files(self.spark).delete(f"{self.folder}/{STAGING}")

    def begin(self, batch_id: int) -> RunFolder:
        """A folder to write the tables of a batch to, which nobody else has."""
        # The JVM of a driver that was killed may write on for a moment: not into this one.
        name = f"{batch_id:010d}-{uuid.uuid4().hex[:8]}"
        return RunFolder(self.spark, f"{self.folder}/{STAGING}", name, self.table_format, "")

    def publish(self, batch_id: int, run: RunFolder, facts: dict[str, Any]) -> None:
        """Put the batch in its place, whole.

        Raises
        ------
        DataContractError
            Something is in that place that is no whole batch.
        """
        place = self.place(batch_id)
        run.files.write_text(f"{run.path}/{MANIFEST}", json.dumps(facts, allow_nan=False))
        if run.files.exists(place):
            raise DataContractError(
                f"batch {place}", f"is there without {MANIFEST}",
                remedy="move the folder away; the rows of this batch are read again",
            )  # fmt: skip
        run.files.move(run.path, place)
        if self.done(batch_id) is None:
            raise DataContractError(
                f"batch {place}", f"could not be renamed into its place from {run.path}",
                remedy="check that both lie on one file system that renames folders",
            )  # fmt: skip
