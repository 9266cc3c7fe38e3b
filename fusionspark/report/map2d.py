"""A 2-D map of a sample of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark.columns import CLEAN_TEXT, CLUSTER, FEATURES, LABEL, ROW_ID

#: Length at which the text of a point is cut.
MAX_CHARS = 160


def project(
    features: DataFrame, clusters: DataFrame, prepared: DataFrame, *, sample: int, seed: int
) -> list[dict[str, Any]]:
    """Project a sample of the fused vectors onto their first two principal components.

    The sample is the ``sample`` rows with the smallest seeded hash of ``row_id``: the same ones whatever the
    partitioning. The sign of a component is fixed by its largest loading.

    Returns
    -------
    list of dict
        ``{row_id, x, y, cluster, label, text}``, ordered by ``row_id``; empty below three rows.
    """
    chosen = (
        features.select(ROW_ID, FEATURES)
        .orderBy(F.xxhash64(F.lit(seed), F.lit("map"), F.col(ROW_ID)), ROW_ID)
        .limit(sample)
    )
    described = (
        chosen.select(ROW_ID, vector_to_array(F.col(FEATURES), "float32").alias("v"))
        .join(clusters.select(ROW_ID, CLUSTER), ROW_ID)
        .join(prepared.select(ROW_ID, LABEL, F.substring(CLEAN_TEXT, 1, MAX_CHARS).alias("text")), ROW_ID)
    )
    rows = sorted(described.collect(), key=lambda row: str(row[ROW_ID]))
    if len(rows) < 3:
        return []
    from sklearn.decomposition import PCA

    matrix = np.asarray([row["v"] for row in rows], dtype=np.float32)
    if matrix.shape[1] < 2:
        return []
    pca = PCA(n_components=2, random_state=seed, svd_solver="randomized").fit(matrix)
    largest = np.abs(pca.components_).argmax(axis=1)
    signs = np.sign(pca.components_[[0, 1], largest])
    points = pca.transform(matrix) * np.where(signs == 0, 1, signs)
    return [
        {
            "row_id": row[ROW_ID],
            "x": round(float(x), 4),
            "y": round(float(y), 4),
            "cluster": row[CLUSTER],
            "label": row[LABEL],
            "text": row["text"],
        }
        for row, (x, y) in zip(rows, points, strict=True)
    ]
