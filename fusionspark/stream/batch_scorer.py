"""One batch after the other through the models of the newest run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from fusionspark import collect as collecting
from fusionspark.config import Config, without_user_info
from fusionspark.errors import ConfigError, DataContractError, FusionSparkError
from fusionspark.pipeline.context import Context, said_when_full
from fusionspark.pipeline.one_pass import OnePass, score_rows
from fusionspark.pipeline.retrain import trainer_of
from fusionspark.stream.arriving import LANDED, parted
from fusionspark.stream.batches import Batches
from fusionspark.stream.latency import Latency
from fusionspark.tables import RunFolder, newest_run

#: Parts of the section ``columns`` that models are made of.
_USED = ("text", "image", "numeric", "categorical", "dates", "date")


class BatchScorer:
    """Scores batches, each once; keeps the models between them.

    Parameters
    ----------
    batches : Batches
        Where the results go.
    confirm : callable
        Raises where another process has taken the output over.
    say, note : callable
        Are told each batch and each swap, in words and as data.
    """

    def __init__(
        self,
        spark: SparkSession,
        config: Config,
        batches: Batches,
        *,
        confirm: Callable[[], None],
        say: Callable[[str], None],
        note: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._spark, self._config, self._batches = spark, config, batches
        self._confirm, self._say, self._note = confirm, say, note
        self._one: OnePass | None = None
        self._refused: RunFolder | None = None
        self._latency = Latency()
        self._done = {"batches": 0, "in": 0, "out": 0, "quarantined": 0}

    def swap(self, newest: RunFolder) -> OnePass:
        """The models of a run, loaded where they are not the ones that are loaded already.

        Raises
        ------
        FusionSparkError
            They cannot be used, and there are no others.
        """
        kept = trainer_of(newest)
        if self._one is not None and kept in (self._one.of, self._refused):
            return self._one
        try:
            _check_columns(self._config, kept)
            self._one = OnePass.load(self._context(kept, kept))
        except (FusionSparkError, PySparkException, Py4JJavaError) as error:
            if self._one is None:
                raise
            # A run that cannot be used must not stop rows that the models at hand can score.
            self._refused = kept
            self._say(f"the models of {kept.run_date} are not used: {error}")
            self._note({"event": "models", "refused": kept.run_date, "why": str(error)})
            return self._one
        self._say(f"stream: models of {kept.run_date}")
        self._note({"event": "models", "of": kept.run_date})
        return self._one

    def take(self, rows: DataFrame, batch_id: int) -> None:
        """Score one batch and publish it; a batch that is whole already is left as it is.

        Raises
        ------
        DataContractError
            A row or file cannot be read, or rows are lost on the way.
        """
        if self._batches.done(batch_id) is not None:
            # Published, and then stopped before Spark noted so.
            self._say(f"batch {batch_id}: whole from an earlier start")
            return
        newest = newest_run(self._spark, f"{self._config.output}/runs", self._config.table_format)
        one = self._one if newest is None else self.swap(newest)
        assert one is not None
        started = time.time()
        # Read once: what is counted is what is scored.
        rows = rows.persist()
        try:
            landed = self._landed(rows)
            if not landed:
                return
            with said_when_full(f"batch {batch_id} of {self._batches.folder}"):
                found = self._score(one, rows, batch_id, landed)
        finally:
            rows.unpersist()
        now = time.time()
        self._latency.add([(now - when, count) for when, count in landed])
        self._tell(batch_id, found, one, seconds=now - started, lag=started - landed[0][0])

    def summary(self) -> dict[str, Any]:
        """What this process has done so far."""
        rows = {kind: self._done[kind] for kind in ("in", "out", "quarantined")}
        one = self._one
        return {
            "batches": self._done["batches"],
            "rows": rows,
            "latency": self._latency.figures(),
            "models_of": one and one.of.run_date,
            "best": one and one.facts["best"],
            "model_loads": one.monitor.value.get("model_loads", 0) if one else 0,
        }

    def _context(self, run: RunFolder, kept: RunFolder) -> Context:
        return Context(self._spark, self._config, run, kept, scoring=True, note=self._note)

    def _landed(self, rows: DataFrame) -> list[tuple[float, int]]:
        """(seconds since 1970, rows) of what landed together, the earliest first."""
        try:
            groups = rows.groupBy((F.unix_millis(LANDED) / 1000).alias("at")).count().collect()
        except (PySparkException, Py4JJavaError) as error:
            place = without_user_info(self._config.stream.path) or self._config.stream.format
            raise DataContractError(
                f"stream {place!r}",
                f"cannot be read ({collecting.first_line(error)})",
                allowed="whole files of the columns and types that the models were trained on",
                remedy="mend the file in its place; or move it away and start with "
                "--set stream.options.ignoreMissingFiles=true, which leaves its rows out",
            ) from error
        return sorted((row["at"], row["count"]) for row in groups)

    def _score(
        self, one: OnePass, rows: DataFrame, batch_id: int, landed: list[tuple[float, int]]
    ) -> dict[str, Any]:
        settings, run = self._config.source, self._batches.begin(batch_id)
        parsed, unread = parted(rows)
        source = collecting.choose(collecting.derive(parsed, settings, keep=True), settings)
        rows_in = sum(count for _, count in landed)
        if settings.where:
            rows_in = source.count() + (unread.count() if unread is not None else 0)
        found = score_rows(self._context(run, one.of), one, source, rows_in, unread=unread)
        facts = {
            "batch": batch_id,
            **found,
            "models_of": one.of.run_date,
            "best": one.facts["best"],
            "landed": {"first": landed[0][0], "last": landed[-1][0]},
        }
        self._confirm()
        self._batches.publish(batch_id, run, facts)
        return found

    def _tell(
        self, batch_id: int, found: dict[str, Any], one: OnePass, *, seconds: float, lag: float
    ) -> None:
        rows = found["rows"]
        self._done = {
            "batches": self._done["batches"] + 1,
            **{kind: self._done[kind] + rows[kind] for kind in rows},
        }
        latency = self._latency.figures()
        self._say(
            f"batch {batch_id}: {rows['in']} in = {rows['out']} out + {rows['quarantined']} quarantined; "
            f"{seconds:.1f} s; landing to output {latency['p50']:.1f} s (median)"
        )
        self._note(
            {
                "event": "batch",
                "batch": batch_id,
                "rows": rows,
                "seconds": round(seconds, 3),
                "lag": round(lag, 3),
                "latency": latency,
                "models_of": one.of.run_date,
                "total": dict(self._done),
            }
        )


def _check_columns(config: Config, run: RunFolder) -> None:
    trained = run.manifest()["config"]
    own = config.redacted()
    changed = [f"columns.{part}" for part in _USED if own["columns"][part] != trained["columns"].get(part)]
    if own["source"]["derive"] != trained["source"]["derive"]:
        changed.append("source.derive")
    if changed:
        raise ConfigError(
            f"models of {run.path}",
            f"were trained with other values of {', '.join(changed)}",
            remedy="start the stream with the configuration of that run",
        )
