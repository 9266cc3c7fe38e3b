"""Pictures of a run: read and checked in prepare, encoded in represent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.config import Config
from fusionspark.errors import ModelMismatchError
from fusionspark.pipeline import quarantine
from fusionspark.pipeline.context import Context
from fusionspark.pipeline.stored_vectors import Filled, fill
from fusionspark.pipeline.vector_space import store_path
from fusionspark.prepare.picture_stage import PictureReader
from fusionspark.represent.image_encoder import ImageSettings, check_image_model, image_model_digest
from fusionspark.represent.monitor import counters_accumulator
from fusionspark.represent.store.embedding_store import EmbeddingStore, Encoding
from fusionspark.represent.store.space import image_space


def read(ctx: Context, rows: DataFrame) -> DataFrame:
    """Write the table `pictures` and return the rows without those whose picture cannot be used.

    Those go to quarantine with what is wrong. A row that names no picture is none of them.
    """
    limits = ctx.config.prepare.pictures
    root = ctx.config.source.image_root
    reader = PictureReader(
        inputCol=_GIVEN,
        # A worker's folder of work is not the driver's.
        rootFolder=str(Path(root).resolve()) if root else "",
        maxBytes=limits.max_bytes,
        maxPixels=limits.max_pixels,
        side=limits.side,
    )
    given = rows.select(c.ROW_ID, F.col(c.PICTURE).alias(_GIVEN))
    checked = reader.transform(given).withColumn(c.KEY, F.unhex(F.sha2(c.PICTURE, 256)))
    written = ctx.run.write(checked.select(c.ROW_ID, c.PICTURE, c.PROBLEM, c.KEY), c.PICTURES)
    bad = written.where(F.col(c.PROBLEM).isNotNull()).select(c.ROW_ID, F.col(c.PROBLEM).alias(c.REASON))
    rows = rows.drop(c.PICTURE)
    if bad.isEmpty():
        quarantine.put(ctx, "prepare", None)
        return rows
    named = bad.join(given, c.ROW_ID)
    # Bytes of a broken picture would fill the quarantine; the source has them.
    told = F.col(_GIVEN) if dict(given.dtypes)[_GIVEN] == "string" else F.lit(None).cast("string")
    shown = named.select(c.ROW_ID, c.REASON, F.to_json(F.struct(told.alias(c.PICTURE))).alias(c.INPUT))
    quarantine.put(ctx, "prepare", shown)
    return rows.join(bad.select(c.ROW_ID), c.ROW_ID, "left_anti")


_GIVEN = "__picture"


def encode(ctx: Context) -> tuple[dict[str, Any], DataFrame | None]:
    """Encode each new picture once and write one embedding a row.

    Returns
    -------
    dict
        Counts for the manifest.
    DataFrame or None
        ``row_id`` of rows that the model failed on.
    """
    settings = ctx.config.represent
    check_image_model(settings.image_model)
    digest = image_model_digest(settings.image_model)
    _same_model(ctx, digest)
    store = _store(ctx, digest)
    rows = ctx.run.read(c.PREPARED).select(c.ROW_ID)
    keyed = ctx.run.read(c.PICTURES).join(rows, c.ROW_ID).select(c.ROW_ID, c.PICTURE, c.KEY)
    encoding = Encoding(
        ImageSettings(settings.image_model, settings.device, settings.image_batch),
        counters_accumulator(ctx.spark),
        gpu_amount=settings.gpu_amount,
        rows_per_task=settings.rows_per_task,
        canary_tolerance=ctx.config.store.canary_tolerance,
    )
    filled = fill(ctx, store, keyed, encoding, target=c.IMAGE_EMBEDDINGS)
    failed = filled.table.where(F.col(c.STATUS) == c.FAILED).select(c.ROW_ID) if filled.failed else None
    return _facts(filled, settings.image_model, digest, encoding.monitor.value), failed


def _store(ctx: Context, digest: str) -> EmbeddingStore:
    space = image_space(digest, dtype=ctx.config.store.dtype)
    return EmbeddingStore(ctx.spark, store_path(ctx.config), space, ctx.config.represent.image_model)


def _facts(filled: Filled, model: str, digest: str, seen: dict[str, Any]) -> dict[str, Any]:
    return {
        "pictures": filled.texts,
        "distinct": filled.distinct,
        "encoded": filled.encoded,
        "reused": filled.distinct - filled.encoded,
        "empty": filled.rows - filled.texts,
        "failed": filled.failed,
        "model": model,
        "model_digest": digest,
        "model_loads": seen.get("model_loads", 0),
        **{f"seconds_{part}": round(spent, 3) for part, spent in filled.seconds.items()},
    }


def _same_model(ctx: Context, digest: str) -> None:
    """Classifiers see the geometry of one model; vectors of another would be scored as noise."""
    trained = ctx.kept.manifest().get("image") if ctx.kept else None
    if trained and trained["model_digest"] != digest:
        raise ModelMismatchError(
            f"image model {ctx.config.represent.image_model!r}",
            f"digest {digest[:12]}, but the saved classifiers were trained on {trained['model_digest'][:12]}",
            remedy="score with the model of that run, or train again with `fusionspark run`",
        )


def same_image_model(config: Config, represent_facts: dict[str, Any]) -> bool:
    """Whether tonight's pictures become vectors of the model that the vectors of a run came from."""
    if not config.columns.image:
        return True
    trained = represent_facts.get("image") or {}
    return bool(trained.get("model_digest") == image_model_digest(config.represent.image_model))
