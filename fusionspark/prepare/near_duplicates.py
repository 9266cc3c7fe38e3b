"""Groups of texts that are nearly the same, by MinHash (Broder, "On the resemblance ...", 1997)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.ml.feature import HashingTF, MinHashLSH, NGram, RegexTokenizer
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark.columns import CLEAN_TEXT, DUPLICATE_GROUP, ROW_ID

if TYPE_CHECKING:
    import pandas as pd

#: Minima kept of each text; their bands find a pair of the wanted similarity with `FOUND` or more.
HASHES = 128
FOUND = 0.99
#: Places that shingles are hashed to before MinHash: MLlib's takes vectors.
_PLACES = 1 << 24


def bands_for(similarity: float) -> tuple[int, int]:
    """Bands, and minima of a band, of the strictest banding that still finds pairs this similar.

    Two texts of Jaccard similarity s agree in a band of r minima with probability s^r, so in one of b bands
    with 1 - (1 - s^r)^b (Leskovec, Rajaraman & Ullman, "Mining of Massive Datasets", 3.4).

    >>> bands_for(0.8)
    (21, 6)
    >>> bands_for(1.0)
    (1, 128)
    """
    for rows in range(HASHES, 1, -1):
        bands = HASHES // rows
        if 1 - (1 - similarity**rows) ** bands >= FOUND:
            return bands, rows
    return HASHES, 1


def near_duplicate_groups(
    texts: DataFrame, *, similarity: float = 0.8, shingle: int = 5, seed: int = 42
) -> DataFrame:
    """Group rows whose texts are nearly the same, chains of such pairs included; runs Spark jobs.

    Equal texts (but for case) become one node first. MLlib's MinHash gives each node `HASHES` minima, bands
    of which are buckets; within a bucket every node is held against one of them only, its least, so that a
    bucket of n nodes costs n comparisons and not n squared. What agrees in a bucket counts where the shingle
    sets really are ``similarity`` alike. A pair is missed with a probability of about 1 - `FOUND` at the
    threshold itself, and less above.

    Edges are brought to the driver: two 64-bit numbers for each distinct text that is like another.

    Parameters
    ----------
    texts : DataFrame
        ``row_id`` and ``clean_text``; rows without text are in no group.
    similarity : float
        Jaccard similarity of the sets of shingles from which on two texts are near-duplicates.
    shingle : int
        Characters of a shingle; shorter texts are grouped where they are equal.

    Returns
    -------
    DataFrame
        ``row_id`` and ``duplicate_group``, the least ``row_id`` of the group, for rows that have a
        near-duplicate. The same for the same rows, whatever their order and partitioning.
    """
    lowered = texts.select(ROW_ID, F.lower(CLEAN_TEXT).alias("text")).where(F.col("text").isNotNull())
    keyed = lowered.select(ROW_ID, F.xxhash64("text").alias("node"))
    nodes = lowered.groupBy(F.xxhash64("text").alias("node")).agg(F.min("text").alias("text"))
    hashed = _hashed(nodes, similarity, shingle, seed).persist()
    try:
        edges = _edges(hashed, similarity).toPandas()
    finally:
        hashed.unpersist()
    spark = texts.sparkSession
    components = spark.createDataFrame(_components(edges), "node bigint, component bigint")
    component = F.coalesce("component", "node").alias("component")
    grouped = keyed.join(components, "node", "left").select(ROW_ID, component)
    several = grouped.groupBy("component").agg(
        F.min(ROW_ID).alias(DUPLICATE_GROUP), F.count(F.lit(1)).alias("rows")
    )
    return grouped.join(several.where("rows > 1"), "component").select(ROW_ID, DUPLICATE_GROUP)


def _hashed(nodes: DataFrame, similarity: float, shingle: int, seed: int) -> DataFrame:
    """``node``, the hashes of its shingles, and the buckets that it falls into."""
    characters = RegexTokenizer(inputCol="text", outputCol="characters", pattern="", toLowercase=False)
    grams = NGram(n=shingle, inputCol="characters", outputCol="grams").transform(characters.transform(nodes))
    # MinHash takes no empty set.
    some = grams.where(F.size("grams") > 0)
    places = HashingTF(inputCol="grams", outputCol="vector", numFeatures=_PLACES, binary=True)
    bands, rows = bands_for(similarity)
    minima = MinHashLSH(inputCol="vector", outputCol="minima", seed=seed, numHashTables=bands * rows)
    # It learns nothing but the width, which is fixed: one row is enough.
    example = nodes.sparkSession.createDataFrame([(["x"],)], "grams array<string>")
    model = minima.fit(places.transform(example))
    buckets = [
        F.xxhash64(F.lit(band), *[vector_to_array(F.col("minima")[band * rows + i]) for i in range(rows)])
        for band in range(bands)
    ]
    return model.transform(places.transform(some)).select(
        "node",
        F.expr("array_distinct(transform(grams, gram -> xxhash64(gram))) AS shingles"),
        F.array(*buckets).alias("buckets"),
    )


def _edges(hashed: DataFrame, similarity: float) -> DataFrame:
    """Pairs of nodes, ``node`` and ``least``, that share a bucket and are similar enough."""
    placed = hashed.select("node", F.explode("buckets").alias("bucket"))
    least = placed.groupBy("bucket").agg(F.min("node").alias("least"), F.count(F.lit(1)).alias("nodes"))
    candidates = (
        placed.join(least.where("nodes > 1"), "bucket")
        .where("node != least")
        .select("node", "least")
        .distinct()
    )
    ours = hashed.select("node", F.col("shingles").alias("ours"))
    theirs = hashed.select(F.col("node").alias("least"), F.col("shingles").alias("theirs"))
    shared = F.size(F.array_intersect("ours", "theirs"))
    jaccard = shared / (F.size("ours") + F.size("theirs") - shared)
    pairs = candidates.join(ours, "node").join(theirs, "least")
    return pairs.where(jaccard >= similarity).select("node", "least")


def _components(edges: pd.DataFrame) -> pd.DataFrame:
    """``node`` and ``component``, the least node that it is connected with, for all nodes with an edge."""
    import numpy as np
    import pandas as pd
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    names, places = np.unique(edges[["node", "least"]].to_numpy("int64"), return_inverse=True)
    pairs = places.reshape(-1, 2)
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(names),) * 2)
    count, labels = connected_components(graph, directed=False)
    # Names are in order, so the first place of a label is its least node.
    first = np.full(count, len(names))
    np.minimum.at(first, labels, np.arange(len(names)))
    return pd.DataFrame({"node": names, "component": names[first[labels]]})
