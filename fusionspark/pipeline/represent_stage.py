"""The stage represent: distinct texts through the language model, vectors back to their rows."""

from __future__ import annotations

import time
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark import progress
from fusionspark.errors import ModelMismatchError
from fusionspark.pipeline.context import Context
from fusionspark.pipeline.precision_gate import decide
from fusionspark.represent.loading import effective_digest
from fusionspark.represent.model_source import model_digest
from fusionspark.represent.monitor import counters_accumulator
from fusionspark.represent.text_embedder import TextEmbedder

_TEXT_KEY = "__text_key"


def represent(ctx: Context) -> dict[str, Any]:
    """Encode each distinct text once and write one embedding a row; returns the counts of the manifest."""
    settings = ctx.config.represent
    prepared = ctx.run.read(c.PREPARED)
    if not ctx.config.columns.text:
        return {"rows": 0, "represent": None}
    keyed = prepared.select(c.ROW_ID, c.CLEAN_TEXT, F.sha2(c.CLEAN_TEXT, 256).alias(_TEXT_KEY))
    texts = keyed.where(F.col(c.CLEAN_TEXT).isNotNull()).select(_TEXT_KEY, c.CLEAN_TEXT).distinct()
    embedder = TextEmbedder(
        inputCol=c.CLEAN_TEXT,
        outputCol=c.EMBEDDING,
        model=settings.model,
        modelDigest=model_digest(settings.model),
        precision=settings.precision,
        device=settings.device,
        gpuAmount=settings.gpu_amount,
        cacheDir=settings.cache_dir,
        maxTokens=settings.max_tokens,
        tokenBudget=settings.token_budget,
        windowSize=settings.window,
        longText=settings.long_text,
    )
    decision = decide(ctx, embedder.engine_settings(), texts)
    embedder.setPrecision(decision.precision)
    digest = effective_digest(embedder.engine_settings())
    _same_model(ctx, digest)
    figures = keyed.agg(F.count(c.CLEAN_TEXT).alias("texts"), F.count_distinct(_TEXT_KEY).alias("distinct"))
    counts = figures.collect()[0]
    tasks = max(1, -(-counts["distinct"] // settings.rows_per_task))
    monitor = counters_accumulator(ctx.spark)
    embedder.monitor = monitor
    # Which texts share a batch then depends on the texts alone, not on how many machines there are.
    laid_out = texts.repartition(tasks, _TEXT_KEY).sortWithinPartitions(_TEXT_KEY)
    encoded = embedder.transform(laid_out).drop(c.CLEAN_TEXT)
    started = time.monotonic()

    def note() -> str:
        done = monitor.value.get("texts_encoded", 0)
        rate = done / max(time.monotonic() - started, 1e-9)
        left = f", {(counts['distinct'] - done) / rate:.0f} s left" if done else ""
        tokens = monitor.value.get("tokens", 0)
        return f"{done} of {counts['distinct']} texts, {tokens} tokens, {rate:.0f} texts/s{left}"

    with progress.stage(ctx.spark, "represent", note=note, total=tasks):
        vectors = keyed.select(c.ROW_ID, _TEXT_KEY).join(encoded, _TEXT_KEY, "left").drop(_TEXT_KEY)
        table = vectors.withColumn(c.STATUS, F.coalesce(F.col(c.STATUS), F.lit(c.EMPTY))).withColumn(
            c.MODEL_DIGEST, F.lit(digest)
        )
        written = ctx.run.write(table, c.EMBEDDINGS)
    failed = written.where(F.col(c.STATUS) == c.FAILED)
    _quarantine(ctx, failed, prepared, "represent", "the model failed on this text")
    sums = written.agg(
        F.count("*").alias("rows"),
        F.sum(F.col(c.TRUNCATED).cast("int")).alias("truncated"),
        F.sum(F.when(F.col(c.STATUS) == c.FAILED, 1).otherwise(0)).alias("failed"),
    ).collect()[0]
    seen = monitor.value
    return {
        "rows": sums["rows"] - sums["failed"],
        "represent": {
            "texts": counts["texts"],
            "distinct": counts["distinct"],
            "encoded": seen.get("texts_encoded", 0),
            "reused": 0,
            "tokens": seen.get("tokens", 0),
            "truncated": sums["truncated"] or 0,
            "empty": sums["rows"] - counts["texts"],
            "failed": sums["failed"],
            "model": settings.model,
            "model_digest": digest,
            "precision": decision.precision,
            **decision.facts,
            "model_loads": seen.get("model_loads", 0),
            "workers": len(seen.get("workers", [])),
            "seconds_compute": round(seen.get("seconds_compute", 0.0), 3),
            "seconds_tokenize": round(seen.get("seconds_tokenize", 0.0), 3),
        },
    }


def _same_model(ctx: Context, digest: str) -> None:
    """Classifiers see the geometry of one model; vectors of another would be scored as noise."""
    trained = ctx.kept.manifest().get("represent") if ctx.kept else None
    if trained and trained["model_digest"] != digest:
        raise ModelMismatchError(
            f"model {ctx.config.represent.model!r}",
            f"digest {digest[:12]}, but the saved classifiers were trained on {trained['model_digest'][:12]}",
            remedy="score with the model and precision of that run, or train again with `fusionspark run`",
        )


def _quarantine(ctx: Context, bad: DataFrame, inputs: DataFrame, stage: str, reason: str) -> None:
    """Append rows to the quarantine of this run; the same stage run twice leaves them once."""
    rows = bad.select(c.ROW_ID).join(inputs, c.ROW_ID)
    text = F.to_json(F.struct(F.col(c.CLEAN_TEXT)))
    new = rows.select(
        c.ROW_ID, F.lit(stage).alias(c.STAGE), F.lit(reason).alias(c.REASON), text.alias(c.INPUT)
    )
    kept = ctx.run.read(c.QUARANTINE).where(F.col(c.STAGE) != stage)
    # A table cannot be overwritten while it is read; these rows are few, so they pass through the driver.
    everything = ctx.spark.createDataFrame(kept.unionByName(new).collect(), c.QUARANTINE_DDL)
    ctx.run.write(everything, c.QUARANTINE)
