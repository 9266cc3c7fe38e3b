"""Running, resuming and publishing."""

from __future__ import annotations

import datetime as dt
import platform
import sys
import time
from collections.abc import Callable
from typing import Any

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark import progress
from fusionspark.config import Config
from fusionspark.errors import ConfigError, DataContractError
from fusionspark.pipeline.context import Context, check_quarantine
from fusionspark.pipeline.rooms import ROOMS, open_source
from fusionspark.report.page import REPORT, render
from fusionspark.tables import RunFolder, newest_run

#: Rows in quarantine that the manifest names for each reason.
EXAMPLES = 3


def today() -> str:
    """Run date where none is given: the date in UTC."""
    return dt.datetime.now(dt.timezone.utc).date().isoformat()


def check_run_date(run_date: str) -> str:
    """Return ``run_date`` if it is YYYY-MM-DD; it becomes a folder name and is sorted as text."""
    try:
        if dt.date.fromisoformat(run_date).isoformat() == run_date:
            return run_date
    except ValueError:
        pass
    raise ConfigError(
        "--run-date", f"{run_date!r} is not a date", allowed="YYYY-MM-DD, for example 2026-01-31"
    )


def run(
    spark: SparkSession,
    config: Config,
    run_date: str,
    *,
    first: str = c.STAGES[0],
    last: str = c.STAGES[-1],
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr),
) -> dict[str, Any] | None:
    """Run the stages ``first`` to ``last`` and, after the last one, publish the run.

    A run that was stopped on its way goes on after its last whole stage when it is started again with the
    same configuration; a published run of the same date is made anew.

    Returns
    -------
    dict or None
        The manifest (content of run.json); None where ``last`` is not the last stage.

    Raises
    ------
    ConfigError
        ``first`` needs a stage that is not there, or was made with another configuration.
    """
    folder = RunFolder(spark, f"{config.output}/runs", check_run_date(run_date), config.table_format)
    ctx = Context(spark, config, folder)
    _check_order(first, last)
    start, stop = c.STAGES.index(first), c.STAGES.index(last) + 1
    # A run that was published is made anew; one that was stopped goes on after its last whole stage.
    reusable = start if start else 0 if folder.is_published() else _whole_stages(ctx, stop)
    for stage in c.STAGES[:start]:
        _check_whole(ctx, stage, first)
    if not reusable:
        # What cannot be opened must not cost the run that is there.
        open_source(spark, config)
    for stage in c.STAGES[:reusable]:
        ctx.facts[stage] = folder.stage_facts(stage) or {}
        say(f"{stage}: whole from an earlier start, {ctx.facts[stage]['rows']} rows")
    folder.unpublish()
    for stage in c.STAGES[reusable:]:
        folder.forget_stage(stage)
    for stage in c.STAGES[reusable:stop]:
        _run_stage(ctx, stage, say)
    if last != c.STAGES[-1]:
        return None
    return _publish(ctx, {"config_digest": config.digest()})


def _is_whole(ctx: Context, stage: str) -> bool:
    facts = ctx.run.stage_facts(stage)
    return facts is not None and facts["config_digest"] == ctx.config.stage_digest(stage)


def _whole_stages(ctx: Context, stop: int) -> int:
    """How many stages, from the first one on, an earlier start left whole."""
    for i, stage in enumerate(c.STAGES[:stop]):
        if not _is_whole(ctx, stage):
            return i
    return stop


def _check_whole(ctx: Context, stage: str, first: str) -> None:
    if not _is_whole(ctx, stage):
        there = ctx.run.stage_facts(stage) is not None
        raise ConfigError(
            f"--from {first}",
            f"stage {stage!r} of {ctx.run.path} is "
            + ("made with another configuration" if there else "missing"),
            remedy=f"run without --from, or with --from {stage}",
        )


def _check_order(first: str, last: str) -> None:
    for option, stage in (("--from", first), ("--to", last)):
        if stage not in c.STAGES:
            raise ConfigError(option, f"{stage!r} is no stage", allowed=", ".join(c.STAGES))
    if c.STAGES.index(first) > c.STAGES.index(last):
        raise ConfigError("--from and --to", f"{first!r} comes after {last!r}", allowed=" -> ".join(c.STAGES))


def _run_stage(ctx: Context, stage: str, say: Callable[[str], None]) -> None:
    started = time.monotonic()
    with progress.stage(ctx.spark, stage):
        facts = ROOMS[stage](ctx)
    seconds = round(time.monotonic() - started, 3)
    ctx.facts[stage] = {**facts, "seconds": seconds, "config_digest": ctx.config.stage_digest(stage)}
    ctx.run.mark_stage(stage, ctx.facts[stage])
    say(f"{stage}: {facts['rows']} rows, {seconds:.1f} s")


def score(
    spark: SparkSession,
    config: Config,
    run_date: str,
    *,
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr),
) -> dict[str, Any]:
    """Apply the models of the newest published run to the rows of the source; labels are not needed.

    Results go to ``<output>/scores/<run-date>/``, laid out like a run.

    Raises
    ------
    ConfigError
        No published run under the output folder.
    ModelMismatchError
        The language model is not the one that the classifiers were trained on.
    """
    kept = newest_run(spark, f"{config.output}/runs", config.table_format)
    if kept is None:
        raise ConfigError(
            f"output {config.output!r}", "holds no published run whose models could be applied",
            remedy="run `fusionspark run` with this configuration first",
        )  # fmt: skip
    folder = RunFolder(spark, f"{config.output}/scores", check_run_date(run_date), config.table_format)
    folder.files.delete(folder.path)
    ctx = Context(spark, config, folder, kept)
    for stage in c.STAGES:
        _run_stage(ctx, stage, say)
    return _publish(ctx, {"config_digest": config.digest(), "models_of": kept.run_date})


def _publish(ctx: Context, extra: dict[str, Any]) -> dict[str, Any]:
    """Write report.html, then run.json as the very last file."""
    quarantine = ctx.run.read(c.QUARANTINE)
    quarantined = quarantine.count()
    rows_in, rows_out = ctx.facts["collect"]["in"], ctx.facts["mine"]["rows"]
    if rows_in != rows_out + quarantined:
        raise DataContractError(
            "row accounting",
            f"{rows_in} rows in, {rows_out} out and {quarantined} in quarantine do not add up",
        )
    check_quarantine(ctx.config, rows_in, quarantined)
    report = ctx.facts["report"]
    manifest = {
        "title": ctx.config.title,
        "run_date": ctx.run.run_date,
        "seconds": round(sum(ctx.facts[stage]["seconds"] for stage in c.STAGES), 3),
        "spark_version": ctx.spark.version,
        "versions": {"python": platform.python_version(), "spark": ctx.spark.version},
        **extra,
        "rows": {"in": rows_in, "out": rows_out, "quarantined": quarantined},
        "splits": ctx.facts["prepare"]["splits"],
        "stages": [
            {"name": stage, "seconds": ctx.facts[stage]["seconds"], "rows": ctx.facts[stage]["rows"]}
            for stage in c.STAGES
        ],
        "represent": ctx.facts["represent"]["represent"],
        "features": ctx.facts["fuse"]["features"],
        "labels": ctx.facts["mine"]["labels"],
        "classify": report.get("classify", {}),
        "cluster": report["cluster"],
        "best": report.get("best"),
        "quarantine": {"reasons": _reasons(quarantine)},
        "config": ctx.config.redacted(),
    }
    page = render(manifest, language=ctx.config.report.language)
    ctx.run.files.write_text(f"{ctx.run.path}/{REPORT}", page)
    ctx.run.publish(manifest)
    return manifest


def _reasons(quarantine: DataFrame) -> list[dict[str, Any]]:
    """Rows of each stage and reason, most first, with the first row ids as examples."""
    groups = Window.partitionBy(c.STAGE, c.REASON)
    numbered = quarantine.select(
        c.STAGE,
        c.REASON,
        c.ROW_ID,
        F.count("*").over(groups).alias("rows"),
        F.row_number().over(groups.orderBy(c.ROW_ID)).alias("nth"),
    )
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in numbered.where(F.col("nth") <= EXAMPLES).orderBy(c.STAGE, c.REASON, "nth").collect():
        facts = {"stage": row[c.STAGE], "reason": row[c.REASON], "rows": row["rows"], "examples": []}
        found.setdefault((row[c.STAGE], row[c.REASON]), facts)["examples"].append(row[c.ROW_ID])
    return sorted(found.values(), key=lambda facts: -facts["rows"])
