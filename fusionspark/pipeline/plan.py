"""What a run would take, from a sample of its source, before it is started."""

from __future__ import annotations

import json
import resource
import time
from dataclasses import asdict, replace
from hashlib import sha256
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.collect import joined_texts
from fusionspark.config import Config
from fusionspark.files import Files
from fusionspark.pipeline.collect_stage import open_source
from fusionspark.pipeline.cost import check_budget, flops_per_token, on_gpu
from fusionspark.pipeline.precision_gate import in_a_task
from fusionspark.pipeline.vector_space import engine_of, store_of
from fusionspark.prepare.stages import text_cleaner
from fusionspark.represent.loading import EngineSettings, build_engine
from fusionspark.represent.model_source import resolve_model
from fusionspark.represent.settings import read_settings
from fusionspark.tables import newest_run

#: File of the estimate, in the output folder.
PLAN = "plan.json"
#: Texts encoded before the clock is looked at again.
_SLICE = 32


def plan(spark: SparkSession, config: Config, run_date: str) -> dict[str, Any]:
    """Estimate a run, keep the estimate as ``<output>/plan.json`` and hold it against the budget.

    Rows and distinct texts come from one aggregation over the source, the distinct ones approximately
    (HyperLogLog++, 5%). A sample of distinct texts is encoded for `plan.seconds` in one task.

    Raises
    ------
    ConfigError
        The estimate is above a budget; it is kept all the same.
    """
    source = open_source(spark, config, run_date)
    estimate: dict[str, Any] = {"run_date": run_date, "config_digest": config.digest()}
    parts = [F.nullif(F.trim(F.col(f"`{name}`")), F.lit("")) for name in config.columns.text]
    text = joined_texts(parts) if parts else F.lit(None)
    texts = source.select(text.cast("string").alias(c.TEXT))
    counts = texts.agg(
        F.count(F.lit(1)).alias("rows"),
        F.count(c.TEXT).alias("texts"),
        F.approx_count_distinct(c.TEXT).alias("distinct"),
    ).collect()[0]
    distinct = min(counts["distinct"], counts["texts"])
    # A hash picks distinct texts evenly, wherever they lie and however often they come up.
    share = min(1.0, 2 * config.plan.sample / max(1, distinct))
    picked = texts.where(F.pmod(F.xxhash64(c.TEXT), F.lit(1_000_000)) < int(share * 1_000_000)).distinct()
    cleaned = text_cleaner(config.prepare, config.columns.texts_a_row).transform(
        picked.limit(config.plan.sample)
    )
    sample = [row[0] for row in cleaned.select(c.CLEAN_TEXT).collect() if row[0]]
    newest = newest_run(spark, f"{config.output}/runs", config.table_format)
    last = newest.manifest() if newest else None
    engine = _engine(config, last)
    stored, note = _stored(spark, config, engine, sample) if sample else (0.0, "there is no text")
    fresh = round(distinct * (1 - stored))
    estimate |= {
        "rows": counts["rows"],
        "texts": counts["texts"],
        "distinct": distinct,
        "stored_share": stored,
        "stored_note": note,
        "to_encode": fresh,
    }
    estimate |= _work(spark, config, engine, sample, fresh)
    estimate |= _whole(last, estimate)
    Files(spark).write_text(f"{config.output}/{PLAN}", json.dumps(estimate, indent=2, allow_nan=False))
    check_budget(estimate, config.plan)
    return estimate


def made_for(spark: SparkSession, config: Config, run_date: str) -> dict[str, Any] | None:
    """The estimate that was made for this configuration and run date, or None."""
    text = Files(spark).read_text_if_there(f"{config.output}/{PLAN}")
    found: dict[str, Any] = json.loads(text) if text else {}
    fits = found.get("config_digest") == config.digest() and found.get("run_date") == run_date
    return found if fits else None


def _engine(config: Config, last: dict[str, Any] | None) -> EngineSettings:
    """The engine of the run: for ``auto`` the precision that the last run came to, else float32."""
    engine = engine_of(config)
    if engine.precision != "auto":
        return engine
    return replace(engine, precision=((last or {}).get("represent") or {}).get("precision", "float32"))


def _stored(
    spark: SparkSession, config: Config, engine: EngineSettings, sample: list[str]
) -> tuple[float, str]:
    """Share of ``sample`` whose vectors the store holds, and where that figure comes from."""
    store = store_of(spark, config, engine)
    if not store.folder.files.exists(store.folder.path):
        return 0.0, "the store holds no vectors of this model and these settings yet"
    store.open()
    keys = spark.createDataFrame([(sha256(text.encode()).digest(),) for text in sample], f"{c.KEY} binary")
    held = store.known(store.near(keys, len(sample))).join(keys, c.KEY, "left_semi").count()
    return round(held / len(sample), 4), f"{held} of {len(sample)} sampled texts, looked up in the store"


def _work(
    spark: SparkSession, config: Config, engine: EngineSettings, sample: list[str], fresh: int
) -> dict[str, Any]:
    """Tokens, truncation, seconds of represent, GPU and memory, for ``fresh`` texts like the sampled ones."""
    slots = spark.sparkContext.defaultParallelism
    nothing = {"tokens": 0, "truncated_share": 0.0, "represent_seconds": 0.0, "slots": slots, "on_gpu": None}
    if not sample:
        return {**nothing, "memory": None}
    settings = config.represent
    found: dict[str, Any] = in_a_task(spark, lambda: measure(engine, sample, config.plan.seconds))
    model = resolve_model(settings.model)
    tokens = found["tokens_per_text"] * fresh
    folds = model.folds()
    first, encoders = (folds.parts[0], len(folds.parts)) if folds else (model, 1)
    network = read_settings(first.path).config if first.kind == "folder" else {}
    flops = flops_per_token(network, found["tokens_per_text"])
    gpu = on_gpu(tokens, flops and encoders * flops, config.plan)
    model_bytes = sum(file.stat().st_size for file in model.path.rglob("*") if file.is_file())
    # Strings of a window, and its vectors in float32 twice: computed and handed over.
    window = min(settings.window, settings.rows_per_task) * (found["bytes_per_text"] + 8 * found["dimension"])
    return {
        "tokens": round(tokens),
        "truncated_share": found["truncated_share"],
        "measured": found,
        "slots": slots,
        "represent_seconds": round(
            (found["load_seconds"] if fresh else 0.0) + fresh / found["texts_per_second"] / slots, 3
        ),
        "on_gpu": gpu and asdict(gpu),
        "memory": {
            "model_bytes": model_bytes,
            "window_bytes": round(window),
            "worker_bytes": found["peak_bytes"],
            "workers_bytes": found["peak_bytes"] * slots,
            "driver": spark.conf.get("spark.driver.memory", "1g"),
        },
    }


def measure(settings: EngineSettings, sample: list[str], seconds: float) -> dict[str, Any]:
    """Encode slices of ``sample`` for about ``seconds`` and say how fast that was; runs in a worker."""
    started = time.perf_counter()
    engine = build_engine(settings)
    engine.encode(sample[:1])
    loaded = time.perf_counter()
    done, tokens, cut = 0, 0, 0
    while done < len(sample) and (not done or time.perf_counter() - loaded < seconds):
        part = sample[done : done + _SLICE]
        result = engine.encode(part)
        done += len(part)
        tokens += int(result.n_tokens.sum())
        cut += int(result.truncated.sum())
    spent = max(time.perf_counter() - loaded, 1e-9)
    limit = engine.vocabulary.max_tokens
    # What the network reads: a text that is cut counts up to the limit.
    read = engine.counters.tokens / max(1, engine.counters.texts_encoded)
    return {
        "texts": done,
        "texts_per_second": done / spent,
        "tokens_per_text": round(read, 2),
        "tokens_per_whole_text": round(tokens / done, 2),
        "max_tokens": limit,
        "truncated_share": round(cut / done, 4),
        "load_seconds": round(loaded - started, 2),
        "bytes_per_text": round(sum(len(text.encode("utf-8", "replace")) for text in sample) / len(sample)),
        "dimension": engine.dimension,
        # Linux counts in KiB.
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def _whole(last: dict[str, Any] | None, estimate: dict[str, Any]) -> dict[str, Any]:
    """Seconds of the whole run, where an earlier one tells what its other stages take a row."""
    represent = estimate["represent_seconds"]
    rows = last["rows"]["out"] if last else 0
    if last is None or not rows:
        return {"expected_seconds": represent, "expected_of": "represent", "from_run": None}
    others = sum(stage["seconds"] for stage in last["stages"] if stage["name"] != "represent")
    seconds = round(represent + others / rows * estimate["rows"], 1)
    return {"expected_seconds": seconds, "expected_of": "run", "from_run": last["run_date"]}
