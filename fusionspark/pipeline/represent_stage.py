"""The stage represent: distinct texts and pictures through their models, vectors back to their rows."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.config import without_user_info
from fusionspark.errors import ModelMismatchError
from fusionspark.pipeline import pictures, quarantine
from fusionspark.pipeline.context import Context
from fusionspark.pipeline.precision_gate import decide
from fusionspark.pipeline.stored_vectors import fill
from fusionspark.pipeline.vector_space import engine_of, store_of, store_path
from fusionspark.represent.autotune import resolve_auto
from fusionspark.represent.monitor import counters_accumulator
from fusionspark.represent.store.embedding_store import EmbeddingStore, Encoding


def represent(ctx: Context) -> dict[str, Any]:
    """Encode each new text and picture once and write one embedding a row; returns the manifest's counts."""
    columns, failed = ctx.config.columns, []
    facts: dict[str, Any] = {"represent": None, "store": None, "image": None}
    if columns.text:
        found, bad = _texts(ctx)
        facts |= found
        if bad is not None:
            failed.append(bad.withColumn(c.REASON, F.lit("the model failed on this text")))
    if columns.image:
        facts["image"], bad = pictures.encode(ctx)
        if bad is not None:
            failed.append(bad.withColumn(c.REASON, F.lit("the model failed on this picture")))
    lost = _quarantine(ctx, failed) if columns.text or columns.image else 0
    return {"rows": ctx.facts["prepare"]["rows"] - lost, **facts}


def _texts(ctx: Context) -> tuple[dict[str, Any], DataFrame | None]:
    """What the manifest says of the texts, and the rows that the model failed on."""
    settings = ctx.config.represent
    prepared = ctx.run.read(c.PREPARED)
    keyed = prepared.select(c.ROW_ID, c.CLEAN_TEXT, F.unhex(F.sha2(F.col(c.CLEAN_TEXT), 256)).alias(c.KEY))
    engine = engine_of(ctx.config)
    decision = decide(ctx, engine, keyed, store_path(ctx.config))
    engine = resolve_auto(replace(engine, precision=decision.precision))
    store = store_of(ctx.spark, ctx.config, engine)
    digest = store.space.model_digest
    same_model(ctx, digest)
    encoding = Encoding(
        engine,
        counters_accumulator(ctx.spark),
        window=settings.window,
        gpu_amount=settings.gpu_amount,
        rows_per_task=settings.rows_per_task,
        canary_tolerance=ctx.config.store.canary_tolerance,
    )
    filled = fill(ctx, store, keyed, encoding)
    seen = encoding.monitor.value
    reused = filled.distinct - filled.encoded
    sums = store.figures()
    facts = {
        "represent": {
            "texts": filled.texts,
            "distinct": filled.distinct,
            "encoded": filled.encoded,
            "reused": reused,
            "seconds_saved": round(reused * sums.seconds / sums.texts, 3) if sums.texts else 0.0,
            "tokens": seen.get("tokens", 0),
            "truncated": filled.truncated,
            "empty": filled.rows - filled.texts,
            "failed": filled.failed,
            "model": settings.model,
            "model_digest": digest,
            "precision": decision.precision,
            **decision.facts,
            "model_loads": seen.get("model_loads", 0),
            "workers": len(seen.get("workers", [])),
            # Smaller than what is configured where memory ran out.
            "token_budget": seen.get("token_budget", 0),
            "out_of_memory": seen.get("out_of_memory", 0),
            "seconds_compute": round(seen.get("seconds_compute", 0.0), 3),
            "seconds_tokenize": round(seen.get("seconds_tokenize", 0.0), 3),
            **{f"seconds_{part}": round(spent, 3) for part, spent in filled.seconds.items()},
        },
        "store": _store_facts(store, seen.get("canary_distance")),
    }
    bad = filled.table.where(F.col(c.STATUS) == c.FAILED).select(c.ROW_ID) if filled.failed else None
    return facts, bad


def _store_facts(store: EmbeddingStore, distance: float | None) -> dict[str, Any]:
    """What the manifest says about the store; ``loss`` is that of all vectors of the space."""
    sums = store.figures()
    agreed = {"mean_cosine": round(sums.sum_cosine / sums.measured, 8)} if sums.measured else {}
    skipped = {"checked": False, "why": "nothing was encoded, so nothing can have drifted"}
    return {
        "path": without_user_info(store.path),
        "space": store.space.digest()[:16],
        "dtype": store.space.dtype,
        "loss": {**agreed, "lowest_cosine": round(sums.lowest_cosine, 8), "vectors": sums.measured},
        "segments": len(store.segments),
        "files": sums.files,
        "rows": sums.rows,
        "bytes": sums.bytes,
        "torn": store.torn,
        "canary": skipped if distance is None else {"checked": True, "distance": round(distance, 8)},
    }


def same_model(ctx: Context, digest: str) -> None:
    """Classifiers see the geometry of one model; vectors of another would be scored as noise."""
    trained = ctx.kept.manifest().get("represent") if ctx.kept else None
    if trained and trained["model_digest"] != digest:
        raise ModelMismatchError(
            f"model {ctx.config.represent.model!r}",
            f"digest {digest[:12]}, but the saved classifiers were trained on {trained['model_digest'][:12]}",
            remedy="score with the model and precision of that run, or train again with `fusionspark run`",
        )


def _quarantine(ctx: Context, failed: list[DataFrame]) -> int:
    """Put the rows that a model failed on into quarantine, each once; returns how many there are."""
    if not failed:
        quarantine.put(ctx, "represent", None)
        return 0
    reasons = reduce(DataFrame.unionByName, failed).groupBy(c.ROW_ID).agg(F.min(c.REASON).alias(c.REASON))
    new = reasons.join(ctx.run.read(c.PREPARED), c.ROW_ID)
    named = F.to_json(F.struct(F.col(c.CLEAN_TEXT))).alias(c.INPUT)
    new = new.select(c.ROW_ID, c.REASON, named)
    quarantine.put(ctx, "represent", new)
    return new.count()
