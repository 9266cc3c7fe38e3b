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

#: Numbers brought to the driver at most; very wide vectors get a smaller sample.
MAX_CELLS = 20_000_000


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
    first = features.select(F.size(vector_to_array(F.col(FEATURES), "float32")).alias("n")).first()
    if first is None:
        return []
    sample = max(3, min(sample, MAX_CELLS // max(1, first["n"])))
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
    # Through Arrow: a row of Python floats would be eight times its size.
    rows = described.toPandas().sort_values(ROW_ID, kind="stable").to_dict("records")
    if len(rows) < 3:
        return []
    from sklearn.decomposition import PCA

    matrix = np.stack([np.asarray(row["v"], dtype=np.float32) for row in rows])
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
            "cluster": int(row[CLUSTER]),
            "label": row[LABEL],
            "text": row["text"],
        }
        for row, (x, y) in zip(rows, points, strict=True)
    ]
