"""What a cluster is about: its size, words, nearest and most typical rows, columns and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from fusionspark.columns import CLEAN_TEXT, CLUSTER, DISTANCE, LABEL, ROW_ID, TOKENS
from fusionspark.mine.arrow_columns import as_columns, collect_arrow
from fusionspark.mine.cluster_columns import lifts, shifts
from fusionspark.mine.cluster_naming import name_of
from fusionspark.mine.phrases import best_terms, likeness, term_weights

#: Labels counted for each cluster, the most frequent ones.
MOST_LABELS = 20
#: Rows of each cluster that its words are learnt from, by a hash; and words of each that are looked at.
WORDS_OF, WORDS_EACH = 2_000, 1_000
#: A term must be in so large a share of those rows, and in two of them.
LEAST_SHARE = 0.0005


def summarise(
    clusters: DataFrame,
    prepared: DataFrame,
    *,
    numeric: Sequence[str] = (),
    categorical: Sequence[str] = (),
    top_terms: int = 8,
    typical: int = 3,
    max_chars: int = 240,
) -> list[dict[str, Any]]:
    """Describe each cluster that has rows, in the order of its number.

    Terms are ranked by class-based TF-IDF (`fusionspark.mine.phrases.term_weights`) over the segmented texts
    of up to `WORDS_OF` rows a cluster, so that what reaches the driver is bounded and a large cluster does
    not outvote a small one. All else is counted in Spark over all rows.

    Parameters
    ----------
    clusters : DataFrame
        `columns.CLUSTERS_DDL`.
    prepared : DataFrame
        row_id, tokens, clean_text, label and the structured columns.
    numeric, categorical : sequences of str
        Structured columns that may tell a cluster from the others.
    top_terms, typical : int
        Terms kept for each cluster; nearest and typical rows kept.
    max_chars : int
        Length at which a text is cut.

    Returns
    -------
    list of dict
        ``{id, name, rows, share, terms, nearest, typical, labels, lifts, shifts}``. ``nearest`` rows lie
        closest to the centre, ``typical`` ones have the words of the cluster: ``[{row_id, text}]``;
        ``labels`` counts rows, ``lifts`` and ``shifts`` are those of `fusionspark.mine.cluster_columns`.
    """
    sizes = {r[CLUSTER]: r["count"] for r in clusters.groupBy(CLUSTER).count().collect()}
    if not sizes:
        return []
    structured = [F.col(f"`{name}`") for name in [*numeric, *categorical]]
    joined = clusters.join(prepared.select(ROW_ID, TOKENS, CLEAN_TEXT, LABEL, *structured), ROW_ID).cache()
    try:
        terms, alike = _words(joined, top_terms, typical)
        nearest, texts = _texts(joined, alike, typical, max_chars)
        labels = _labels(joined)
        lifted = lifts(joined, categorical, sizes)
        shifted = shifts(joined, numeric)
    finally:
        joined.unpersist()
    total = sum(sizes.values())

    def shown(ids: Sequence[str]) -> list[dict[str, Any]]:
        return [{"row_id": row_id, "text": texts[row_id]} for row_id in ids]

    return [
        {
            "id": number,
            "name": name_of(terms.get(number, []), lifted.get(number, []), shifted.get(number, [])),
            "rows": rows,
            "share": rows / total,
            "terms": terms.get(number, []),
            "nearest": shown(nearest.get(number, [])),
            "typical": shown(alike.get(number, [])),
            "labels": labels.get(number, {}),
            "lifts": lifted.get(number, []),
            "shifts": shifted.get(number, []),
        }
        for number, rows in sorted(sizes.items())
    ]


def _words(
    joined: DataFrame, top_terms: int, typical: int
) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    """The terms of each cluster, and the rows whose terms are most those of it."""
    by_hash = Window.partitionBy(CLUSTER).orderBy(F.xxhash64(F.lit("words"), ROW_ID), ROW_ID)
    sample = (
        joined.where(F.size(TOKENS) > 0)
        .withColumn("nth", F.row_number().over(by_hash))
        .where(F.col("nth") <= WORDS_OF)
        .select(ROW_ID, CLUSTER, F.slice(TOKENS, 1, WORDS_EACH).alias(TOKENS))
    )
    columns = as_columns(collect_arrow(sample).sort_by(ROW_ID), values=[ROW_ID, CLUSTER, TOKENS])
    ids, groups = columns[ROW_ID], columns[CLUSTER]
    found = term_weights(columns[TOKENS], groups, least=max(2, round(LEAST_SHARE * len(ids))))
    like = likeness(found, groups)
    alike: dict[int, list[str]] = {}
    # Rounded, so that the order of a sum does not decide between two rows.
    for i in sorted(range(len(ids)), key=lambda i: (-round(float(like[i]), 9), ids[i])):
        chosen = alike.setdefault(groups[i], [])
        if like[i] > 0 and len(chosen) < typical:
            chosen.append(ids[i])
    return best_terms(found, top_terms), alike


def _texts(
    joined: DataFrame, alike: Mapping[int, Sequence[str]], typical: int, max_chars: int
) -> tuple[dict[int, list[str]], dict[str, str]]:
    """The rows nearest to each centre, and the texts of these and of the ``alike`` ones by row_id."""
    by_distance = Window.partitionBy(CLUSTER).orderBy(DISTANCE, ROW_ID)
    wanted = sorted({row_id for ids in alike.values() for row_id in ids})
    rows = (
        joined.withColumn("nth", F.row_number().over(by_distance))
        .where((F.col("nth") <= typical) | F.col(ROW_ID).isin(wanted))
        .select(CLUSTER, ROW_ID, "nth", _cut(max_chars).alias("text"))
        .orderBy(CLUSTER, "nth")
        .collect()
    )
    nearest: dict[int, list[str]] = {}
    for row in rows:
        if row["nth"] <= typical:
            nearest.setdefault(row[CLUSTER], []).append(row[ROW_ID])
    return nearest, {row[ROW_ID]: row["text"] for row in rows}


def _labels(joined: DataFrame) -> dict[int, dict[str, int]]:
    frequent = Window.partitionBy(CLUSTER).orderBy(F.desc("count"), LABEL)
    rows = (
        joined.where(F.col(LABEL).isNotNull())
        .groupBy(CLUSTER, LABEL)
        .count()
        .withColumn("nth", F.row_number().over(frequent))
        .where(F.col("nth") <= MOST_LABELS)
        .orderBy(CLUSTER, "nth")
        .collect()
    )
    found: dict[int, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row[CLUSTER], {})[row[LABEL]] = row["count"]
    return found


def _cut(max_chars: int) -> Column:
    """Return the text, cut in Spark: a text of a megabyte must not travel to the driver."""
    cut = F.substring(CLEAN_TEXT, 1, max_chars)
    return F.when(F.length(CLEAN_TEXT) > max_chars, F.concat(cut, F.lit("…"))).otherwise(cut)
