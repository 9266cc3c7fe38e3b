"""One function a stage: from the tables of the stages before it to its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import reduce
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from fusionspark import collect as collecting
from fusionspark import columns as c
from fusionspark import picks, progress
from fusionspark.config import Config, Source
from fusionspark.errors import DataContractError
from fusionspark.fuse.feature_fuser import FeatureFuser, FeatureFuserModel
from fusionspark.mine import classify, cluster
from fusionspark.pipeline import retrain, schema_drift
from fusionspark.pipeline.changes import changes
from fusionspark.pipeline.context import Context, earlier_runs
from fusionspark.pipeline.profile import profile
from fusionspark.pipeline.represent_stage import represent
from fusionspark.prepare import split as splitting
from fusionspark.prepare import stages as preparing
from fusionspark.report import ageing
from fusionspark.report import metrics as measuring
from fusionspark.report.cluster_summary import summarise
from fusionspark.report.map2d import project
from fusionspark.represent.one_model import check_one_model
from fusionspark.tables import RunFolder, newest_run, ordered_for_fit

#: Value of ``split`` for rows that are only scored.
SCORED = "score"

_BLOCKS = {"text": c.EMBEDDING, "tfidf": c.TFIDF_BLOCK, "table": c.TABLE_BLOCK}


def open_source(
    spark: SparkSession, config: Config, run_date: str, *, need_label: bool = True, keep: bool = False
) -> DataFrame:
    """What the run date picks of the source, opened and checked before any job on its rows.

    ``keep`` leaves the values that ``source.derive`` replaces beside them: quarantine holds a row as it was.
    """
    source, _ = picks.snapshot(spark, config.source, run_date)
    df = collecting.derive(collecting.open_as_is(spark, source), source, keep=keep)
    df = collecting.choose(df, source)

    def last_seen(name: str) -> str:
        newest = newest_run(spark, f"{config.output}/runs", config.table_format)
        schema = ((newest and newest.stage_facts("collect")) or {}).get("schema", {})
        return newest.run_date if newest and name in schema.get("columns", {}) else ""

    place = collecting.place_of(source)
    collecting.check_columns(df, config.columns, place, need_label=need_label, last_seen=last_seen)
    return picks.of_days(df, source, run_date)


def source_fingerprint(run: RunFolder, config: Config, source: DataFrame) -> str | None:
    """What the files look like that a run date picks; None where rows come from no files."""
    return run.files.fingerprint(picks.files_of_days(source.inputFiles(), config.source, run.run_date))


def _collect(ctx: Context) -> dict[str, Any]:
    run_date = ctx.run.run_date
    picked, snapshot = picks.snapshot(ctx.spark, ctx.config.source, run_date)
    config = ctx.config.model_copy(update={"source": picked})
    source = open_source(ctx.spark, config, run_date, need_label=not ctx.scoring, keep=True)
    fingerprint = source_fingerprint(ctx.run, config, source)
    # Two tables are written from one reading: a source that changes in between must not lose a row.
    source = source.persist()
    try:
        found = collecting.collect(source, config.columns, date_column=picked.date_column)
        try:
            shape = profile(source, config.columns)
        except (PySparkException, Py4JJavaError) as error:
            raise collecting.unreadable(config.source, error) from error
        rows_in = shape.pop("rows")
        if not rows_in:
            raise _no_rows(ctx.spark, picked, run_date)
        schema = _drift(ctx, shape)
        rows = ctx.run.write(found.rows, c.COLLECTED).count()
        quarantine = ctx.run.write(found.quarantine, c.QUARANTINE)
    finally:
        source.unpersist()
    quarantined = quarantine.count()
    if rows_in != rows + quarantined:
        raise DataContractError(
            "row accounting",
            f"{rows_in} rows in, {rows} out, {quarantined} in quarantine; the source changed",
        )
    first, last = picks.days(picked, run_date)
    return {
        "rows": rows,
        "in": rows_in,
        "fingerprint": fingerprint,
        "changes": changes(ctx.run),
        "schema": schema,
        "source": {
            "snapshot": snapshot,
            "first_day": first and first.isoformat(),
            "last_day": last and last.isoformat(),
        },
    }


def _no_rows(spark: SparkSession, source: Source, run_date: str) -> DataContractError:
    of_days, checked = "", ["source.path", "source.where"]
    if source.date_column is not None:
        near = picks.nearest_days(collecting.read_source(spark, source), source, run_date)
        of_days = f" whose {source.date_column} is in the {source.days or 'days'} up to {run_date} ({near})"
        checked += ["source.days", "--run-date"]
    return DataContractError(
        f"source {collecting.place_of(source)!r}",
        f"has no rows{of_days}",
        allowed="at least one row",
        remedy=f"check {', '.join(checked[:-1])} and {checked[-1]}",
    )


def _drift(ctx: Context, shape: dict[str, Any]) -> dict[str, Any]:
    """The shape of the source, and how it differs from that of the run before; may stop the run."""
    before = None if ctx.scoring else next(earlier_runs(ctx.run), None)
    known = ((before and before.stage_facts("collect")) or {}).get("schema")
    drift = schema_drift.compare(known, shape, ctx.config.drift) if known else []
    schema = {**shape, "compared_with": before.run_date if before and known else None, "drift": drift}
    schema_drift.check(repr(collecting.place_of(ctx.config.source)), schema, ctx.config.drift)
    return schema


def _prepare(ctx: Context) -> dict[str, Any]:
    config, columns = ctx.config, ctx.config.columns
    rows = ctx.run.read(c.COLLECTED)
    facts: dict[str, Any] = {}
    if ctx.scoring:
        rows = rows.withColumn(c.SPLIT, F.lit(SCORED))
    else:
        facts["models"] = retrain.choose(ctx, rows)
        rows = _split(ctx, rows, facts)
    texts = preparing.text_pipeline(config.prepare).fit(rows).transform(rows)
    # Python cleans each text once; the fit and the table both start from what it wrote.
    cleaned = texts.persist()
    try:
        if ctx.kept is None:
            train = ordered_for_fit(cleaned.where(F.col(c.SPLIT) == c.TRAIN), config.mine.partitions)
            _need_rows(train, config)
            model = preparing.feature_pipeline(columns, config.prepare).fit(train)
            model.write().overwrite().save(ctx.run.model_path("prepare"))
        model = PipelineModel.load(ctx.models.model_path("prepare"))
        prepared = model.transform(cleaned).drop(*preparing.SCRATCH, c.TEXT, c.CONTENT_HASH)
        written = ctx.run.write(prepared, c.PREPARED)
    finally:
        cleaned.unpersist()
    counts = {r[c.SPLIT]: r["count"] for r in written.groupBy(c.SPLIT).count().collect()}
    return {"rows": sum(counts.values()), "splits": counts, **facts}


def _split(ctx: Context, rows: DataFrame, facts: dict[str, Any]) -> DataFrame:
    """Part the rows as the models that are applied ask for: what they were trained on is never held out."""
    split, date = ctx.config.split, ctx.config.columns.date
    if split.by == "hash" or date is None:
        return splitting.split_by_hash(rows, split, seed=ctx.config.seed)
    kept = None
    if ctx.kept is not None:
        kept = splitting.DateCut.from_facts((ctx.kept.stage_facts("prepare") or {})["cut"])
    cut = splitting.date_cut(rows, split, date, kept=kept)
    facts["cut"] = cut.facts()
    return splitting.split_by_date(rows, date, cut)


def _need_rows(train: DataFrame, config: Config) -> None:
    if train.first() is None:
        raise DataContractError(
            "training rows",
            "none are left after the split",
            remedy=f"give more rows, or lower split.test ({config.split.test:g}) and split.validation",
        )


def _fuse(ctx: Context) -> dict[str, Any]:
    prepared = ctx.run.read(c.PREPARED)
    table = prepared.select(
        c.ROW_ID, c.SPLIT, c.LABEL, *[n for n in (c.TFIDF_BLOCK, c.TABLE_BLOCK) if n in prepared.columns]
    )
    if ctx.config.columns.text:
        embeddings = ctx.run.read(c.EMBEDDINGS)
        check_one_model(embeddings, c.EMBEDDINGS)
        vectors = embeddings.where(F.col(c.STATUS) != c.FAILED)
        table = table.join(vectors.select(c.ROW_ID, c.EMBEDDING), c.ROW_ID)
    weights = ctx.config.fuse.weights.model_dump()
    blocks = {name: column for name, column in _BLOCKS.items() if column in table.columns}
    if ctx.kept is None:
        fuser = FeatureFuser(
            inputCols=list(blocks.values()), weights=[weights[name] for name in blocks], outputCol=c.FEATURES
        )
        train = table.where(F.col(c.SPLIT) == c.TRAIN)
        model = fuser.fit(ordered_for_fit(train, ctx.config.mine.partitions))
        model.write().overwrite().save(ctx.run.model_path("fuse"))
    model = FeatureFuserModel.load(ctx.models.model_path("fuse"))
    fused = model.transform(table).select(c.ROW_ID, c.SPLIT, c.LABEL, c.FEATURES)
    written = ctx.run.write(fused, c.FEATURE_TABLE)
    names = {column: name for name, column in blocks.items()}
    layout = {
        names[b.block]: {"dimension": b.end - b.start, "weight": b.weight, "start": b.start}
        for b in model.layout
    }
    return {"rows": written.count(), "features": layout}


def _mine(ctx: Context) -> dict[str, Any]:
    settings = ctx.config.mine
    features = ctx.run.read(c.FEATURE_TABLE)
    labels: list[str] = []
    if ctx.kept is not None:
        trained = ctx.kept.manifest()
        labels = trained.get("labels", [])
        classifiers = [
            classify.Classifier.load(ctx.kept.model_path(f"classify/{name}"))
            for name in trained.get("classify", {})
        ]
        grouping = cluster.load(trained["cluster"]["algorithm"], ctx.kept.model_path("cluster"))
    else:
        classifiers = []
        if ctx.config.columns.label:
            labels = classify.label_values(features)
            classify.check_labels(labels)
            hyperparameters = classify.Hyperparameters(
                max_iter=settings.classify.max_iter,
                regularization=settings.classify.regularization,
                hidden_layers=tuple(settings.classify.hidden_layers),
                seed=ctx.config.seed,
            )
        for name in settings.classify.algorithms if labels else []:
            with progress.stage(ctx.spark, f"mine: {name}"):
                trained_one = classify.train(
                    features, name, labels, hyperparameters, partitions=settings.partitions
                )
            trained_one.save(ctx.run.model_path(f"classify/{name}"))
            classifiers.append(trained_one)
        with progress.stage(ctx.spark, f"mine: {settings.cluster.algorithm}"):
            grouping = cluster.train(
                features,
                settings.cluster.algorithm,
                k=settings.cluster.k,
                seed=ctx.config.seed,
                max_iter=settings.cluster.max_iter,
                partitions=settings.partitions,
            )
        grouping.write().overwrite().save(ctx.run.model_path("cluster"))
    started = time.monotonic()
    with progress.stage(ctx.spark, "mine: predict"):
        if classifiers:
            ctx.run.write(
                reduce(DataFrame.unionByName, [one.predict(features) for one in classifiers]), c.PREDICTIONS
            )
        clusters = ctx.run.write(cluster.assign(grouping, features), c.CLUSTERS)
        rows = clusters.count()
        silhouette, used = cluster.silhouette(clusters, features, rows)
    return {
        "rows": rows,
        "seconds_predict": round(time.monotonic() - started, 3),
        "labels": labels,
        "classifiers": [one.algorithm for one in classifiers],
        "cluster": {
            "algorithm": settings.cluster.algorithm if ctx.kept is None else trained["cluster"]["algorithm"],
            "k": len(grouping.clusterCenters()),
            "silhouette": silhouette,
            "silhouette_rows": used,
        },
    }


def _report(ctx: Context) -> dict[str, Any]:
    settings = ctx.config.report
    mined = ctx.facts["mine"]
    prepared = ctx.run.read(c.PREPARED)
    clusters = ctx.run.read(c.CLUSTERS)
    features = ctx.run.read(c.FEATURE_TABLE)
    facts: dict[str, Any] = {"rows": ctx.facts["mine"]["rows"], "cluster": dict(mined["cluster"])}
    if mined["classifiers"]:
        measured = measuring.evaluate(ctx.run.read(c.PREDICTIONS))
        facts["classify"] = measured
        if ctx.kept is None:
            facts["best"] = measuring.choose_best(measured, by=ctx.config.mine.classify.select_by)
        else:
            trained = ctx.kept.manifest()
            facts["best"] = trained["best"]
            # A replay applies the models of the very run that it mends.
            if not ctx.scoring and ctx.kept.run_date != ctx.run.run_date:
                by = ctx.config.mine.classify.select_by
                facts["models"] = ageing.compare(trained["classify"], measured, trained["best"], by)
    summaries = summarise(clusters, prepared, top_terms=settings.top_terms)
    facts["cluster"]["clusters"] = summaries
    facts["cluster"]["sizes"] = {str(one["id"]): one["rows"] for one in summaries}
    if settings.map_sample:
        facts["cluster"]["map"] = project(
            features, clusters, prepared, sample=settings.map_sample, seed=ctx.config.seed
        )
    return facts


#: Stage -> function, in the order of the data.
ROOMS: dict[str, Callable[[Context], dict[str, Any]]] = {
    "collect": _collect,
    "prepare": _prepare,
    "represent": represent,
    "fuse": _fuse,
    "mine": _mine,
    "report": _report,
}
