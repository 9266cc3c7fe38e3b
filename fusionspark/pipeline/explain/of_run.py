"""Explanations as a part of a run, and of a row of a run that is published."""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.config import Config
from fusionspark.errors import ConfigError
from fusionspark.pipeline.context import Context
from fusionspark.pipeline.explain.explaining import explain
from fusionspark.pipeline.explain.predictor import Predictor
from fusionspark.pipeline.explain.subject import MOST_JUDGED, Asked
from fusionspark.pipeline.retrain import trainer_of
from fusionspark.tables import RunFolder, newest_run


def explain_run(ctx: Context, best: str | None, anomalies: DataFrame | None) -> dict[str, Any] | None:
    """Explain the best classifier of a run; None where nothing is to be explained.

    Of the flagged rows of ``anomalies`` those are explained that are test rows.

    A run that only scores has no held-out rows, so it is not explained; `explain_row` can.
    """
    effort = ctx.config.report.explain
    if best is None or ctx.scoring or not (effort.rows or effort.shuffled):
        return None
    if ctx.config.columns.number:
        # What is explained is the probability of a class.
        return None
    if not ctx.facts["prepare"]["splits"].get(c.TEST):
        return None
    represent = ctx.facts["represent"]["represent"]
    precision = represent["precision"] if represent else "float32"
    predictor = Predictor(ctx.config, ctx.models, best, precision, ctx.facts["fuse"])
    asked = Asked(ctx.run, predictor, effort, ctx.config.seed, _rate(represent))
    return explain(asked, anomalies=[] if anomalies is None else _oddest(anomalies))


def _oddest(anomalies: DataFrame) -> list[str]:
    """Row ids of the flagged anomalies, the strangest first."""
    ordered = anomalies.where("flagged").orderBy(F.desc("score"), c.ROW_ID).limit(MOST_JUDGED)
    return [row[c.ROW_ID] for row in ordered.select(c.ROW_ID).collect()]


def explain_row(
    spark: SparkSession, config: Config, row: str, run_date: str | None = None, samples: int | None = None
) -> dict[str, Any]:
    """Explain one row of a published run, the newest one unless a date is given.

    Raises
    ------
    ConfigError
        There is no such run, it classified nothing, or it has no such row.
    """
    root = f"{config.output}/runs"
    if run_date is None:
        run = newest_run(spark, root, config.table_format)
    else:
        folder = RunFolder(spark, root, run_date, config.table_format)
        attempt = folder.published_attempt()
        run = None if attempt is None else folder.at(attempt)
    if run is None:
        raise ConfigError(
            f"output {config.output!r}",
            f"holds no published run{f' of {run_date}' if run_date else ''}",
            remedy="run `fusionspark run` with this configuration first",
        )
    manifest = run.manifest()
    if manifest.get("regress"):
        raise ConfigError(
            f"run {run.path}",
            "estimates a number, and what is explained is the probability of a class",
            remedy="make classes of the label with source.derive, and run again",
        )
    if not manifest.get("best"):
        raise ConfigError(
            f"run {run.path}", "classified nothing, so no row can be explained", remedy="set columns.label"
        )
    represent = manifest.get("represent")
    precision = represent["precision"] if represent else "float32"
    predictor = Predictor(config, trainer_of(run), manifest["best"], precision, manifest.get("fuse", {}))
    effort = config.report.explain
    if samples:
        effort = effort.model_copy(update={"samples": samples})
    return {
        "run_date": run.run_date,
        **explain(Asked(run, predictor, effort, config.seed, _rate(represent)), row=row),
    }


def _rate(represent: dict[str, Any] | None) -> float | None:
    """Texts that a task encodes in a second, in this run or in those that filled the store."""
    if not represent:
        return None
    # The engine's own seconds, over all tasks: what starting workers took says nothing about one more text.
    texts, seconds = represent["encoded"], represent.get("seconds_compute", 0.0)
    if not texts or not seconds:
        texts, seconds = represent["reused"], represent["seconds_saved"]
    return texts / seconds if texts and seconds else None
