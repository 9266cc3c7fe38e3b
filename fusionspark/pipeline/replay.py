"""Replay: the quarantined rows of a published run once more, after a fix; those that pass join its tables."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from fusionspark import collect as collecting
from fusionspark import columns as c
from fusionspark import picks, progress
from fusionspark.config import SPEED_ONLY, Config, Source
from fusionspark.errors import ConfigError
from fusionspark.mine import cluster
from fusionspark.pipeline import cluster_space
from fusionspark.pipeline.attempts import tidy
from fusionspark.pipeline.changes import changes
from fusionspark.pipeline.context import Context, nothing_noted
from fusionspark.pipeline.rooms import ROOMS
from fusionspark.pipeline.run_lock import only_run
from fusionspark.pipeline.running import publish
from fusionspark.run_dates import check_run_date
from fusionspark.tables import RunFolder

#: Table of a replay with the rows it sends through the stages, as the source has them.
REPLAYED = "replayed"
#: Tables of a run that the rows join which pass now.
JOINED = (
    c.COLLECTED, c.PICTURES, c.PREPARED, c.EMBEDDINGS, c.IMAGE_EMBEDDINGS, c.FEATURE_TABLE, c.PREDICTIONS,
    c.CLUSTERS, c.ANOMALIES,
)  # fmt: skip
#: Tables that are not of rows, and stay what the models' own night made them.
KEPT = (c.RULES,)
#: Sections that a replay may not change: the run's models and the rows that passed were made with them.
FIXED = ("columns", "split", "prepare", "represent", "fuse")
#: Counts of `represent` that are of the work done, and so add up.
_WORK = ("encoded", "reused", "tokens", "model_loads", "seconds_compute", "seconds_tokenize", "seconds_saved")
_KEY, _NTH, _NOW, _THEN = "__key", "__nth", "__now", "__then"


def replay(
    spark: SparkSession,
    config: Config,
    run_date: str,
    *,
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr),
    note: Callable[[Mapping[str, Any]], None] = nothing_noted,
) -> dict[str, Any]:
    """Send the quarantined rows of a published run through the stages again and publish it with them.

    A row is taken from the source where its key is there now, and as it was quarantined otherwise (bytes that
    were not UTF-8 then read as U+FFFD); a row whose key belongs to one that passed is never taken from the
    source, nor is one without a key. The models of the run are
    applied, not trained again, so the rows that pass get the split ``score`` and leave the figures of the
    held-out rows as they were. The others stay in quarantine with the reason that they have now. Rows that
    ``source.where`` leaves out now are rows of the run no more. Without a change nothing is published.

    Returns
    -------
    dict
        The manifest, with ``replayed: {rows, passed, left, excluded, seconds}``.

    Raises
    ------
    ConfigError
        Nothing is published for this date, or the configuration differs in what the run was made with.
    RunLockedError
        Another process works at this date.
    """
    home = RunFolder(spark, f"{config.output}/runs", check_run_date(run_date), config.table_format)
    source, _ = picks.snapshot(spark, config.source, run_date)
    collecting.check_columns(
        collecting.read_source(spark, source), config.columns, collecting.place_of(source), need_label=False
    )
    with only_run(home, say) as lock:
        published = home.published_attempt()
        if published is None:
            raise ConfigError(
                f"run {home.path}", "is not published, so there is nothing that rows could be merged into",
                remedy="mend the cause and give the same `fusionspark run` again",
            )  # fmt: skip
        before, started = home.at(published), time.monotonic()
        manifest = before.manifest()
        _same_settings(config, manifest)
        bad = before.read(c.QUARANTINE)
        if not manifest["rows"]["quarantined"]:
            say("replay: no row is in quarantine")
            return manifest
        attempt = home.new_attempt()
        try:
            part = Context(
                spark,
                config,
                attempt.at(f"{attempt.attempt}/{REPLAYED}"),
                _models(before, manifest),
                scoring=True,
            )
            candidates = _candidates(part, source, before)
            excluded = _collect(part, source, before, candidates)
            for stage in c.STAGES[1:-1] if not part.run.read(c.COLLECTED).isEmpty() else ():
                lock.confirm()
                with progress.stage(spark, f"replay: {stage}"):
                    part.facts[stage] = ROOMS[stage](part)
                rows = part.facts[stage]["rows"]
                note({"event": "stage", "stage": stage, "rows": rows, "attempt": attempt.attempt})
            left, passed = part.run.read(c.QUARANTINE), part.facts.get("mine", {}).get("rows", 0)
            rows = manifest["rows"]["quarantined"]
            say(f"replay: {passed} of {rows} rows pass now, {rows - passed - excluded} stay in quarantine")
            if not passed and not excluded and _told(left) == _told(bad):
                home.delete_attempt(str(attempt.attempt))
                return manifest
            merged = Context(spark, config, attempt, before)
            _merge(merged, part, before)
            merged.facts = _facts(merged, part, before, excluded)
            for stage, facts in merged.facts.items():
                attempt.mark_stage(stage, facts)
            attempt.files.delete(part.run.place)
            done = {
                "rows": rows,
                "passed": passed,
                "left": rows - passed - excluded,
                "excluded": excluded,
                "seconds": round(time.monotonic() - started, 3),
            }
            lock.confirm()
            manifest = publish(merged, {**manifest, "config_digest": config.digest(), "replayed": done})
        except BaseException:
            # Its stages are those of no run that could go on.
            if home.published_attempt() == published:
                home.delete_attempt(str(attempt.attempt))
            raise
        tidy(home)
        return manifest


def _same_settings(config: Config, manifest: dict[str, Any]) -> None:
    """Raise where rows would pass through other settings than those they are to be merged with."""
    ours, theirs = config.redacted(), manifest["config"]
    for section in FIXED:
        for key in ours[section].keys() & theirs.get(section, {}).keys() - set(SPEED_ONLY):
            if ours[section][key] != theirs[section][key]:
                raise ConfigError(
                    f"key '{section}.{key}'",
                    f"is {ours[section][key]!r}, but the run was made with {theirs[section][key]!r}",
                    allowed="a replay may change source and max_quarantined",
                    remedy="set it back, or run the date again",
                )


def _models(before: RunFolder, manifest: dict[str, Any]) -> RunFolder:
    """The run whose models scored the rows that passed: the run itself, unless it kept those of another.

    Raises
    ------
    ConfigError
        That other run is gone.
    """
    of = manifest.get("models", {}).get("of") or before.run_date
    if of == before.run_date:
        return before
    other = RunFolder(before.spark, before.root, of, before.table_format)
    published = other.published_attempt()
    if published is None:
        raise ConfigError(
            f"run {before.path}", f"was scored with the models of {of}, and that run is gone",
            remedy="run the date again",
        )  # fmt: skip
    return other.at(published)


def _candidates(part: Context, source: Source, before: RunFolder) -> DataFrame:
    """The rows that a replay sends to collect, as the source has them."""
    columns, as_is = part.config.columns, collecting.open_as_is(part.spark, source)
    own = F.struct(*[F.col(f"`{name}`") for name in as_is.columns])
    bad = before.read(c.QUARANTINE)
    at_collect = bad.where(F.col(c.STAGE) == c.STAGES[0])
    parsed = at_collect.select(F.from_json(c.INPUT, as_is.schema).alias(_THEN)).select(f"{_THEN}.*")
    then = _keyed(collecting.derive(parsed.withColumn(_THEN, own), source), part, _THEN)
    if not columns.key:
        return then.select(f"{_THEN}.*")
    later = bad.where(F.col(c.STAGE) != c.STAGES[0]).select(F.col(c.ROW_ID).alias(_KEY))
    taken = _passed(before).select(F.col(c.ROW_ID).alias(_KEY))
    derived = collecting.derive(as_is.withColumn(_NOW, own), source)
    known = then.select(_KEY).unionByName(later).distinct().join(taken, _KEY, "left_anti")
    picked = picks.of_days(derived, source, part.run.run_date)
    now = _keyed(
        picked.withColumn(_KEY, collecting.row_key(columns)).join(known, _KEY, "left_semi"), part, _NOW
    )
    mended = then.join(now, [_KEY, _NTH], "left").select(F.coalesce(_NOW, _THEN).alias(_NOW))
    again = now.join(later, _KEY, "left_semi").where(F.col(_NTH) == 1).select(_NOW)
    return mended.unionByName(again).select(f"{_NOW}.*")


def _keyed(df: DataFrame, part: Context, row: str) -> DataFrame:
    """``row`` with the key that it has, and its number among the rows of this key."""
    columns = part.config.columns
    key = collecting.row_key(columns) if columns.key else F.lit(None).cast("string")
    within = Window.partitionBy(_KEY).orderBy(F.to_json(row))
    return df.select(key.alias(_KEY), row).withColumn(_NTH, F.row_number().over(within))


def _passed(before: RunFolder) -> DataFrame:
    """Collected rows that came through to the end."""
    later = before.read(c.QUARANTINE).where(F.col(c.STAGE) != c.STAGES[0])
    return before.read(c.COLLECTED).join(later.select(c.ROW_ID), c.ROW_ID, "left_anti")


def _collect(part: Context, source: Source, before: RunFolder, candidates: DataFrame) -> int:
    """Write the replay's own collected rows and quarantine; returns how many rows `source.where` left out."""
    config, columns = part.config, part.config.columns
    # Written first: a source that changes meanwhile must not be read in two states.
    written = part.run.write(candidates, REPLAYED)
    derived = collecting.derive(written, source, keep=True)
    chosen = collecting.choose(derived, source)
    found = collecting.collect(
        chosen,
        columns,
        date_column=config.source.date_column,
        taken=_passed(before),
        contract=config.contract,
    )
    part.run.write(found.quarantine, c.QUARANTINE)
    # A row that failed after collect and is not in the source any more goes on as it was collected.
    later = before.read(c.QUARANTINE).where(F.col(c.STAGE) != c.STAGES[0]).select(c.ROW_ID)
    again = before.read(c.COLLECTED).join(later, c.ROW_ID, "left_semi")
    if columns.key:
        keys = derived.select(collecting.row_key(columns).alias(c.ROW_ID))
        again = again.join(keys, c.ROW_ID, "left_anti")
    part.run.write(found.rows.unionByName(again, allowMissingColumns=True), c.COLLECTED)
    return written.count() - chosen.count()


def _told(quarantine: DataFrame) -> list[tuple[str, ...]]:
    return sorted(tuple(map(str, row)) for row in quarantine.select(c.ROW_ID, c.STAGE, c.REASON).collect())


def _merge(merged: Context, part: Context, before: RunFolder) -> None:
    """Write the tables of the run with the rows of the replay in place of those that had failed."""
    replaced = before.read(c.QUARANTINE).select(c.ROW_ID)
    for name in JOINED:
        if not before.files.exists(before.table_path(name)):
            continue
        rows = before.read(name).join(replaced, c.ROW_ID, "left_anti")
        if part.run.files.exists(part.run.table_path(name)):
            rows = rows.unionByName(part.run.read(name), allowMissingColumns=True)
        merged.run.write(rows, name)
    for name in KEPT:
        if before.files.exists(before.table_path(name)):
            merged.run.write(before.read(name), name)
    merged.run.write(part.run.read(c.QUARANTINE), c.QUARANTINE)
    before.files.copy(f"{before.place}/models", f"{merged.run.place}/models")


def _facts(merged: Context, part: Context, before: RunFolder, excluded: int) -> dict[str, dict[str, Any]]:
    """Facts of the stages as they are for the merged tables; what the models say of themselves stays."""
    facts = {stage: before.stage_facts(stage) or {} for stage in c.STAGES}
    rows = {name: merged.run.read(name).count() for name in (c.COLLECTED, c.FEATURE_TABLE)}
    splits = merged.run.read(c.PREPARED).groupBy(c.SPLIT).count().collect()
    facts["collect"] |= {
        "replayed": True,
        "rows": rows[c.COLLECTED],
        "in": facts["collect"]["in"] - excluded,
        "changes": changes(merged.run),
    }
    counts = {row[c.SPLIT]: row["count"] for row in splits}
    facts["prepare"] |= {"rows": sum(counts.values()), "splits": counts}
    if merged.config.columns.text:
        facts["represent"]["represent"] = _represent(merged, part, facts["represent"])
    if merged.config.columns.image:
        facts["represent"]["image"] = _image(merged, part, facts["represent"])
    facts["represent"]["rows"] = facts["fuse"]["rows"] = facts["mine"]["rows"] = rows[c.FEATURE_TABLE]
    shape = cluster_space.placed(part.models, merged.run.read(c.FEATURE_TABLE))
    silhouette, used = cluster.silhouette(merged.run.read(c.CLUSTERS), shape, rows[c.FEATURE_TABLE])
    facts["mine"]["cluster"] |= {"silhouette": silhouette, "silhouette_rows": used}
    merged.facts = facts
    facts["report"] |= ROOMS["report"](merged)
    return facts


def _represent(merged: Context, part: Context, facts: dict[str, Any]) -> dict[str, Any]:
    keyed = merged.run.read(c.PREPARED).select(c.ROW_ID, c.CLEAN_TEXT)
    joined = merged.run.read(c.EMBEDDINGS).join(keyed, c.ROW_ID)
    counts = joined.agg(
        F.count(c.CLEAN_TEXT).alias("texts"),
        F.count_distinct(c.CLEAN_TEXT).alias("distinct"),
        F.count_if(F.col(c.TRUNCATED)).alias("truncated"),
        F.count_if(F.col(c.STATUS) == c.EMPTY).alias("empty"),
        F.count_if(F.col(c.STATUS) == c.FAILED).alias("failed"),
    ).collect()[0].asDict()  # fmt: skip
    then, now = facts["represent"], part.facts.get("represent", {}).get("represent", {})
    work = {name: round(then[name] + now.get(name, 0), 3) for name in _WORK if name in then}
    return {**then, **counts, **work}


def _image(merged: Context, part: Context, facts: dict[str, Any]) -> dict[str, Any]:
    prepared = merged.run.read(c.PREPARED).select(c.ROW_ID)
    keys = merged.run.read(c.PICTURES).join(prepared, c.ROW_ID).select(c.ROW_ID, c.KEY)
    counts = merged.run.read(c.IMAGE_EMBEDDINGS).join(keys, c.ROW_ID).agg(
        F.count(c.KEY).alias("pictures"),
        F.count_distinct(c.KEY).alias("distinct"),
        F.count_if(F.col(c.STATUS) == c.EMPTY).alias("empty"),
        F.count_if(F.col(c.STATUS) == c.FAILED).alias("failed"),
    ).collect()[0].asDict()  # fmt: skip
    then, now = facts["image"], part.facts.get("represent", {}).get("image") or {}
    return {**then, **counts, **{name: then[name] + now.get(name, 0) for name in ("encoded", "model_loads")}}
