"""Running, resuming and publishing."""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark import progress
from fusionspark.config import Config
from fusionspark.errors import ConfigError, DataContractError
from fusionspark.pipeline import learnt_fusion, one_pass, retrain, schema_drift, track
from fusionspark.pipeline.attempts import begin, tidy
from fusionspark.pipeline.collect_stage import open_source, source_fingerprint
from fusionspark.pipeline.context import Context, check_quarantine, nothing_noted, said_when_full
from fusionspark.pipeline.cost import compare
from fusionspark.pipeline.nights import SUMMARY, nights_with
from fusionspark.pipeline.plan import made_for, plan
from fusionspark.pipeline.retention import expired, models_by_run, retire
from fusionspark.pipeline.rooms import ROOMS
from fusionspark.pipeline.run_lock import only_run
from fusionspark.report import map2d
from fusionspark.report.history import row_of
from fusionspark.report.page import REPORT, render
from fusionspark.run_dates import check_run_date
from fusionspark.tables import RunFolder, newest_run

#: Rows in quarantine that the manifest names for each reason.
EXAMPLES = 3
#: What the manifest says of each stage, as far as it has it.
_STAGE_FACTS = ("seconds", "seconds_predict", "rows")
#: What it says of the fusion method.
_FUSE_FACTS = ("method", "reduction", "auto", "network", "seconds_fit")


def run(
    spark: SparkSession,
    config: Config,
    run_date: str,
    *,
    first: str = c.STAGES[0],
    last: str = c.STAGES[-1],
    full: bool = False,
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr),
    note: Callable[[Mapping[str, Any]], None] = nothing_noted,
) -> dict[str, Any] | None:
    """Run the stages ``first`` to ``last`` and, after the last one, publish the run.

    A run that was stopped on its way goes on after its last whole stage when it is started again with the
    same configuration and an unchanged source; a published run of the same date is made anew, and stays
    readable until the new one takes its place. ``full`` takes nothing over from an earlier start, nor from
    the embedding store. ``note`` is told each stage that is whole, as data.

    Returns
    -------
    dict or None
        The manifest (content of run.json); None where ``last`` is not the last stage.

    Raises
    ------
    ConfigError
        ``first`` needs a stage that is not there, or was made with another configuration.
    RunLockedError
        Another process works at the same date.
    """
    home = RunFolder(spark, f"{config.output}/runs", check_run_date(run_date), config.table_format)
    _check_order(first, last, full)
    _check_no_baskets(config)
    start, stop = c.STAGES.index(first), c.STAGES.index(last) + 1
    # What cannot be opened must cost nothing that is there.
    source = None if start else open_source(spark, config, run_date)
    if config.plan.enforce and source is not None:
        plan(spark, config, run_date)
    track.check(config)
    learnt_fusion.check(config)
    map2d.check(config.report.map)
    # Beside the stages, locks, marks and the manifest are written.
    with said_when_full(home.path), only_run(home, say) as lock:

        def fingerprint() -> str | None:
            return source_fingerprint(home, config, source) if source is not None else None

        attempt, whole = begin(home, config, first=first, full=full, fingerprint=fingerprint, say=say)
        ctx = Context(spark, config, attempt, full=full, note=note)
        for stage in c.STAGES[: min(whole, stop)]:
            ctx.facts[stage] = attempt.stage_facts(stage) or {}
            say(f"{stage}: whole from an earlier start, {ctx.facts[stage]['rows']} rows")
            note({**_event(ctx, stage), "resumed": True})
            _check_limit(ctx, stage)
        if "prepare" in ctx.facts:
            retrain.restore(ctx)
        for stage in c.STAGES[whole:]:
            attempt.forget_stage(stage)
        for stage in c.STAGES[whole:stop]:
            lock.confirm()
            _run_stage(ctx, stage, say)
        if last != c.STAGES[-1]:
            return None
        lock.confirm()
        old = []
        if config.retain_runs:
            used = models_by_run(home, {"models": retrain.stated(ctx)})
            old = expired(used, config.retain_runs, publishing=run_date)
        manifest = publish(
            ctx, {"config_digest": config.digest(), "retention": {"keep": config.retain_runs, "expired": old}}
        )
        tidy(home)
        retire(home, old, say)
        track.track(ctx, manifest, say)
        return manifest


def _check_no_baskets(config: Config) -> None:
    if config.columns.basket:
        raise ConfigError(
            "columns.basket",
            f"{config.columns.basket!r} makes baskets of the lines, and a run wants one row for each",
            remedy="use `fusionspark rules`, or name text, numeric and categorical columns instead",
        )


def _check_order(first: str, last: str, full: bool) -> None:
    for option, stage in (("--from", first), ("--to", last)):
        if stage not in c.STAGES:
            raise ConfigError(option, f"{stage!r} is no stage", allowed=", ".join(c.STAGES))
    if c.STAGES.index(first) > c.STAGES.index(last):
        raise ConfigError("--from and --to", f"{first!r} comes after {last!r}", allowed=" -> ".join(c.STAGES))
    if full and first != c.STAGES[0]:
        raise ConfigError(
            "--full and --from",
            f"--full makes every stage anew, --from {first} takes those before it from an earlier start",
            remedy="leave one of them out",
        )


def _run_stage(ctx: Context, stage: str, say: Callable[[str], None]) -> None:
    started = time.monotonic()
    with progress.stage(ctx.spark, stage), said_when_full(f"stage {stage!r} of {ctx.run.path}"):
        facts = ROOMS[stage](ctx)
    seconds = round(time.monotonic() - started, 3)
    ctx.facts[stage] = {**facts, "seconds": seconds, "config_digest": ctx.config.stage_digest(stage)}
    ctx.run.mark_stage(stage, ctx.facts[stage])
    say(f"{stage}: {facts['rows']} rows, {seconds:.1f} s")
    ctx.note({**_event(ctx, stage), "seconds": seconds})
    # Marked first: once the limit is raised, the run goes on from here.
    _check_limit(ctx, stage)


def _event(ctx: Context, stage: str) -> dict[str, Any]:
    return {"event": "stage", "stage": stage, "rows": ctx.facts[stage]["rows"], "attempt": ctx.run.attempt}


def _check_limit(ctx: Context, stage: str) -> None:
    """Raise as soon as a stage has put more rows into quarantine than the configuration allows."""
    rows_in = ctx.facts["collect"]["in"]
    check_quarantine(ctx.config, rows_in, rows_in - ctx.facts[stage]["rows"])


def score(
    spark: SparkSession,
    config: Config,
    run_date: str,
    *,
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr),
    note: Callable[[Mapping[str, Any]], None] = nothing_noted,
) -> dict[str, Any]:
    """Apply the models of the newest published run to the rows of the source; labels are not needed.

    Results go to ``<output>/scores/<run-date>/``, laid out like a run; with ``score.passes: one`` only the
    tables `predictions` and `quarantine` and run.json, without a page (see `fusionspark.pipeline.one_pass`).

    Raises
    ------
    ConfigError
        No published run under the output folder.
    ModelMismatchError
        The language model is not the one that the classifiers were trained on.
    """
    _check_no_baskets(config)
    map2d.check(config.report.map)
    newest = newest_run(spark, f"{config.output}/runs", config.table_format)
    if newest is None:
        raise ConfigError(
            f"output {config.output!r}", "holds no published run whose models could be applied",
            remedy="run `fusionspark run` with this configuration first",
        )  # fmt: skip
    kept = retrain.trainer_of(newest)
    home = RunFolder(spark, f"{config.output}/scores", check_run_date(run_date), config.table_format)
    with said_when_full(home.path), only_run(home, say) as lock:
        ctx = Context(spark, config, home.new_attempt(), kept, scoring=True, note=note)
        one, passes = _passes(ctx, say)
        extra = {"config_digest": config.digest(), "models_of": kept.run_date, "passes": passes}
        if one is not None:
            lock.confirm()
            manifest = one_pass.write_manifest(ctx, one, extra)
            say(f"one pass: {manifest['rows']['out']} rows, {manifest['seconds']:.1f} s")
        else:
            for stage in c.STAGES:
                lock.confirm()
                _run_stage(ctx, stage, say)
            lock.confirm()
            manifest = publish(ctx, extra)
        tidy(home)
        return manifest


def _passes(ctx: Context, say: Callable[[str], None]) -> tuple[one_pass.OnePass | None, dict[str, Any]]:
    """Load the models for one pass where that is asked for and possible; and what run.json says of it."""
    asked = ctx.config.score.passes
    if asked == "staged":
        return None, {"asked": asked, "used": asked}
    try:
        return one_pass.OnePass.load(ctx), {"asked": asked, "used": asked}
    except ConfigError as error:
        say(f"score.passes is one, and the staged way is taken: {error}")
        return None, {"asked": asked, "used": "staged", "why": str(error)}


def publish(ctx: Context, extra: dict[str, Any]) -> dict[str, Any]:
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
    schema = ctx.facts["collect"]["schema"]
    # A run that goes on after its stage collect was told to stop only now.
    schema_drift.check(f"of {ctx.run.path}", schema, ctx.config.drift)
    report = ctx.facts["report"]
    manifest = {
        "title": ctx.config.title,
        "run_date": ctx.run.run_date,
        "seconds": round(sum(ctx.facts[stage]["seconds"] for stage in c.STAGES), 3),
        "spark_version": ctx.spark.version,
        "versions": {"python": platform.python_version(), "spark": ctx.spark.version},
        **extra,
        "rows": {"in": rows_in, "out": rows_out, "quarantined": quarantined},
        "source": ctx.facts["collect"]["source"],
        "changes": ctx.facts["collect"]["changes"],
        "contract": ctx.facts["collect"].get("contract", []),
        "schema": schema,
        "splits": ctx.facts["prepare"]["splits"],
        "leaks": ctx.facts["prepare"].get("leaks"),
        "models": retrain.stated(ctx),
        "stages": [
            {
                "name": stage,
                # Of the stage mine, what applying the models took is told apart from their training.
                **{key: ctx.facts[stage][key] for key in _STAGE_FACTS if key in ctx.facts[stage]},
            }
            for stage in c.STAGES
        ],
        "prepare": ctx.facts["prepare"].get("text", {}),
        "represent": ctx.facts["represent"]["represent"],
        "store": ctx.facts["represent"]["store"],
        "image": ctx.facts["represent"].get("image"),
        "features": ctx.facts["fuse"]["features"],
        "fuse": {key: ctx.facts["fuse"][key] for key in _FUSE_FACTS if key in ctx.facts["fuse"]},
        "labels": ctx.facts["mine"]["labels"],
        "classify": report.get("classify", {}),
        "regress": report.get("regress", {}),
        "explain": report["explain"],
        "receipt": report["receipt"],
        "training": ctx.facts["mine"].get("training", {}),
        "cluster": report["cluster"],
        "best": report.get("best"),
        "rules": report.get("rules"),
        "anomalies": report.get("anomalies"),
        "pictures": report.get("pictures"),
        "quarantine": {"reasons": reasons(quarantine)},
        "config": ctx.config.redacted(),
    }
    pages = {}
    if not ctx.scoring:
        estimate = made_for(ctx.spark, ctx.config, ctx.run.run_date)
        if estimate is not None:
            seconds = (
                ctx.facts["represent"]["seconds"] if estimate["from_run"] is None else manifest["seconds"]
            )
            manifest["plan"] = compare(estimate, seconds, manifest["represent"])
        tonight = row_of(manifest)
        manifest["history"] = nights_with(ctx.run, tonight)
        pages[SUMMARY] = json.dumps(tonight, ensure_ascii=False, allow_nan=False)
    return ctx.run.publish(manifest, {REPORT: render(manifest, language=ctx.config.report.language), **pages})


def reasons(quarantine: DataFrame) -> list[dict[str, Any]]:
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
