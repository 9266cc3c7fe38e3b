"""A 2-D map of a sample of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark.columns import CLEAN_TEXT, CLUSTER, FEATURES, LABEL, ROW_ID
from fusionspark.errors import MissingExtraError

#: Length at which the text of a point is cut.
MAX_CHARS = 160

#: Numbers brought to the driver at most; very wide vectors get a smaller sample.
MAX_CELLS = 20_000_000


def check(method: str) -> None:
    """Raise `MissingExtraError` where the library of ``method`` is not installed."""
    if method == "umap":
        try:
            import umap  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("umap", "umap", "report.map umap") from error


def planar(matrix: Any, method: str, seed: int) -> Any:
    """Points in the plane, rows x 2, for rows x features.

    ``pca`` is the first two principal components, each with the sign of its largest loading; ``umap``
    (McInnes, Healy and Melville 2018, arXiv:1802.03426) starts from them and draws rows together that are
    neighbours: distances between groups mean little in it.
    """
    from sklearn.decomposition import PCA

    pca = PCA(n_components=2, random_state=seed, svd_solver="randomized").fit(matrix)
    largest = np.abs(pca.components_).argmax(axis=1)
    signs = np.sign(pca.components_[[0, 1], largest])
    points = pca.transform(matrix) * np.where(signs == 0, 1, signs)
    if method == "pca":
        return points
    check(method)
    from umap import UMAP

    spread = np.maximum(points.std(axis=0).max(), 1e-9)
    # One thread: with a seed there is no other way to get the same map twice.
    umap = UMAP(
        n_neighbors=min(15, len(matrix) - 1),
        init=points / spread,
        random_state=seed,
        n_jobs=1,
    )
    return umap.fit_transform(matrix)


def project(
    features: DataFrame,
    clusters: DataFrame,
    prepared: DataFrame,
    *,
    sample: int,
    seed: int,
    method: str = "pca",
) -> list[dict[str, Any]]:
    """Lay a sample of the fused vectors out in the plane; see `planar` for ``method``.

    The sample is the ``sample`` rows with the smallest seeded hash of ``row_id``: the same ones whatever the
    partitioning.

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
    matrix = np.stack([np.asarray(row["v"], dtype=np.float32) for row in rows])
    if matrix.shape[1] < 2:
        return []
    points = planar(matrix, method, seed)
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
