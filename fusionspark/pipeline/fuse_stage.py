"""Stage fuse: the blocks become one vector a row."""

from __future__ import annotations

from typing import Any

from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.fuse.feature_fuser import FeatureFuser, FeatureFuserModel
from fusionspark.pipeline.context import Context
from fusionspark.represent.one_model import check_one_model
from fusionspark.tables import ordered_for_fit

_BLOCKS = {"text": c.EMBEDDING, "tfidf": c.TFIDF_BLOCK, "table": c.TABLE_BLOCK}


def fuse(ctx: Context) -> dict[str, Any]:
    """Write the table `features`."""
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
