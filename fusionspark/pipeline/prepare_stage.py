"""Stage prepare: the split, clean text, words and encoded columns."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.config import Config
from fusionspark.errors import DataContractError
from fusionspark.pipeline import pictures, retrain, table_features
from fusionspark.pipeline.context import Context
from fusionspark.pipeline.text_facts import text_facts
from fusionspark.prepare import split as splitting
from fusionspark.prepare import stages as preparing
from fusionspark.prepare.near_duplicates import near_duplicate_groups
from fusionspark.prepare.python_steps import together
from fusionspark.represent.monitor import counters_accumulator
from fusionspark.tables import ordered_for_fit

#: Value of ``split`` for rows that are only scored.
SCORED = "score"


def prepare(ctx: Context) -> dict[str, Any]:
    """Write the table `prepared`, after fitting what is learnt from training rows."""
    config, columns = ctx.config, ctx.config.columns
    rows = ctx.run.read(c.COLLECTED)
    if columns.image:
        rows = pictures.read(ctx, rows)
    facts: dict[str, Any] = {}
    if not ctx.scoring:
        facts["models"] = retrain.choose(ctx, rows)
    rows = table_features.derive(ctx, rows)
    monitor = counters_accumulator(ctx.spark)
    texts = together(rows, preparing.text_steps(config.prepare, monitor, text_columns=columns.texts_a_row))
    if ctx.kept is None or config.prepare.near_duplicates.find:
        # Python reads each text once; the fit, the groups and the table start from what it wrote.
        texts = texts.persist()
    try:
        cleaned = _split(ctx, _grouped(texts, config), facts)
        if ctx.kept is None:
            train = ordered_for_fit(cleaned.where(F.col(c.SPLIT) == c.TRAIN), ctx.partitions)
            _need_rows(train, config)
            model = preparing.feature_pipeline(columns, config.prepare).fit(train)
            model.write().overwrite().save(ctx.run.model_path("prepare"))
        model = PipelineModel.load(ctx.models.model_path("prepare"))
        prepared = preparing.drop_scratch(model.transform(cleaned)).drop(c.TEXT, c.CONTENT_HASH)
        parts = {part: F.count_if(F.col(c.SPLIT) == part) for part in (*c.SPLITS, SCORED)}
        written, counts = ctx.run.write_counted(prepared, c.PREPARED, rows=F.count("*"), **parts)
    finally:
        texts.unpersist()
    if not ctx.scoring and ctx.kept is None:
        facts["leaks"] = table_features.leaks(ctx, written)
    total = counts.pop("rows")
    told = text_facts(written, monitor.value) if columns.text else {}
    splits = {part: rows for part, rows in counts.items() if rows}
    return {"rows": total, "splits": splits, "text": told, **facts}


def _grouped(texts: DataFrame, config: Config) -> DataFrame:
    """Add the group of near-duplicates that each row is in, where that is asked for."""
    settings = config.prepare.near_duplicates
    if not (settings.find and config.columns.text):
        return texts
    groups = near_duplicate_groups(
        texts, similarity=settings.similarity, shingle=settings.shingle, seed=config.seed
    )
    return texts.join(groups, c.ROW_ID, "left")


def _split(ctx: Context, rows: DataFrame, facts: dict[str, Any]) -> DataFrame:
    """Part the rows as the models that are applied ask for: what they were trained on is never held out."""
    if ctx.scoring:
        return rows.withColumn(c.SPLIT, F.lit(SCORED))
    split, date = ctx.config.split, ctx.config.columns.date
    earlier = None if ctx.kept is None else (ctx.kept.stage_facts("prepare") or {}).get("cut")
    if split.by == "hash" or date is None:
        whole = ctx.config.prepare.near_duplicates.keep_together and c.DUPLICATE_GROUP in rows.columns
        together = F.coalesce(c.DUPLICATE_GROUP, c.ROW_ID) if whole else F.col(c.ROW_ID)
        by_hash = splitting.hash_cut(rows, split, seed=ctx.config.seed, kept=earlier)
        if split.counted:
            facts["cut"] = asdict(by_hash)
        return splitting.split_by_hash(rows, by_hash, seed=ctx.config.seed, unit=together)
    kept = None if earlier is None else splitting.DateCut.from_facts(earlier)
    cut = splitting.date_cut(rows, split, date, kept=kept)
    facts["cut"] = cut.facts()
    return splitting.split_by_date(rows, date, cut)


def _need_rows(train: DataFrame, config: Config) -> None:
    if train.first() is None:
        raise DataContractError(
            "training rows",
            "none are left after the split",
            remedy=f"give more rows, or lower split.test ({config.split.test:g}) and split.validation",
        )
