"""Fewer dimensions for a block before it is fused: principal components or a random projection."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCol, HasOutputCol, HasSeed
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable

from fusionspark.columns import ROW_ID
from fusionspark.errors import ConfigError, DataContractError
from fusionspark.fuse import block_columns
from fusionspark.tables import ordered_for_fit

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

METHODS = ("pca", "random_projection")
#: Partitions that the components are summed in; fixed, so that they do not depend on the machine.
FIT_PARTITIONS = 4


class _ReducerParams(HasInputCol, HasOutputCol, HasSeed):
    method: Param[str] = Param(Params._dummy(), "method", "pca or random_projection", TypeConverters.toString)
    k: Param[int] = Param(Params._dummy(), "k", "dimensions that are left", TypeConverters.toInt)

    def getMethod(self) -> str:
        """Return the method."""
        return self.getOrDefault(self.method)

    def getK(self) -> int:
        """Return the number of dimensions that are left."""
        return self.getOrDefault(self.k)


class BlockReducer(
    Estimator["BlockReducerModel"], _ReducerParams, DefaultParamsReadable, DefaultParamsWritable
):
    """Learn how a block of numbers becomes one of ``k`` numbers; rows without the block stay without it.

    ``pca``: principal components by MLlib, of the rows that have the block. ``random_projection``: a Gaussian
    matrix drawn from ``seed``, which keeps distances by the lemma of Johnson and Lindenstrauss and looks at
    no row but one, for the width.

    Parameters
    ----------
    inputCol : str
        ``array<float>``, ``array<double>`` or vector.
    outputCol : str
        Receives ``array<double>``; null where the block is missing.
    k : int
        A block of no more than ``k`` dimensions, or of fewer rows, keeps as many as it can.

    Raises
    ------
    ConfigError
        The method is unknown, or ``k`` below 1.
    DataContractError
        No row has the block.
    """

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        inputCol: str | None = None,
        outputCol: str | None = None,
        method: str = "pca",
        k: int = 64,
        seed: int = 42,
    ) -> None:
        super().__init__()
        self._setDefault(method="pca", k=64, seed=42)
        self._set(**self._input_kwargs)

    @keyword_only
    def setParams(
        self,
        *,
        inputCol: str | None = None,
        outputCol: str | None = None,
        method: str = "pca",
        k: int = 64,
        seed: int = 42,
    ) -> BlockReducer:
        """Set Params by keyword."""
        return self._set(**self._input_kwargs)

    def _fit(self, dataset: DataFrame) -> BlockReducerModel:
        from pyspark.ml.feature import PCA

        name, method, k = self.getInputCol(), self.getMethod(), self.getK()
        if method not in METHODS:
            raise ConfigError("method", repr(method), allowed=", ".join(METHODS))
        if k < 1:
            raise ConfigError("k", str(k), allowed="1 or more")
        here = dataset.where(block_columns.present(dataset, name))
        if ROW_ID in here.columns:
            here = ordered_for_fit(here, FIT_PARTITIONS)
        rows = here.select(block_columns.as_vector(dataset, name).alias("block")).persist()
        try:
            first = rows.first()
            if first is None:
                raise DataContractError(
                    f"block {name!r}",
                    "missing in all rows (null, empty, or not finite), so nothing can be learnt",
                    remedy="give rows that have it, or leave the block out",
                )
            width = len(first["block"])
            if method == "pca":
                fitted = PCA(k=min(k, width), inputCol="block", outputCol="reduced").fit(rows)
                matrix = fitted.pc.toArray().T
            else:
                random = np.random.default_rng(self.getSeed())
                matrix = random.normal(size=(min(k, width), width)) / np.sqrt(min(k, width))
        finally:
            rows.unpersist()
        model = BlockReducerModel(matrix=json.dumps(np.round(matrix, 9).tolist()))
        return self._copyValues(model._resetUid(self.uid))


class BlockReducerModel(Model, _ReducerParams, DefaultParamsReadable, DefaultParamsWritable):
    """Fitted reduction: adds the block times the learnt matrix, lazily; see `BlockReducer`."""

    matrix: Param[str] = Param(
        Params._dummy(), "matrix", "one row a dimension that is left, as JSON", TypeConverters.toString
    )

    @keyword_only
    def __init__(self, *, matrix: str = "[]") -> None:
        super().__init__()
        self._setDefault(method="pca", k=64, seed=42)
        self._set(matrix=matrix)

    @property
    def components(self) -> npt.NDArray[np.float64]:
        """The learnt matrix, one row a dimension that is left."""
        return np.array(json.loads(self.getOrDefault(self.matrix)), dtype=np.float64)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        from pyspark.ml.functions import vector_to_array
        from pyspark.sql import functions as F
        from pyspark.sql.pandas.functions import pandas_udf

        name = self.getInputCol()
        matrix = self.components

        def reduce(block: pd.Series) -> pd.Series:
            import pandas as pd

            out: list[Any] = [None] * len(block)
            here = np.flatnonzero(block.notna().to_numpy())
            if len(here):
                found = np.vstack(list(block.iloc[here]))
                if found.shape[1] != matrix.shape[1]:
                    raise ValueError(
                        f"block {name!r}: rows of {found.shape[1]} values, the fitted block {matrix.shape[1]}"
                    )
                for place, row in zip(here, found @ matrix.T, strict=True):
                    out[place] = row
            return pd.Series(out, dtype=object)

        import pandas as pd

        reduce.__annotations__ = {"block": pd.Series, "return": pd.Series}
        column = F.col(f"`{name}`")
        array = vector_to_array(column) if block_columns.is_vector(dataset, name) else column
        given = F.when(block_columns.present(dataset, name), array)
        reduced = pandas_udf(reduce, "array<double>")  # type: ignore[call-overload]
        return dataset.withColumn(self.getOutputCol(), reduced(given))
