"""Principal components of wide features, for methods that can only work in few dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.ml.feature import PCAModel

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from fusionspark.mine.arrow_columns import Matrix

#: Share of the first component's variance below which a component is rounding.
NOISE = 1e-9


def principal_axes(rows: Matrix, dimensions: int, *, seed: int) -> Any:
    """The first principal axes of the rows (width x at most ``dimensions``), each with a sign of its own.

    Found by scikit-learn's PCA, on wide rows by the randomised method of Halko, Martinsson and Tropp (2011,
    "Finding structure with randomness"), for which MLlib would decompose a width x width matrix. Rows that
    are all alike have one axis, the first feature.
    """
    from sklearn.decomposition import PCA

    if (rows == rows[0]).all():
        return np.eye(rows.shape[1], 1)
    count = min(dimensions, len(rows), rows.shape[1])
    found = PCA(count, random_state=seed).fit(rows.astype(np.float64))
    kept = found.explained_variance_ > NOISE * found.explained_variance_[0]
    return found.components_[kept].T


def projection(spark: SparkSession, axes: Any, features: str, output: str) -> PCAModel:
    """MLlib's `PCAModel` of the axes: it projects inside the JVM, sparse rows too, and does not centre."""
    jvm: Any = spark._jvm
    numbers = spark.sparkContext._gateway.new_array(jvm.double, axes.size)  # type: ignore[union-attr]
    packed = jvm.java.nio.ByteBuffer.wrap(axes.ravel(order="F").astype(">f8").tobytes())
    packed.asDoubleBuffer().get(numbers)
    linalg = jvm.org.apache.spark.ml.linalg
    matrix = linalg.DenseMatrix(axes.shape[0], axes.shape[1], numbers)
    nothing = linalg.Vectors.zeros(axes.shape[1])
    uid = "principal_axes"
    model = PCAModel(jvm.org.apache.spark.ml.feature.PCAModel(uid, matrix, nothing))
    model._resetUid(uid)
    return model._set(inputCol=features, outputCol=output, k=axes.shape[1])
