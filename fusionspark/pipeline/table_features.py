"""Numbers from dates and from the past of an entity, and the search for columns that tell the answer."""

from __future__ import annotations

from typing import Any

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.errors import DataContractError
from fusionspark.pipeline.context import Context
from fusionspark.prepare import leaks as leaking
from fusionspark.prepare import stages as preparing

#: Training rows that are searched for leaks.
SEARCHED = 5_000
_PAST = "__past"


def derive(ctx: Context, rows: DataFrame) -> DataFrame:
    """Add the numbers that are made of dates and of earlier rows.

    Where models of an earlier run are applied, the rows of that run are the past of tonight's.
    """
    columns, settings = ctx.config.columns, ctx.config.prepare
    pipeline = preparing.derived_pipeline(columns, settings)
    if not pipeline.getStages():
        return rows
    if settings.table.history is None or ctx.kept is None:
        return pipeline.fit(rows).transform(rows)
    before = ctx.kept.read(c.COLLECTED).join(rows.select(c.ROW_ID), c.ROW_ID, "left_anti")
    both = rows.withColumn(_PAST, F.lit(False)).unionByName(
        before.withColumn(_PAST, F.lit(True)), allowMissingColumns=True
    )
    made = pipeline.fit(both).transform(both)
    return made.where(~F.col(_PAST)).select(
        *rows.columns, *[n for n in made.columns if n not in both.columns]
    )


def leaks(ctx: Context, prepared: DataFrame) -> dict[str, Any] | None:
    """Search a sample of training rows for columns that alone tell the label.

    Returns
    -------
    dict or None
        ``threshold``, ``rows`` and ``columns`` searched, and ``found: [{column, auc}]``; None where there is
        no label or no structured column.

    Raises
    ------
    DataContractError
        There is one, and `prepare.table.leak_action` is ``stop``.
    """
    columns, table = ctx.config.columns, ctx.config.prepare.table
    names = [*preparing.number_columns(columns, ctx.config.prepare), *columns.categorical]
    if not columns.label or not names:
        return None
    train = prepared.where((F.col(c.SPLIT) == c.TRAIN) & F.col(c.LABEL).isNotNull())
    drawn = train.orderBy(F.xxhash64(F.lit(ctx.config.seed), c.ROW_ID), c.ROW_ID).limit(SEARCHED)
    renamed = [F.col(f"`{name}`").alias(name) for name in names]
    rows = drawn.select(F.col(c.LABEL).alias(_LABEL), *renamed).toPandas()
    if columns.number:
        # Of a number, which fifth of its range a row is in.
        rows[_LABEL] = pd.qcut(rows[_LABEL].astype(float), 5, labels=False, duplicates="drop").astype(str)
    found = leaking.leaks(leaking.alone(rows, _LABEL, names), table.leak_auc)
    if found and table.leak_action == "stop":
        said = ", ".join(f"{one['column']!r} (ROC-AUC {one['auc']:.3f})" for one in found)
        raise DataContractError(
            "structured columns",
            f"alone tell the label: {said}",
            allowed=f"a ROC-AUC below prepare.table.leak_auc = {table.leak_auc:g}",
            remedy="leave a column out that is only known once the answer is, or set leak_action: report",
        )
    return {"threshold": table.leak_auc, "rows": len(rows), "columns": len(names), "found": found}


_LABEL = "__label"
