"""Stage fuse: the blocks become one vector a row."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.fuse.feature_fuser import FeatureFuser, FeatureFuserModel
from fusionspark.fuse.reducer import BlockReducer, BlockReducerModel
from fusionspark.one_model import check_one_model
from fusionspark.pipeline import learnt_fusion
from fusionspark.pipeline.context import Context
from fusionspark.tables import ordered_for_fit

_BLOCKS = {
    "text": c.EMBEDDING,
    "tfidf": c.TFIDF_BLOCK,
    "table": c.TABLE_BLOCK,
    "statistics": c.STATISTICS_BLOCK,
    "image": c.IMAGE_EMBEDDING,
}


def fuse(ctx: Context) -> dict[str, Any]:
    """Write the table `features`."""
    prepared = ctx.run.read(c.PREPARED)
    made = list(_blocks_of(ctx, prepared.columns))
    table = prepared.select(c.ROW_ID, c.SPLIT, c.LABEL, *learnt_fusion.fold_columns(ctx, prepared), *made)
    if ctx.config.columns.text:
        embeddings = ctx.run.read(c.EMBEDDINGS)
        check_one_model(embeddings, f"table {c.EMBEDDINGS!r}")
        vectors = embeddings.where(F.col(c.STATUS) != c.FAILED)
        table = table.join(vectors.select(c.ROW_ID, c.EMBEDDING), c.ROW_ID)
    if ctx.config.columns.image:
        embeddings = ctx.run.read(c.IMAGE_EMBEDDINGS)
        check_one_model(embeddings, c.IMAGE_EMBEDDINGS)
        vectors = embeddings.where(F.col(c.STATUS) != c.FAILED)
        table = table.join(vectors.select(c.ROW_ID, F.col(c.EMBEDDING).alias(c.IMAGE_EMBEDDING)), c.ROW_ID)
    table = _reduced(ctx, table)
    names = _blocks_of(ctx, table.columns)
    if ctx.kept is None:
        fuser = FeatureFuser(inputCols=list(names), weights=_weights(ctx, names), outputCol=c.FEATURES)
        train = table.where(F.col(c.SPLIT) == c.TRAIN)
        model = fuser.fit(ordered_for_fit(train, ctx.partitions))
        model.write().overwrite().save(ctx.run.model_path("fuse"))
    model = FeatureFuserModel.load(ctx.models.model_path("fuse"))
    out = c.JOINED if learnt_fusion.wanted(ctx) else c.FEATURES
    fused = model.transform(table, {model.outputCol: out})
    layout: dict[str, dict[str, Any]] = {}
    for part in model.layout:
        whole = layout.setdefault(names[part.block], {"dimension": 0, "weight": 0.0, "start": part.start})
        whole["dimension"] += part.end - part.start
        whole["weight"] = round(float(np.hypot(whole["weight"], part.weight)), 6)
    facts: dict[str, Any] = {
        "method": learnt_fusion.CONCAT,
        "reduction": _reduction(ctx),
        "features": layout,
        "blocks": layout,
    }
    if learnt_fusion.wanted(ctx):
        fused, learnt = learnt_fusion.learn(ctx, fused, _apart(ctx, names))
        facts |= learnt
    kept = [name for name in (c.JOINED, c.ANSWER) if name in fused.columns]
    written = ctx.run.write(fused.select(c.ROW_ID, c.SPLIT, c.LABEL, c.FEATURES, *kept), c.FEATURE_TABLE)
    return {"rows": written.count(), **facts}


def _blocks_of(ctx: Context, columns: list[str]) -> dict[str, str]:
    """Column of these -> block that it belongs to; the columns of a block follow each other."""
    words = c.tfidf_blocks(len(ctx.config.columns.text))
    blocks = {name: words if column == c.TFIDF_BLOCK else [column] for name, column in _BLOCKS.items()}
    return {column: name for name, own in blocks.items() for column in own if column in columns}


def _apart(ctx: Context, names: dict[str, str]) -> dict[str, str]:
    """The same with a name of its own for each column, as a method that has a model for each shows them."""
    words = c.tfidf_blocks(len(ctx.config.columns.text))[1:]
    own = {column: f"tfidf of {text}" for column, text in zip(words, ctx.config.columns.text, strict=False)}
    return {column: own.get(column, name) for column, name in names.items()}


def _weights(ctx: Context, names: dict[str, str]) -> list[float]:
    """Weight of each column: the columns of one block together weigh what one alone would."""
    weights, columns = ctx.config.fuse.weights.model_dump(), list(names.values())
    return [weights[name] / columns.count(name) ** 0.5 for name in columns]


def _reduction(ctx: Context) -> str:
    """How the models that are applied bring the embedding of the text down."""
    if ctx.kept is None:
        return ctx.config.fuse.reduction
    return str((ctx.kept.stage_facts("fuse") or {}).get("reduction", "none"))


def _reduced(ctx: Context, table: DataFrame) -> DataFrame:
    """Bring the embedding of the text down, where the models that are applied do."""
    fuse, place = ctx.config.fuse, ctx.models.model_path("fuse_reduction")
    if _reduction(ctx) == "none" or c.EMBEDDING not in table.columns:
        return table
    if ctx.kept is None:
        reducer = BlockReducer(
            inputCol=c.EMBEDDING,
            outputCol="__reduced",
            method=fuse.reduction,
            k=fuse.dimensions,
            seed=ctx.config.seed,
        )
        reducer.fit(table.where(F.col(c.SPLIT) == c.TRAIN)).write().overwrite().save(place)
    reduced: DataFrame = BlockReducerModel.load(place).transform(table)
    return reduced.drop(c.EMBEDDING).withColumnRenamed("__reduced", c.EMBEDDING)
