"""Which pictures the page shows: held-out ones, wrong answers and right ones."""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.report.thumbnails import data_uri

#: Characters of a row's text that stand below its picture.
_LONGEST = 80


def samples(
    pictures: DataFrame, prepared: DataFrame, predictions: DataFrame | None, *, most: int, seed: int
) -> list[dict[str, Any]]:
    """Sample pictures with label, prediction and text, drawn by a seeded hash of the row.

    Up to half of them are wrong answers. Test rows are shown where there are any.

    Parameters
    ----------
    predictions : DataFrame or None
        Of one algorithm.

    Returns
    -------
    list of dict
        ``row_id``, ``label``, ``prediction``, ``text`` and ``picture``, a data address; wrong answers first.
    """
    shown = prepared.select(c.ROW_ID, c.SPLIT, c.LABEL, F.substring(c.CLEAN_TEXT, 1, _LONGEST).alias(c.TEXT))
    if predictions is None:
        shown = shown.withColumn(c.PREDICTION, F.lit(None).cast("string"))
    else:
        shown = shown.join(predictions.select(c.ROW_ID, c.PREDICTION), c.ROW_ID, "left")
    there = shown.join(pictures.where(F.col(c.PICTURE).isNotNull()).select(c.ROW_ID), c.ROW_ID)
    wrong = F.coalesce(F.col(c.LABEL) != F.col(c.PREDICTION), F.lit(False))
    held = F.col(c.SPLIT) == c.TEST
    drawn = F.xxhash64(F.lit(seed), F.lit("pictures"), F.col(c.ROW_ID))
    order = Window.partitionBy(held, wrong).orderBy(drawn, c.ROW_ID)
    numbered = there.select(
        "*", held.alias("held"), wrong.alias("wrong"), F.row_number().over(order).alias("nth")
    )
    rows = [row.asDict() for row in numbered.where(F.col("nth") <= most).orderBy("nth").collect()]
    rows = [row for row in rows if row["held"]] or rows
    amiss = [row for row in rows if row["wrong"]]
    right = [row for row in rows if not row["wrong"]]
    kept = amiss[: max(most // 2, most - len(right))]
    kept += right[: most - len(kept)]
    wanted = pictures.where(F.col(c.ROW_ID).isin([row[c.ROW_ID] for row in kept])).select(c.ROW_ID, c.PICTURE)
    held_bytes = {row[c.ROW_ID]: bytes(row[c.PICTURE]) for row in wanted.collect()}
    found = []
    for row in kept:
        picture = data_uri(held_bytes[row[c.ROW_ID]])
        if picture is not None:
            shown_keys = (c.ROW_ID, c.LABEL, c.PREDICTION, c.TEXT)
            found.append({**{key: row[key] for key in shown_keys}, "picture": picture})
    return found
