"""One table of rows, scored in one pass: predictions, quarantine, and an account of every row."""

from __future__ import annotations

import platform
import time
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark import collect as collecting
from fusionspark import columns as c
from fusionspark import picks, progress
from fusionspark.contract.check import check_rows, raise_where_broken
from fusionspark.errors import DataContractError
from fusionspark.pipeline import retrain
from fusionspark.pipeline.collect_stage import no_rows, open_source
from fusionspark.pipeline.context import Context, check_quarantine, said_when_full
from fusionspark.pipeline.one_pass.models import OnePass
from fusionspark.represent.store.embedding_store import buckets_for

#: Name of the only stage, in run.json and in the log.
STAGE = "one_pass"


def score_rows(
    ctx: Context,
    one: OnePass,
    source: DataFrame,
    rows_in: int,
    *,
    date_column: str | None = None,
    unread: DataFrame | None = None,
) -> dict[str, Any]:
    """Write the tables `predictions` and `quarantine` of ``ctx.run``.

    Parameters
    ----------
    source : DataFrame
        Held in memory: it is read more than once, and must be the same each time.
    rows_in : int
        Its rows, and those of ``unread``.
    unread : DataFrame, optional
        Rows (`columns.QUARANTINE_DDL`) that could not even be parsed.

    Returns
    -------
    dict
        ``rows: {in, out, quarantined}``, ``texts``, ``empty``, ``truncated``, ``failed``.

    Raises
    ------
    DataContractError
        The rows do not add up.
    """
    config = ctx.config
    found = collecting.collect(source, config.columns, date_column=date_column, contract=config.contract)
    parts = buckets_for(rows_in, config.represent.rows_per_task)
    # What cleans, embeds and scores a row is one Python process a task: several of them, or one core works.
    scored = one.scored(ctx, found.rows.repartition(parts, c.ROW_ID)).persist()
    try:
        written = ctx.run.write(one.predictions(scored), c.PREDICTIONS)
        failed = scored.where(F.col(c.STATUS) == c.FAILED).select(
            c.ROW_ID,
            F.lit("represent").alias(c.STAGE),
            F.lit("the model failed on this text").alias(c.REASON),
            F.to_json(F.struct(F.col(c.CLEAN_TEXT))).alias(c.INPUT),
        )
        bad = found.quarantine.unionByName(failed)
        quarantine = ctx.run.write(bad if unread is None else bad.unionByName(unread), c.QUARANTINE)
        sums = scored.agg(
            F.count_if(F.col(c.STATUS) != c.EMPTY).alias("texts"),
            F.count_if(F.col(c.STATUS) == c.EMPTY).alias("empty"),
            F.count_if(c.TRUNCATED).alias("truncated"),
            F.count_if(F.col(c.STATUS) == c.FAILED).alias("failed"),
        ).collect()[0]
    finally:
        scored.unpersist()
    answers, quarantined = written.count(), quarantine.count()
    if answers != (rows_in - quarantined) * one.algorithms:
        raise DataContractError(
            "row accounting",
            f"{rows_in} rows in, {answers} answers of {one.algorithms} algorithms and {quarantined} rows in "
            "quarantine do not add up; the source changed",
        )
    rows = {"in": rows_in, "out": rows_in - quarantined, "quarantined": quarantined}
    return {"rows": rows, **{name: sums[name] or 0 for name in ("texts", "empty", "truncated", "failed")}}


def write_manifest(ctx: Context, one: OnePass, extra: dict[str, Any]) -> dict[str, Any]:
    """Score what the run date picks of the source and publish it; returns the manifest.

    Raises
    ------
    DataContractError
        No rows, or a source that breaks the contract.
    QuarantineLimitError
        More rows are bad than the configuration allows.
    """
    run_date, started = ctx.run.run_date, time.monotonic()
    picked, snapshot = picks.snapshot(ctx.spark, ctx.config.source, run_date)
    config = ctx.config.model_copy(update={"source": picked})
    source = open_source(ctx.spark, config, run_date, need_label=False, keep=True).persist()
    with progress.stage(ctx.spark, STAGE), said_when_full(f"stage {STAGE!r} of {ctx.run.path}"):
        try:
            try:
                key = collecting.row_key(config.columns) if config.columns.key else None
                held = check_rows(source, config.contract, run_date, key=key, scoring=True)
                rows_in = source.count()
            except (PySparkException, Py4JJavaError) as error:
                raise collecting.unreadable(config.source, error) from error
            if not rows_in:
                raise no_rows(ctx.spark, picked, run_date)
            raise_where_broken(held, repr(collecting.place_of(config.source)))
            found = score_rows(ctx, one, source, rows_in, date_column=picked.date_column)
        finally:
            source.unpersist()
    rows, seconds = found.pop("rows"), round(time.monotonic() - started, 3)
    ctx.note({"event": "stage", "stage": STAGE, "rows": rows["out"], "seconds": seconds})
    check_quarantine(config, rows["in"], rows["quarantined"])
    first, last = picks.days(picked, run_date)
    return ctx.run.publish(
        {
            "title": config.title,
            "run_date": run_date,
            "seconds": seconds,
            "spark_version": ctx.spark.version,
            "versions": {"python": platform.python_version(), "spark": ctx.spark.version},
            **extra,
            "rows": rows,
            "source": {
                "snapshot": snapshot,
                "first_day": first and first.isoformat(),
                "last_day": last and last.isoformat(),
            },
            "contract": [finding.to_dict() for finding in held],
            "models": retrain.stated(ctx),
            "stages": [{"name": STAGE, "seconds": seconds, "rows": rows["out"]}],
            "represent": represented(one, found),
            "labels": one.facts["labels"],
            "best": one.facts["best"],
            "config": config.redacted(),
        }
    )


def represented(one: OnePass, found: dict[str, Any]) -> dict[str, Any] | None:
    """What the manifest says of the texts; None where none was embedded."""
    if one.facts["represent"] is None:
        return None
    seen = one.monitor.value
    return {
        **found,
        "encoded": seen.get("texts_encoded", 0),
        "tokens": seen.get("tokens", 0),
        **one.facts["represent"],
        "model_loads": seen.get("model_loads", 0),
        "workers": len(seen.get("workers", [])),
        "seconds_compute": round(seen.get("seconds_compute", 0.0), 3),
        "seconds_tokenize": round(seen.get("seconds_tokenize", 0.0), 3),
    }
