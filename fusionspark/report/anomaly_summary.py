"""The anomalies that the page and run.json show."""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark.columns import CLEAN_TEXT, ROW_ID

#: Flagged rows shown, the oddest first; and characters of their text.
MOST_ROWS, MOST_CHARS = 50, 240


def summary(anomalies: DataFrame, prepared: DataFrame) -> dict[str, Any]:
    """Count rows and flagged ones (`columns.ANOMALIES_DDL`), and describe the oddest."""
    counts = anomalies.agg(F.count("*").alias("rows"), F.count_if("flagged").alias("flagged")).collect()[0]
    top = anomalies.where("flagged").orderBy(F.desc("score"), ROW_ID).limit(MOST_ROWS)
    text = F.substring(CLEAN_TEXT, 1, MOST_CHARS).alias("text")
    shown = top.join(prepared.select(ROW_ID, text), ROW_ID).orderBy(F.desc("score"), ROW_ID)
    return {
        "rows": counts["rows"],
        "flagged": counts["flagged"],
        "top": [
            {"row_id": r[ROW_ID], "score": r["score"], "reasons": r["reasons"], "text": r["text"]}
            for r in shown.collect()
        ],
    }
