"""Association rules across text and table, as a part of the stage mine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from fusionspark import columns as c
from fusionspark.config import Rules
from fusionspark.mine.arrow_columns import as_columns, collect_arrow
from fusionspark.mine.items import ItemModel, items_of, learn_items
from fusionspark.mine.itemsets import ITEMS, frequent_itemsets, least_rows
from fusionspark.mine.rules import Found, Rule, association_rules
from fusionspark.pipeline.context import Context
from fusionspark.pipeline.row_view import RowView
from fusionspark.tables import RunFolder, fit_partitions

#: Rows from which the items are learnt.
LEARN_ROWS = 10_000


def rules(ctx: Context, view: RowView) -> dict[str, Any] | None:
    """Write the table `rules`; None where they are turned off.

    Rules are learnt, as models are: a run that applies the models of another takes over its rules as well.
    """
    settings = ctx.config.mine.rules
    if not settings.enabled:
        return None
    if ctx.kept is not None:
        return _taken_over(ctx, ctx.kept)
    started = time.monotonic()
    rows = view.rows.count()
    used = view.sample("rules", rows, settings.sample)
    model = _learn(ctx, view, rows)
    baskets = _items(used, view, model).persist()
    try:
        itemsets = frequent_itemsets(
            baskets,
            min_support=settings.min_support,
            min_rows=settings.min_rows,
            most=settings.max_itemsets,
            partitions=fit_partitions(ctx.config.mine.partitions, rows),
        )
    finally:
        baskets.unpersist()
    found = found_rules(itemsets, settings, kind_of=model.kind_of)
    write_rules(ctx.spark, ctx.run, found.rules[: settings.max_rules])
    seconds = round(time.monotonic() - started, 3)
    return facts_of(itemsets, found, settings) | {"of": ctx.run.run_date, "seconds": seconds}


def found_rules(itemsets: Any, settings: Rules, **more: Any) -> Found:
    """Rules of frequent itemsets as the configuration wants them."""
    return association_rules(
        itemsets,
        min_confidence=settings.min_confidence,
        max_antecedent=settings.max_antecedent,
        correction=settings.correction,
        alpha=settings.alpha,
        **more,
    )


def write_rules(spark: SparkSession, run: RunFolder, found: list[Rule]) -> None:
    """Write the table `rules` in the order of the list."""
    rows = [
        (i, *[list(value) if isinstance(value, tuple) else value for value in rule.__dict__.values()])
        for i, rule in enumerate(found, 1)
    ]
    run.write(spark.createDataFrame(rows, c.RULES_DDL).coalesce(1), c.RULES)


def facts_of(itemsets: Any, found: Found, settings: Rules) -> dict[str, Any]:
    """What `run.json` says of how the rules came about."""
    return {
        "rows": itemsets.rows,
        "items": sum(1 for items in itemsets.counts if len(items) == 1),
        "itemsets": len(itemsets.counts),
        "min_rows": itemsets.min_rows,
        "asked_rows": itemsets.asked_rows,
        "tested": found.tested,
        "significant": found.significant,
        "redundant": found.redundant,
        "found": len(found.rules),
        "crossing": sum(rule.crosses for rule in found.rules),
        "kept": min(len(found.rules), settings.max_rules),
        "correction": settings.correction,
    }


def _taken_over(ctx: Context, kept: RunFolder) -> dict[str, Any] | None:
    facts = (kept.stage_facts("mine") or {}).get("rules")
    # The other run may be of a version that knew no rules.
    if facts is None:
        return None
    ctx.run.write(kept.read(c.RULES), c.RULES)
    return dict(facts)


def _learn(ctx: Context, view: RowView, rows: int) -> ItemModel:
    settings = ctx.config.mine.rules
    wanted = view.sample("items", rows, LEARN_ROWS)
    text = [c.TOKENS, c.EMBEDDING] if view.has_text else []
    structured = [f"`{name}`" for name in [*view.numeric, *view.categorical, *view.label]]
    table = collect_arrow(wanted.select(c.ROW_ID, *structured, *text))
    # The order of the rows decides where k-means starts.
    table = table.sort_by(c.ROW_ID)
    categorical = [*view.categorical, *view.label]
    columns = as_columns(
        table,
        numbers=view.numeric,
        values=[*categorical, *text[:1]],
        vectors=c.EMBEDDING if text else None,
    )
    share = table.num_rows / max(rows, 1)
    return learn_items(
        columns,
        numeric=view.numeric,
        categorical=categorical,
        tokens=c.TOKENS if text else None,
        embedding=c.EMBEDDING if text else None,
        bins=settings.bins,
        topics=settings.topics,
        phrases=settings.phrases,
        least=max(1, round(share * least_rows(rows, settings.min_support, settings.min_rows))),
        seed=ctx.config.seed,
    )


def _items(rows: DataFrame, view: RowView, model: ItemModel) -> DataFrame:
    import pyarrow as pa

    text = [c.TOKENS, c.EMBEDDING] if view.has_text else []
    numeric, values = list(view.numeric), [*view.categorical, *view.label, c.CLUSTER, *text[:1]]
    vectors = c.EMBEDDING if text else None

    def make(batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            columns = as_columns(batch, numbers=numeric, values=values, vectors=vectors)
            items = items_of(
                columns, model, tokens=text[0] if text else None, embedding=vectors, cluster=c.CLUSTER
            )
            yield pa.RecordBatch.from_arrays([pa.array(items, pa.list_(pa.string()))], names=[ITEMS])

    wanted = [f"`{name}`" for name in [*numeric, *values]] + text[1:]
    return rows.select(*wanted).mapInArrow(make, f"{ITEMS} array<string>")  # type: ignore[arg-type]
