"""What prepare found out about the texts, for run.json and the report."""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.prepare.universal_pos import UNIVERSAL_TAGS


def text_facts(prepared: DataFrame, told: dict[str, Any]) -> dict[str, Any]:
    """Count what the columns of the table `prepared` say; no job where none of them is there.

    Parameters
    ----------
    told : dict
        Counters of the taggers.

    Returns
    -------
    dict
        As far as asked for: ``languages`` (rows of each), ``masked`` (rows with any, and how often each
        kind), ``near_duplicates`` (groups, rows in them, rows of the largest), ``tagging`` (words, share of
        each Universal POS tag, tagger loads, workers), ``sentences``.
    """
    facts: dict[str, Any] = {}
    there = set(prepared.columns)
    if c.LANGUAGE in there:
        counts = prepared.where(F.col(c.LANGUAGE).isNotNull()).groupBy(c.LANGUAGE).count().collect()
        ranked = sorted(counts, key=lambda row: (-row["count"], row[c.LANGUAGE]))
        facts["languages"] = {row[c.LANGUAGE]: row["count"] for row in ranked}
    if c.MASKED in there:
        facts["masked"] = _masked(prepared)
    if c.DUPLICATE_GROUP in there:
        groups = prepared.where(F.col(c.DUPLICATE_GROUP).isNotNull()).groupBy(c.DUPLICATE_GROUP).count()
        sums = groups.agg(
            F.count(F.lit(1)).alias("groups"),
            F.coalesce(F.sum("count"), F.lit(0)).alias("rows"),
            F.coalesce(F.max("count"), F.lit(0)).alias("largest"),
        )
        facts["near_duplicates"] = sums.collect()[0].asDict()
    if c.POS_TAGS in there:
        tags = prepared.select(F.explode(c.POS_TAGS).alias("tag")).groupBy("tag").count().collect()
        counted = {row["tag"]: row["count"] for row in tags}
        words = sum(counted.values())
        facts["tagging"] = {
            "words": words,
            "shares": {tag: round(counted.get(tag, 0) / max(1, words), 6) for tag in UNIVERSAL_TAGS},
            "tagger_loads": told.get("tagger_loads", 0),
            "workers": len(told.get("workers", [])),
        }
    if c.N_SENTENCES in there:
        facts["sentences"] = prepared.agg(F.coalesce(F.sum(c.N_SENTENCES), F.lit(0))).collect()[0][0]
    return facts


def _masked(prepared: DataFrame) -> dict[str, Any]:
    found = prepared.where(F.size(c.MASKED) > 0)
    kinds = found.select(F.explode(c.MASKED).alias("kind", "times"))
    times = {
        row["kind"]: row["times"]
        for row in kinds.groupBy("kind").agg(F.sum("times").alias("times")).collect()
    }
    return {"rows": found.count(), "times": dict(sorted(times.items()))}
