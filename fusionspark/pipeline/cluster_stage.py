"""The clustering of a run: fitted, or taken over from the run whose models are applied."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pyspark.sql import DataFrame

from fusionspark import columns as c
from fusionspark import progress
from fusionspark.mine import cluster
from fusionspark.mine.choose_k import choose_k
from fusionspark.pipeline import cluster_nights
from fusionspark.pipeline.context import Context
from fusionspark.tables import RunFolder


def clustering(ctx: Context, shape: DataFrame) -> tuple[Any, dict[str, Any]]:
    """Return the model, saved where it is new, and what `run.json` says of it."""
    return _fitted(ctx, shape) if ctx.kept is None else _taken_over(ctx.kept)


def _taken_over(kept: RunFolder) -> tuple[Any, dict[str, Any]]:
    then = kept.manifest()["cluster"]
    model = cluster.load(then["algorithm"], kept.model_path("cluster"))
    # A run of an earlier version called clusters by their number in the model.
    ids = then.get("ids", list(range(len(model.clusterCenters()))))
    return model, {
        "algorithm": then["algorithm"],
        "fit": then.get("fit", {}),
        "chosen": then.get("chosen"),
        "ids": ids,
        "next_id": then.get("next_id", len(ids)),
        "names": cluster_nights.names_of(then, ids),
        "since": None,
    }


def _fitted(ctx: Context, shape: DataFrame) -> tuple[Any, dict[str, Any]]:
    settings, chosen = ctx.config.mine.cluster, None
    k = 2 if settings.algorithm in cluster.FIND_K else settings.k
    if k == "auto":
        with progress.stage(ctx.spark, "mine: number of clusters"):
            found = choose_k(shape, settings.k_max, seed=ctx.config.seed, max_iter=settings.max_iter)
        k, chosen = found.k, asdict(found)
    with progress.stage(ctx.spark, f"mine: {settings.algorithm}"):
        fitted = cluster.train(
            shape,
            settings.algorithm,
            k=k,
            seed=ctx.config.seed,
            max_iter=settings.max_iter,
            partitions=ctx.partitions,
            n_init=settings.n_init,
            batch_size=settings.batch_size,
            dimensions=settings.dimensions,
            min_share=settings.min_share,
        )
    fitted.model.write().overwrite().save(ctx.run.model_path("cluster"))
    with progress.stage(ctx.spark, "mine: clusters of the run before"):
        rows = shape.select(c.ROW_ID, c.FEATURES)
        assigned = fitted.model.transform(rows).select(c.ROW_ID, c.CLUSTER).persist()
        try:
            called = cluster_nights.identity(ctx, assigned, len(fitted.model.clusterCenters()))
        finally:
            assigned.unpersist()
    return fitted.model, {
        "algorithm": settings.algorithm,
        "fit": {"engine": fitted.engine, "why": fitted.why, **fitted.found},
        "chosen": chosen,
        **called,
    }
