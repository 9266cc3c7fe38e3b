"""Stage mine: classifiers or regressions, and clusters are trained and applied."""

from __future__ import annotations

import time
from dataclasses import fields
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame

from fusionspark import columns as c
from fusionspark import progress
from fusionspark.config.mine import Classify, Regress
from fusionspark.mine import classify, cluster, regress
from fusionspark.mine.algorithms import Hyperparameters
from fusionspark.mine.answers import predictions
from fusionspark.mine.classify import Classifier
from fusionspark.mine.regress import Regressor
from fusionspark.mine.search import Search
from fusionspark.pipeline import cluster_space, cluster_stage, learnt_fusion
from fusionspark.pipeline.anomalies_stage import anomalies
from fusionspark.pipeline.context import Context
from fusionspark.pipeline.row_view import row_view
from fusionspark.pipeline.rules_stage import rules
from fusionspark.tables import RunFolder


def mine(ctx: Context) -> dict[str, Any]:
    """Write the tables `predictions`, `clusters`, `rules` and `anomalies`."""
    settings = ctx.config.mine
    features = ctx.run.read(c.FEATURE_TABLE)
    answers = learnt_fusion.own_answers(ctx, features)
    by_itself = [] if answers is None else [ctx.facts["fuse"]["method"]]
    labels: list[str] = []
    models: list[Classifier | Regressor] = []
    if ctx.kept is not None:
        trained = ctx.kept.manifest()
        labels = trained.get("labels", [])
        models = _saved(ctx.kept, trained, by_itself)
    elif ctx.config.columns.number:
        models = [_regression(ctx, features, name) for name in settings.regress.algorithms]
    elif ctx.config.columns.label:
        labels = classify.label_values(features)
        classify.check_labels(labels)
        models = [_classifier(ctx, features, name, labels) for name in settings.classify.algorithms]
    if ctx.kept is None:
        factors = cluster_space.learn(ctx, features)
    else:
        factors = ctx.kept.manifest()["cluster"].get("factors", {})
    # Placed in Python, and read by each step of the clustering.
    shape = cluster_space.placed(ctx.models, features).persist()
    try:
        grouping, about = cluster_stage.clustering(ctx, shape)
        started = time.monotonic()
        with progress.stage(ctx.spark, "mine: predict"):
            predicted = [predictions(models, features)] if models else []
            predicted += [] if answers is None else [answers]
            if predicted:
                ctx.run.write(reduce(DataFrame.unionByName, predicted), c.PREDICTIONS)
            clusters = ctx.run.write(cluster.assign(grouping, shape, about["ids"]), c.CLUSTERS)
            rows = clusters.count()
            silhouette, used = cluster.silhouette(clusters, shape, rows)
    finally:
        shape.unpersist()
    seconds_predict = time.monotonic() - started
    with row_view(ctx) as view:
        with progress.stage(ctx.spark, "mine: rules"):
            found_rules = rules(ctx, view)
        with progress.stage(ctx.spark, "mine: anomalies"):
            found_anomalies = anomalies(ctx, view)
    seconds_predict += found_anomalies["seconds_score"] if found_anomalies else 0.0
    return {
        "rows": rows,
        "seconds_predict": round(seconds_predict, 3),
        "labels": labels,
        "algorithms": [*[one.algorithm for one in models], *by_itself],
        "training": {one.algorithm: dict(one.facts) for one in models},
        "cluster": {
            **about,
            "factors": factors,
            "k": len(grouping.clusterCenters()),
            "silhouette": silhouette,
            "silhouette_rows": used,
        },
        "rules": found_rules,
        "anomalies": found_anomalies,
    }


def _saved(run: RunFolder, manifest: dict[str, Any], by_itself: list[str]) -> list[Classifier | Regressor]:
    """The classifiers or regressions that a run trained, without a fusion method that answers by itself."""
    names = [name for name in manifest.get("classify", {}) if name not in by_itself]
    return [
        *[Classifier.load(run.model_path(f"classify/{name}")) for name in names],
        *[Regressor.load(run.model_path(f"regress/{name}")) for name in manifest.get("regress", {})],
    ]


def _classifier(ctx: Context, features: DataFrame, name: str, labels: list[str]) -> Classifier:
    """One classifier as configured, and saved: searched for, weighed, calibrated, and with its costs."""
    settings = ctx.config.mine.classify
    how = settings.search
    with progress.stage(ctx.spark, f"mine: {name}"):
        trained = classify.train(
            features,
            name,
            labels,
            _hyperparameters(settings, ctx.config.seed),
            partitions=ctx.partitions,
            class_weight=settings.class_weight,
            search=Search(
                how.trials, how.folds, how.parallelism, settings.select_by, how.model_dump()["spaces"]
            )
            if how.trials
            else None,
        )
        method = settings.calibration
        if method == "margins":
            method = "none" if trained.probabilistic else "platt"
        if method != "none":
            trained = trained.calibrated(features, method)
        if settings.costs:
            trained = trained.decided(settings.costs)
    trained.save(ctx.run.model_path(f"classify/{name}"))
    return trained


def _regression(ctx: Context, features: DataFrame, name: str) -> Regressor:
    """One regression as configured, and saved."""
    parameters = _hyperparameters(ctx.config.mine.regress, ctx.config.seed)
    with progress.stage(ctx.spark, f"mine: {name}"):
        trained = regress.train(features, name, parameters, partitions=ctx.partitions)
    trained.save(ctx.run.model_path(f"regress/{name}"))
    return trained


def _hyperparameters(settings: Classify | Regress, seed: int) -> Hyperparameters:
    """What builders read of a section, which names its keys as they do."""
    given = settings.model_dump(include={one.name for one in fields(Hyperparameters)})
    frozen: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
    }
    return Hyperparameters(**frozen, seed=seed)
