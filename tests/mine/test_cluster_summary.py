"""Clusters in words, on a table whose answer can be worked out by hand."""

import json

import pytest

from fusionspark.columns import CLUSTERS_DDL, PREPARED_DDL
from fusionspark.mine.cluster_summary import MOST_LABELS, summarise

ROWS = [
    # row_id, cluster, distance, label, tokens
    ("a", 0, 0.3, "x", ["cat", "cat", "the", "milk"]),
    ("b", 0, 0.1, "x", ["cat", "7", "milk"]),
    ("c", 0, 0.1, "y", ["cat", "of", "dog"]),
    ("d", 2, 0.5, None, ["dog", "of", "milk"]),
]


def frames(spark, rows=ROWS, text="short"):
    clusters = spark.createDataFrame([(r, c, d) for r, c, d, *_ in rows], CLUSTERS_DDL)
    prepared = [(r, "train", label, f"{text} {r}", tokens) for r, _, _, label, tokens in rows]
    return clusters, spark.createDataFrame(prepared, PREPARED_DDL)


@pytest.mark.smoke
def test_by_hand(spark):
    first, second = summarise(*frames(spark), top_terms=2, typical=2)
    # Texts with a term: cluster 0: cat 3, milk 2, dog 1; cluster 2: dog 1, milk 1. Of cat 3 of 3 and 0 of 1
    # elsewhere; of milk 2 of 3 and 1 of 1: none of cluster 0's words, since it is not 1.5 times as frequent.
    # In cluster 2 dog: 1/2 * log(1 + 4/2) = 0.549, milk: 1/2 * log(1 + 4/3) = 0.424.
    assert first == {
        "id": 0,
        "name": "cat",
        "rows": 3,
        "share": 0.75,
        "terms": ["cat"],
        "nearest": [{"row_id": "b", "text": "short b"}, {"row_id": "c", "text": "short c"}],
        # Each has the word cat and one other.
        "typical": [{"row_id": "a", "text": "short a"}, {"row_id": "b", "text": "short b"}],
        "labels": {"x": 2, "y": 1},
        "lifts": [],
        "shifts": [],
    }
    assert (second["id"], second["name"], second["labels"]) == (2, "dog, milk", {})


def test_columns_by_hand(spark):
    from pyspark.sql import functions as F

    rows = [(f"r{i:03}", int(i < 40), 0.0, None, None) for i in range(100)]
    clusters, prepared = frames(spark, rows)
    nth = F.substring("row_id", 2, 3).cast("int")
    # Of the 40 rows of cluster 1 30 are red, of the others 10; its price is 3, theirs 1.
    prepared = prepared.withColumn("colour", F.when((nth >= 10) & (nth < 50), "red").otherwise("blue"))
    prepared = prepared.withColumn("price", F.when(nth < 40, 3.0).otherwise(1.0))
    prepared = prepared.withColumn("size", F.when(nth % 2 == 0, nth * float("nan")).otherwise(5.0))
    other, one = summarise(clusters, prepared, numeric=["price", "size"], categorical=["colour"])
    assert one["lifts"] == [
        {"column": "colour", "value": "red", "share": 0.75, "overall": 0.4, "lift": pytest.approx(1.875)}
    ]
    # Mean 1.8, and a standard deviation of sqrt(0.4 * 1.2^2 + 0.6 * 0.8^2).
    assert one["shifts"] == [
        {"column": "price", "mean": 3.0, "overall": 1.8, "shift": pytest.approx(1.2 / 0.96**0.5, rel=1e-5)}
    ]
    assert one["name"] == "colour = red, high price"
    assert other["lifts"][0]["value"] == "blue"
    assert other["name"] == "colour = blue, low price"


@pytest.mark.slow
def test_partitioning_changes_nothing(spark):
    clusters, prepared = frames(spark)
    expected = json.dumps(summarise(clusters.coalesce(1), prepared.coalesce(1)))
    assert json.dumps(summarise(clusters.repartition(5), prepared.repartition(3))) == expected


def test_text_and_labels_are_bounded(spark):
    rows = [(f"r{i:02d}", 0, float(i), f"label {i:02d}", []) for i in range(MOST_LABELS + 5)]
    (only,) = summarise(*frames(spark, rows, text="long " * 100), max_chars=10, typical=1)
    assert only["nearest"] == [{"row_id": "r00", "text": "long long …"}]
    assert list(only["labels"]) == [f"label {i:02d}" for i in range(MOST_LABELS)]
    assert (only["terms"], only["typical"], only["name"]) == ([], [], "")


def test_no_rows(spark):
    assert summarise(*frames(spark, [])) == []
