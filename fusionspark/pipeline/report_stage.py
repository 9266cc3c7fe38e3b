"""Stage report: what the page and run.json say is worked out."""

from __future__ import annotations

import time
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark import progress
from fusionspark.mine.cluster_naming import named
from fusionspark.mine.cluster_summary import summarise
from fusionspark.pipeline import cluster_space, receipt
from fusionspark.pipeline.context import Context
from fusionspark.pipeline.explain.of_run import explain_run
from fusionspark.pipeline.learnt_fusion import for_shape
from fusionspark.pipeline.retrain import trainer_of
from fusionspark.report import ageing, number_metrics
from fusionspark.report import metrics as measuring
from fusionspark.report.anomaly_summary import summary
from fusionspark.report.map2d import project
from fusionspark.report.picture_samples import samples
from fusionspark.report.reliability import mean_cost, reliability
from fusionspark.report.rule_summary import top_rules
from fusionspark.represent.text_writer import TextWriter


def report(ctx: Context) -> dict[str, Any]:
    """Measure, describe and project; writes no table."""
    settings = ctx.config.report
    mined = ctx.facts["mine"]
    prepared = ctx.run.read(c.PREPARED)
    clusters = ctx.run.read(c.CLUSTERS)
    features = for_shape(ctx.run.read(c.FEATURE_TABLE))
    facts: dict[str, Any] = {"rows": ctx.facts["mine"]["rows"], "cluster": dict(mined["cluster"])}
    if mined["algorithms"]:
        facts |= _judged(ctx, ctx.run.read(c.PREDICTIONS))
    with progress.stage(ctx.spark, "report: receipt"):
        facts["receipt"] = receipt.make(ctx, features, mined["labels"])
    facts["cluster"] |= _in_words(ctx, clusters, prepared, facts["cluster"].pop("names", {}))
    summaries = facts["cluster"]["clusters"]
    facts["cluster"]["sizes"] = {str(one["id"]): one["rows"] for one in summaries}
    if settings.map_sample:
        facts["cluster"]["map_method"] = settings.map
        facts["cluster"]["map"] = project(
            cluster_space.placed(trainer_of(ctx.models), ctx.run.read(c.FEATURE_TABLE)),
            clusters,
            prepared,
            sample=settings.map_sample,
            seed=ctx.config.seed,
            method=settings.map,
        )
    if mined.get("rules"):
        facts["rules"] = {**mined["rules"], "top": top_rules(ctx.run.read(c.RULES))}
    odd = ctx.run.read(c.ANOMALIES) if mined.get("anomalies") else None
    if odd is not None:
        facts["anomalies"] = {**mined["anomalies"], **summary(odd, prepared)}
    with progress.stage(ctx.spark, "report: explain"):
        facts["explain"] = explain_run(ctx, facts.get("best"), odd)
    if ctx.config.columns.image and settings.pictures:
        predictions = None
        if facts.get("best"):
            predictions = ctx.run.read(c.PREDICTIONS).where(F.col(c.ALGORITHM) == facts["best"])
        shown = samples(
            ctx.run.read(c.PICTURES), prepared, predictions, most=settings.pictures, seed=ctx.config.seed
        )
        facts["pictures"] = {"samples": shown}
    return facts


def _judged(ctx: Context, answers: DataFrame) -> dict[str, Any]:
    """Figures of each algorithm, the best one, and how models that were kept still do."""
    number, mine, seed = ctx.config.columns.number, ctx.config.mine, ctx.config.seed
    key = "regress" if number else "classify"
    measured = number_metrics.evaluate(answers, seed=seed) if number else _class_metrics(ctx, answers)
    facts: dict[str, Any] = {key: measured}
    if ctx.kept is not None:
        trained = ctx.kept.manifest()
        facts["best"] = trained["best"]
        # A replay applies the models of the very run that it mends.
        if not ctx.scoring and ctx.kept.run_date != ctx.run.run_date:
            then, best = trained[key], trained["best"]
            facts["models"] = (
                ageing.compare_numbers(then, measured, best)
                if number
                else ageing.compare(then, measured, best, mine.classify.select_by)
            )
    elif number:
        facts["best"] = number_metrics.choose_best(measured, mine.regress.select_by)
    else:
        facts["best"] = measuring.choose_best(measured, by=mine.classify.select_by)
    return facts


def _class_metrics(ctx: Context, answers: DataFrame) -> dict[str, Any]:
    measured = measuring.evaluate(answers, seed=ctx.config.seed)
    for (name, split), found in reliability(answers).items():
        measured[name][split] |= found
    costs = ctx.config.mine.classify.costs
    for splits in measured.values() if costs else ():
        for figures in splits.values():
            figures["mean_cost"] = mean_cost(figures["confusion"], costs)
    return measured


def _in_words(
    ctx: Context, clusters: DataFrame, prepared: DataFrame, known: dict[str, str]
) -> dict[str, Any]:
    """Describe the clusters; one that was there before keeps its name, whatever its words are tonight."""
    columns = ctx.config.columns
    numeric = list(columns.numeric)
    if columns.number:
        # Of a number the mean of a cluster says something, its most frequent values nothing.
        prepared = prepared.withColumn(columns.number, F.col(c.LABEL).cast("double"))
        prepared = prepared.withColumn(c.LABEL, F.lit(None).cast("string"))
        numeric.append(columns.number)
    with progress.stage(ctx.spark, "report: clusters in words"):
        found = summarise(
            clusters,
            prepared,
            numeric=numeric,
            categorical=columns.categorical,
            top_terms=ctx.config.report.top_terms,
        )
    model = ctx.config.report.naming_model
    if model is None or all(str(one["id"]) in known for one in found):
        return {"clusters": [{**one, "name": known.get(str(one["id"]), one["name"])} for one in found]}
    with progress.stage(ctx.spark, "report: names of clusters"):
        started = time.monotonic()
        writer = TextWriter(model)
        summaries, refused = named(found, writer, known)
    seconds = round(time.monotonic() - started, 3)
    naming = {"model": model, "digest": writer.digest, "seconds": seconds, "refused": refused}
    return {"clusters": summaries, "naming": naming}
