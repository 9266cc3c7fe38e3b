"""Rows that a stage after collect cannot use join the quarantine of the run."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.pipeline.context import Context


def put(ctx: Context, stage: str, new: DataFrame | None) -> None:
    """Put ``new`` (row_id, reason, input) into quarantine; the stage run twice leaves its rows once."""
    quarantine = ctx.run.read(c.QUARANTINE)
    kept = quarantine.where(F.col(c.STAGE) != stage)
    if new is None:
        if quarantine.where(F.col(c.STAGE) == stage).isEmpty():
            return
        everything = kept.collect()
    else:
        rows = new.select(c.ROW_ID, F.lit(stage).alias(c.STAGE), c.REASON, c.INPUT)
        everything = kept.unionByName(rows).collect()
    # A table cannot be overwritten while it is read; these rows are few, so they pass through the driver.
    ctx.run.write(ctx.spark.createDataFrame(everything, c.QUARANTINE_DDL), c.QUARANTINE)
