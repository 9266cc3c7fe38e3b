"""Random Fourier features: a linear model on them is a kernel machine with the RBF kernel.

Rahimi and Recht 2007, "Random features for large-scale kernel machines": with w drawn from a normal
distribution of variance 2 gamma and b uniform in [0, 2 pi), the mean over features of
2 cos(w.x + b) cos(w.y + b) is exp(-gamma |x - y|^2).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCol, HasNumFeatures, HasOutputCol, HasSeed
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable

from fusionspark.errors import DataContractError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class _Params(HasInputCol, HasOutputCol, HasSeed, HasNumFeatures):
    gamma: Param[float] = Param(
        Params._dummy(), "gamma", "width of the kernel; 0: 1 / total variance",
        typeConverter=TypeConverters.toFloat,
    )  # fmt: skip

    def getGamma(self) -> float:
        """Return the width of the kernel."""
        return self.getOrDefault(self.gamma)


class RandomFourierFeatures(Estimator["RandomFourierFeaturesModel"], _Params, DefaultParamsReadable,
                            DefaultParamsWritable):  # fmt: skip
    """Learn the width of the kernel and of the input.

    Parameters
    ----------
    numFeatures : int
        Features that are made; the error of the kernel falls with its square root.
    gamma : float
        Of the kernel exp(-gamma |x - y|^2). 0 takes 1 over the sum of the variances of all columns, which is
        scikit-learn's ``scale``.
    seed : int
        The features derive from it, the input's width and nothing else.
    """

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        inputCol: str = "features",
        outputCol: str = "random_features",
        numFeatures: int = 1000,
        gamma: float = 0.0,
        seed: int = 42,
    ) -> None:
        super().__init__()
        self._setDefault(
            inputCol="features", outputCol="random_features", numFeatures=1000, gamma=0.0, seed=42
        )
        self._set(**self._input_kwargs)

    def setGamma(self, value: float) -> RandomFourierFeatures:
        """Set the width of the kernel."""
        return self._set(gamma=value)

    def setNumFeatures(self, value: int) -> RandomFourierFeatures:
        """Set how many features are made."""
        return self._set(numFeatures=value)

    def _fit(self, dataset: DataFrame) -> RandomFourierFeaturesModel:
        from pyspark.ml.stat import Summarizer
        from pyspark.sql import functions as F

        row = dataset.select(
            Summarizer.metrics("variance", "count").summary(F.col(self.getInputCol())).alias("of")
        ).first()
        if row is None or not row["of"]["count"]:
            raise DataContractError("rows for random features", "there are none")
        spread = float(row["of"]["variance"].toArray().sum())
        # Rows that are all alike have one kernel value whatever the width.
        gamma = self.getGamma() or (1.0 / spread if spread > 0 else 1.0)
        model = RandomFourierFeaturesModel()._resetUid(self.uid)
        return model._set(
            inputCol=self.getInputCol(), outputCol=self.getOutputCol(), gamma=gamma, seed=self.getSeed(),
            numFeatures=self.getNumFeatures(), inputSize=row["of"]["variance"].size,
        )  # fmt: skip


class RandomFourierFeaturesModel(Model, _Params, DefaultParamsReadable, DefaultParamsWritable):
    """Adds the vector of random Fourier features; needs no data but its Params."""

    inputSize: Param[int] = Param(
        Params._dummy(), "inputSize", "width of the input", typeConverter=TypeConverters.toInt
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(inputCol="features", outputCol="random_features")

    def _transform(self, dataset: DataFrame) -> DataFrame:
        from pyspark.ml.functions import array_to_vector, vector_to_array
        from pyspark.sql import functions as F
        from pyspark.sql.functions import pandas_udf  # type: ignore[attr-defined]
        from pyspark.sql.types import ArrayType, DoubleType

        facts = (
            self.getOrDefault(self.inputSize), self.getNumFeatures(), self.getGamma(), self.getSeed()
        )  # fmt: skip

        def features(vectors: Iterator[pd.Series]) -> Iterator[pd.Series]:
            for series in vectors:
                matrix = np.stack(list(series)) if len(series) else np.zeros((0, facts[0]))
                yield pd.Series(list(fourier(matrix, *facts)), index=series.index)

        udf: Any = pandas_udf(features, ArrayType(DoubleType()))
        array = vector_to_array(F.col(self.getInputCol()), "float32")
        return dataset.withColumn(self.getOutputCol(), array_to_vector(udf(array)))


@functools.lru_cache(maxsize=2)
def _drawn(size: int, features: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, size, features])
    return rng.standard_normal((size, features), dtype=np.float32), rng.uniform(0, 2 * np.pi, features)


def fourier(matrix: np.ndarray, size: int, features: int, gamma: float, seed: int) -> np.ndarray:
    """Features of the rows of ``matrix``, shape (n, features).

    >>> x = np.array([[0.0, 1.0], [0.5, 1.0]])
    >>> z = fourier(x, 2, 20_000, 1.0, seed=3)
    >>> bool(abs(z[0] @ z[1] - np.exp(-0.25)) < 0.02)
    True
    """
    normal, phase = _drawn(size, features, seed)
    angles = matrix.astype(np.float32) @ normal * np.sqrt(2 * gamma) + phase
    made: np.ndarray = np.sqrt(2.0 / features) * np.cos(angles)
    return made
