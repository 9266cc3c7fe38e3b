"""Clusters of tonight beside those of the run before: which are the same, and what became of the others."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from pyspark.ml.functions import array_to_vector
from pyspark.ml.stat import Summarizer
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.mine.cluster_identity import centred_cosine, identify
from fusionspark.pipeline.context import Context, earlier_runs
from fusionspark.tables import RunFolder

#: Share of the smaller run's rows that both must have for the rows to decide which clusters are the same.
SHARED = 0.2


def identity(ctx: Context, assigned: DataFrame, k: int) -> dict[str, Any]:
    """Ids and names for the clusters of models made tonight.

    Rows of both runs decide where there are enough of them; else the mean embeddings, where both runs have
    those of one language model; else nothing can be compared and all clusters are new. A run of the same date
    is no earlier one, and ``--full`` takes nothing over.

    Parameters
    ----------
    assigned : DataFrame
        row_id, and in ``cluster`` the number in the model, 0 to ``k`` - 1.

    Returns
    -------
    dict
        ``ids`` by the number in the model, ``next_id``, ``names`` of known ids and ``since``: what
        `fusionspark.mine.cluster_identity.Identity` holds, with the name and rows of each cluster that died.
    """
    fresh = {"ids": list(range(k)), "next_id": k, "names": {}, "since": None}
    before = None if ctx.full else next(earlier_runs(ctx.run), None)
    if before is None or not before.files.exists(before.table_path(c.CLUSTERS)):
        return fresh
    then = before.manifest().get("cluster") or {}
    described = {int(one["id"]): one for one in then.get("clusters") or []}
    old_ids = sorted(described)
    if not old_ids:
        return fresh
    shared = np.zeros((len(old_ids), k), dtype=np.int64)
    old = before.read(c.CLUSTERS).select(c.ROW_ID, F.col(c.CLUSTER).alias("old"))
    for row in assigned.join(old, c.ROW_ID).groupBy("old", c.CLUSTER).count().collect():
        shared[old_ids.index(row["old"]), row[c.CLUSTER]] = row["count"]
    rows = min(sum(int(one["rows"]) for one in described.values()), assigned.count())
    likeness, by = None, "rows" if shared.any() else None
    if shared.sum() < SHARED * rows:
        likeness = _likeness(ctx, before, old_ids, assigned, k)
        by = by if likeness is None else "texts"
    found = identify(shared, old_ids, int(then.get("next_id", old_ids[-1] + 1)), likeness)
    told = asdict(found)
    told["died"] = [
        {"id": one, "name": described[one].get("name", ""), "rows": described[one]["rows"]}
        for one in found.died
    ]
    ids, next_id = told.pop("ids"), told.pop("next_id")
    return {
        "ids": ids,
        "next_id": next_id,
        "names": names_of(then, found.kept),
        "since": {"run_date": before.run_date, "by": by, **told},
    }


def names_of(cluster: dict[str, Any], ids: list[int]) -> dict[str, str]:
    """Names that clusters of these ids had in a run, by id; those without one are left out."""
    return {
        str(one["id"]): one["name"]
        for one in cluster.get("clusters") or []
        if one.get("name") and one["id"] in ids
    }


def _likeness(ctx: Context, before: RunFolder, old_ids: list[int], assigned: DataFrame, k: int) -> Any:
    """Cosine of the mean embeddings of old and new clusters; None where they are not comparable."""
    now = (ctx.facts["represent"].get("represent") or {}).get("model_digest")
    then = ((before.stage_facts("represent") or {}).get("represent") or {}).get("model_digest")
    if not now or now != then or not before.files.exists(before.table_path(c.EMBEDDINGS)):
        return None
    old, old_rows = _means(before.read(c.CLUSTERS), before.read(c.EMBEDDINGS), old_ids)
    new, new_rows = _means(assigned, ctx.run.read(c.EMBEDDINGS), list(range(k)))
    return centred_cosine(old, new, old_rows, new_rows) if sum(old_rows) and sum(new_rows) else None


def _means(clusters: DataFrame, embeddings: DataFrame, ids: list[int]) -> tuple[Any, list[int]]:
    """Mean embedding and rows with one, of each cluster; zeros for a cluster without."""
    there = embeddings.where(F.col(c.EMBEDDING).isNotNull()).select(
        c.ROW_ID, array_to_vector(F.col(c.EMBEDDING)).alias("vector")
    )
    found = (
        clusters.select(c.ROW_ID, c.CLUSTER)
        .join(there, c.ROW_ID)
        .groupBy(c.CLUSTER)
        .agg(Summarizer.mean(F.col("vector")).alias("mean"), F.count(F.lit(1)).alias("rows"))
        .collect()
    )
    means = {row[c.CLUSTER]: row["mean"].toArray() for row in found}
    counts = {row[c.CLUSTER]: row["rows"] for row in found}
    width = len(next(iter(means.values()))) if means else 0
    return np.array([means.get(i, np.zeros(width)) for i in ids]), [counts.get(i, 0) for i in ids]
