"""`fusionspark rules`: association rules of plain baskets, one line of the source an item."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark import progress
from fusionspark.config import Config
from fusionspark.errors import ConfigError, DataContractError
from fusionspark.mine.itemsets import ITEMS, frequent_itemsets
from fusionspark.pipeline.attempts import tidy
from fusionspark.pipeline.collect_stage import open_source
from fusionspark.pipeline.context import check_quarantine
from fusionspark.pipeline.rules_stage import facts_of, found_rules, write_rules
from fusionspark.pipeline.run_lock import only_run
from fusionspark.pipeline.running import reasons
from fusionspark.report.page import REPORT, render
from fusionspark.report.rule_summary import top_rules
from fusionspark.run_dates import check_run_date
from fusionspark.tables import RunFolder, fit_partitions

_BASKET, _ITEM = "__basket", "__item"


def baskets(
    spark: SparkSession,
    config: Config,
    run_date: str,
    *,
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr),
) -> dict[str, Any]:
    """Mine the rules of baskets and publish them in ``<output>/rules/<run-date>/``, laid out like a run.

    A line whose basket or item is null or blank goes to quarantine. An item that a basket has several times
    counts once.

    Returns
    -------
    dict
        The manifest. Under ``rows`` lines: in, out (used) and quarantined.

    Raises
    ------
    ConfigError
        ``columns.basket`` and ``columns.item`` are not set.
    DataContractError
        The source has no lines that can be used.
    QuarantineLimitError
        More lines than ``max_quarantined`` are bad.
    RunLockedError
        Another process works at this date.
    """
    started = time.monotonic()
    basket, item = config.columns.basket, config.columns.item
    if basket is None or item is None:
        raise ConfigError(
            "columns.basket and columns.item",
            "are not set, so there are no baskets to find rules in",
            remedy="name the two columns; the rules of a table with text are made by `fusionspark run`",
        )
    settings = config.mine.rules
    home = RunFolder(spark, f"{config.output}/rules", check_run_date(run_date), config.table_format)
    lines = open_source(spark, config, run_date)
    with only_run(home, say) as lock, progress.stage(spark, "rules"):
        run = home.new_attempt()
        lines = lines.persist()
        try:
            good, bad = _parted(lines, basket, item)
            quarantine = run.write(bad, c.QUARANTINE)
            rows_in, quarantined = lines.count(), quarantine.count()
            if rows_in == quarantined:
                raise DataContractError(
                    "baskets", f"none of {rows_in} lines has a basket and an item",
                    remedy="check columns.basket, columns.item and source.where",
                )  # fmt: skip
            check_quarantine(config, rows_in, quarantined)
            grouped = good.groupBy(_BASKET).agg(F.collect_set(_ITEM).alias(ITEMS)).select(ITEMS).persist()
            try:
                itemsets = frequent_itemsets(
                    grouped,
                    min_support=settings.min_support,
                    min_rows=settings.min_rows,
                    most=settings.max_itemsets,
                    partitions=fit_partitions(config.mine.partitions, rows_in),
                )
            finally:
                grouped.unpersist()
        finally:
            lines.unpersist()
        found = found_rules(itemsets, settings)
        write_rules(spark, run, found.rules[: settings.max_rules])
        manifest = {
            "title": config.title,
            "run_date": run_date,
            "seconds": round(time.monotonic() - started, 3),
            "spark_version": spark.version,
            "config_digest": config.digest(),
            "rows": {"in": rows_in, "out": rows_in - quarantined, "quarantined": quarantined},
            "rules": {**facts_of(itemsets, found, settings), "top": top_rules(run.read(c.RULES))},
            "quarantine": {"reasons": reasons(quarantine)},
            "config": config.redacted(),
        }
        lock.confirm()
        page = render(manifest, language=config.report.language)
        manifest = run.publish(manifest, {REPORT: page})
        tidy(home)
        return manifest


def _parted(lines: DataFrame, basket: str, item: str) -> tuple[DataFrame, DataFrame]:
    """Lines with a basket and an item, and the others as rows of quarantine."""
    names = {basket: "basket", item: "item"}
    values = {name: F.trim(F.col(f"`{name}`").cast("string")) for name in names}
    reason = F.coalesce(
        *[F.when(F.coalesce(values[n], F.lit("")) == "", F.lit(f"no {p}: {n}")) for n, p in names.items()]
    )
    good = lines.where(reason.isNull()).select(values[basket].alias(_BASKET), values[item].alias(_ITEM))
    content = F.to_json(F.struct(*[F.col(f"`{name}`") for name in lines.columns]))
    bad = lines.where(reason.isNotNull()).select(
        F.sha2(content, 256).substr(1, 32).alias(c.ROW_ID),
        F.lit("collect").alias(c.STAGE),
        reason.alias(c.REASON),
        content.alias(c.INPUT),
    )
    return good, bad
