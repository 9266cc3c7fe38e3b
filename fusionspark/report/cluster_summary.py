"""What a cluster is about: its size, its words, its most typical rows, its labels."""

from __future__ import annotations

from typing import Any

from pyspark.ml.feature import StopWordsRemover
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from fusionspark.columns import CLEAN_TEXT, CLUSTER, DISTANCE, LABEL, ROW_ID, TOKENS

#: Labels counted for each cluster, the most frequent ones.
MOST_LABELS = 20


def summarise(
    clusters: DataFrame, prepared: DataFrame, *, top_terms: int = 8, typical: int = 3, max_chars: int = 240
) -> list[dict[str, Any]]:
    """Describe each cluster that has rows, in the order of its number.

    Terms are ranked by class-based TF-IDF (Grootendorst 2022, arXiv:2203.05794): the share of a word in the
    cluster's words times log(1 + average words a cluster / occurrences of the word). English stop words,
    single letters and bare numbers are left out. Everything is aggregated in Spark; only the rows of the
    result reach the driver. Of many labels the `MOST_LABELS` most frequent are counted.

    Parameters
    ----------
    clusters : DataFrame
        `columns.CLUSTERS_DDL`.
    prepared : DataFrame
        row_id, tokens, clean_text and label.
    top_terms, typical : int
        Words and rows kept for each cluster; typical rows are those nearest to the centre.
    max_chars : int
        Length at which a typical text is cut.

    Returns
    -------
    list of dict
        ``{id, rows, share, terms, typical: [{row_id, text}], labels: {label: rows}}``.
    """
    joined = clusters.join(prepared.select(ROW_ID, TOKENS, CLEAN_TEXT, LABEL), ROW_ID)
    sizes = {r[CLUSTER]: r["count"] for r in clusters.groupBy(CLUSTER).count().collect()}
    total = sum(sizes.values())
    terms = _terms(joined, top_terms)
    nearest = Window.partitionBy(CLUSTER).orderBy(DISTANCE, ROW_ID)
    central = (
        joined.withColumn("nth", F.row_number().over(nearest))
        .where(F.col("nth") <= typical)
        .select(CLUSTER, ROW_ID, _cut(max_chars).alias("text"))
        .orderBy(CLUSTER, "nth")
        .collect()
    )
    frequent = Window.partitionBy(CLUSTER).orderBy(F.desc("count"), LABEL)
    labels = (
        joined.where(F.col(LABEL).isNotNull())
        .groupBy(CLUSTER, LABEL)
        .count()
        .withColumn("nth", F.row_number().over(frequent))
        .where(F.col("nth") <= MOST_LABELS)
        .orderBy(CLUSTER, "nth")
        .collect()
    )
    return [
        {
            "id": number,
            "rows": rows,
            "share": rows / total,
            "terms": terms.get(number, []),
            "typical": [{"row_id": r[ROW_ID], "text": r["text"]} for r in central if r[CLUSTER] == number],
            "labels": {r[LABEL]: r["count"] for r in labels if r[CLUSTER] == number},
        }
        for number, rows in sorted(sizes.items())
    ]


def _cut(max_chars: int) -> Column:
    """Return the text, cut in Spark: a text of a megabyte must not travel to the driver."""
    cut = F.substring(CLEAN_TEXT, 1, max_chars)
    return F.when(F.length(CLEAN_TEXT) > max_chars, F.concat(cut, F.lit("…"))).otherwise(cut)


def _terms(joined: DataFrame, top_terms: int) -> dict[int, list[str]]:
    stop = StopWordsRemover.loadDefaultStopWords("english")
    words = joined.select(CLUSTER, F.explode(TOKENS).alias("word"))
    words = words.where(~F.col("word").isin(stop) & ~F.col("word").rlike("^(?:[a-z]|[0-9]+)$"))
    counts = words.groupBy(CLUSTER, "word").count()
    by_cluster, by_word = Window.partitionBy(CLUSTER), Window.partitionBy("word")
    per_cluster = counts.groupBy(CLUSTER).agg(F.sum("count").alias("n")).agg(F.avg("n")).collect()[0][0]
    if per_cluster is None:
        return {}
    share = F.col("count") / F.sum("count").over(by_cluster)
    rarity = F.log1p(F.lit(float(per_cluster)) / F.sum("count").over(by_word))
    ranked = counts.withColumn("weight", share * rarity)
    order = by_cluster.orderBy(F.desc("weight"), "word")
    rows = ranked.withColumn("nth", F.row_number().over(order)).where(F.col("nth") <= top_terms)
    found: dict[int, list[str]] = {}
    for row in rows.orderBy(CLUSTER, "nth").collect():
        found.setdefault(row[CLUSTER], []).append(row["word"])
    return found
