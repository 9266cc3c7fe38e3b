"""What every stage of a run gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import SparkSession

from fusionspark.config import Config
from fusionspark.errors import OutOfSpaceError, QuarantineLimitError
from fusionspark.tables import RunFolder, fit_partitions

#: What an operating system says of a full disk.
FULL = "No space left on device"


def nothing_noted(event: Mapping[str, Any]) -> None:
    """Where nobody wants to know."""


@dataclass
class Context:
    """What every stage gets: where it runs, what it was told, what the stages before it found."""

    spark: SparkSession
    config: Config
    run: RunFolder
    #: Run whose models are applied; None where this run trains its own.
    kept: RunFolder | None = None
    #: Nothing that an earlier run worked out is taken over: no whole stage, no stored vector.
    full: bool = False
    #: `fusionspark score`: rows are only scored, so none is held out and no label is needed.
    scoring: bool = False
    #: Is told what happens, an event at a time, for logs that machines read.
    note: Callable[[Mapping[str, Any]], None] = nothing_noted
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def partitions(self) -> int:
        """Parts that the rows are laid out in before a fit."""
        return fit_partitions(self.config.mine.partitions, self.facts["collect"]["rows"])

    @property
    def models(self) -> RunFolder:
        """The run folder that holds the models."""
        return self.kept or self.run


def earlier_runs(run: RunFolder) -> Iterator[RunFolder]:
    """Published runs of earlier dates beside ``run``, the newest first.

    A run of the same date is none of them: run again, a date must end as it did the first time.
    """
    for name in reversed(run.files.names(run.root)):
        folder = RunFolder(run.spark, run.root, name, run.table_format)
        attempt = folder.published_attempt() if name < run.run_date else None
        if attempt is not None:
            yield folder.at(attempt)


def check_quarantine(config: Config, rows_in: int, quarantined: int) -> None:
    """Raise `QuarantineLimitError` where more rows are bad than the configuration allows."""
    if quarantined > config.max_quarantined * rows_in:
        raise QuarantineLimitError(
            "quarantine",
            f"{quarantined} of {rows_in} rows ({quarantined / rows_in:.1%}) are bad",
            allowed=f"max_quarantined = {config.max_quarantined:.1%}",
            remedy="read the table `quarantine` of the run, mend the source, or raise max_quarantined",
        )


@contextmanager
def said_when_full(writer: str) -> Iterator[None]:
    """Raise `OutOfSpaceError` in place of whatever a full disk shows itself as inside the block."""
    try:
        yield
    except Exception as error:
        # Spark wraps the operating system's error several times over; its sentence stays.
        if FULL not in str(error):
            raise
        raise OutOfSpaceError(
            writer,
            "the disk of the output, of the store or of spark.local.dir is full",
            remedy="make room and give the same command again: it goes on after the last whole stage",
        ) from error
