"""Fusion by weighted concatenation, as a pyspark.ml Estimator and Model."""

from __future__ import annotations

import functools
import math
import operator
from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasHandleInvalid, HasInputCols, HasOutputCol
from pyspark.ml.util import (
    DefaultParamsReadable,
    DefaultParamsReader,
    DefaultParamsWritable,
    DefaultParamsWriter,
    MLReadable,
    MLReader,
    MLWritable,
    MLWriter,
)

from fusionspark.columns import FEATURES
from fusionspark.errors import ConfigError, DataContractError
from fusionspark.fuse import block_columns
from fusionspark.fuse.blocks import Block, BlockSlice, Moments, layout, learn
from fusionspark.fuse.training_moments import check_widths, part_moments, training_moments

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

HANDLE_INVALID = ("error", "skip", "keep")


class _FuserParams(HasInputCols, HasOutputCol, HasHandleInvalid):
    weights: Param[list[float]] = Param(
        Params._dummy(),
        "weights",
        "weight of each input column; 0 leaves it out",
        typeConverter=TypeConverters.toListFloat,
    )
    scale: Param[bool] = Param(
        Params._dummy(),
        "scale",
        "centre dense blocks and give every block unit mean squared norm before its weight",
        typeConverter=TypeConverters.toBoolean,
    )

    def getWeights(self) -> list[float]:
        """Return the weight of each input column; 1 for all where none were set."""
        return (
            self.getOrDefault(self.weights) if self.isSet(self.weights) else [1.0] * len(self.getInputCols())
        )

    def getScale(self) -> bool:
        """Return whether blocks are centred and scaled."""
        return self.getOrDefault(self.scale)

    def _used(self) -> list[tuple[str, float]]:
        """Return (block, weight) of the blocks that are not left out, after checking the Params."""
        names, weights = self.getInputCols(), self.getWeights()
        if len(names) != len(weights):
            raise ConfigError(
                "weights",
                f"{len(weights)} weights for {len(names)} input columns",
                allowed="one weight for each of inputCols",
            )
        if len(set(names)) < len(names):
            raise ConfigError("inputCols", f"a block is named twice: {names}", allowed="each column once")
        for name, weight in zip(names, weights, strict=True):
            if not (math.isfinite(weight) and weight >= 0):
                raise ConfigError(
                    f"weight of block {name!r}", f"{weight}", allowed="a finite number of at least 0"
                )
        if self.getHandleInvalid() not in HANDLE_INVALID:
            raise ConfigError(
                "handleInvalid", repr(self.getHandleInvalid()), allowed=", ".join(HANDLE_INVALID)
            )
        used = [(name, weight) for name, weight in zip(names, weights, strict=True) if weight > 0]
        if not used:
            raise ConfigError(
                "weights",
                f"no block has a weight above 0: {weights}",
                remedy="give at least one block a weight",
            )
        return used


class FeatureFuser(
    Estimator["FeatureFuserModel"], _FuserParams, DefaultParamsReadable, DefaultParamsWritable
):
    """Learn how to join feature blocks of unlike width and size into one vector.

    Concatenation as it stands lets the widest block decide: 384 embedding values of spread 1 outweigh
    five scaled columns by norm, in every distance and under every L2 penalty. So each block is centred
    on its training mean and divided by one number, the root of the mean squared norm of its centred
    training rows. Every block then has a mean squared norm of 1 whatever its width, and its weight says
    what it is worth. One number a block, not one a column, keeps the directions inside an embedding as
    the language model meant them. The scheme is the block scaling of multiple factor analysis and of
    chemometrics (Westerhuis, Kourti & MacGregor, "Analysis of multiblock and hierarchical PCA and PLS
    models", J. Chemometrics 12, 1998), with the total variance as the block's size.

    Wide sparse vectors (TF-IDF) are divided by their root mean squared norm but not centred, because
    centring would turn every zero into a number.

    A block is missing in a row where it is null, empty, or holds a null, NaN or infinite value.
    ``handleInvalid`` says what then: ``error``; ``skip`` drops the row; ``keep`` (the default) puts the
    training mean in its place (zeros for a sparse block) and tells the model so: with ``keep`` every
    block is followed by one indicator feature, which is the block's weight where the block is missing
    and 0 elsewhere. The indicator is there for every block, also for one that was complete in training,
    so that training and scoring agree on the layout and no missing block goes by unseen.

    Parameters
    ----------
    inputCols : list of str
        Blocks, each ``vector``, ``array<float>`` or ``array<double>``, of one width in all rows.
    weights : list of float, optional
        A weight of at least 0 for each block; 0 leaves the block out, unread. All 1 by default.
    outputCol : str
        The fused vector; ``features`` by default.
    handleInvalid : {"keep", "skip", "error"}
    scale : bool
        False leaves values as they are, times their weight.

    Raises
    ------
    ConfigError
        A column is missing, or a Param cannot be used.
    DataContractError
        No rows; a block that is missing in all of them; rows of unlike width; values too large to
        square; under ``error`` any missing block. The counts are in the message.

    Notes
    -----
    ``fit`` reads the input once. Where the input has a ``row_id`` it orders the rows by it, and the
    fitted numbers are the same to the last digit whatever the partitioning; without, to rounding only. A
    block that never varied in training (a constant, or a single row) contributes zeros: nothing could be
    learnt from it.
    """

    @keyword_only
    def __init__(
        self,
        *,
        inputCols: list[str] | None = None,
        weights: list[float] | None = None,
        outputCol: str = FEATURES,
        handleInvalid: str = "keep",
        scale: bool = True,
    ) -> None:
        super().__init__()
        self._setDefault(outputCol=FEATURES, handleInvalid="keep", scale=True)
        self._set(**self._input_kwargs)  # type: ignore[attr-defined]

    @keyword_only
    def setParams(
        self,
        *,
        inputCols: list[str] | None = None,
        weights: list[float] | None = None,
        outputCol: str = FEATURES,
        handleInvalid: str = "keep",
        scale: bool = True,
    ) -> FeatureFuser:
        """Set Params by keyword."""
        return self._set(**self._input_kwargs)  # type: ignore[attr-defined,no-any-return]

    def setInputCols(self, value: list[str]) -> FeatureFuser:
        """Set the blocks."""
        return self._set(inputCols=value)

    def setWeights(self, value: list[float]) -> FeatureFuser:
        """Set the weight of each block."""
        return self._set(weights=value)

    def setOutputCol(self, value: str) -> FeatureFuser:
        """Set the name of the fused vector."""
        return self._set(outputCol=value)

    def setHandleInvalid(self, value: str) -> FeatureFuser:
        """Set what a missing block leads to."""
        return self._set(handleInvalid=value)

    def setScale(self, value: bool) -> FeatureFuser:
        """Set whether blocks are centred and scaled."""
        return self._set(scale=value)

    def _fit(self, dataset: DataFrame) -> FeatureFuserModel:
        used = self._used()
        vectors = {name: block_columns.is_vector(dataset, name) for name, _ in used}
        parts = training_moments(dataset, [name for name, _ in used])
        rows = sum(part["rows"] for part in parts)
        if not rows:
            raise DataContractError(
                "input of FeatureFuser.fit", "the table has no rows", remedy="check the filter before it"
            )
        for i, (name, _) in enumerate(used):
            check_widths(name, i, parts, rows, handle_invalid=self.getHandleInvalid())
        if self.getHandleInvalid() == "skip":
            parts = [part for part in parts if all(part[f"w{i}"] is not None for i in range(len(used)))]
            if not parts:
                raise DataContractError(
                    "input of FeatureFuser.fit",
                    f"each of the {rows} rows lacks at least one of the blocks {[name for name, _ in used]}",
                    remedy="set handleInvalid to keep, or give the emptiest block weight 0",
                )
        blocks = []
        for i, (name, weight) in enumerate(used):
            here = [part for part in parts if part[f"w{i}"] is not None]
            moments = Moments.merge([part_moments(part, i) for part in here])
            missing = sum(part["rows"] for part in parts) - moments.rows
            blocks.append(learn(name, weight, moments, missing, vector=vectors[name]))
        return self._copyValues(FeatureFuserModel(blocks)._resetUid(self.uid))


class FeatureFuserModel(Model, _FuserParams, MLReadable["FeatureFuserModel"], MLWritable):
    """Fitted fusion: adds the fused vector, lazily and inside the JVM; see `FeatureFuser`.

    Parameters
    ----------
    blocks : list of Block
        What was learnt about each block, in the order of the fused vector.
    """

    def __init__(self, blocks: list[Block] | None = None) -> None:
        super().__init__()
        self._setDefault(outputCol=FEATURES, handleInvalid="keep", scale=True)
        self.blocks = list(blocks or [])

    @property
    def layout(self) -> list[BlockSlice]:
        """Slice of each block in the fused vector: (block, start, end, weight), ``end`` exclusive.

        Under ``keep`` the last feature of each slice is the block's missing indicator.
        """
        return layout(self.blocks, indicator=self._indicator)

    @property
    def indicators(self) -> dict[str, int]:
        """Position of each block's missing indicator; empty unless ``handleInvalid`` is ``keep``."""
        return {part.block: part.end - 1 for part in self.layout} if self._indicator else {}

    @property
    def numFeatures(self) -> int:
        """Width of the fused vector."""
        return self.layout[-1].end

    @property
    def _indicator(self) -> bool:
        return self.getHandleInvalid() == "keep"

    def _transform(self, dataset: DataFrame) -> DataFrame:
        from pyspark.ml.feature import ElementwiseProduct, VectorAssembler
        from pyspark.ml.linalg import Vectors
        from pyspark.sql import functions as F

        out = self.getOutputCol()
        if out in dataset.columns:
            raise ConfigError("outputCol", f"the input has a column {out!r}", remedy="choose another name")
        here = {block.name: block_columns.present(dataset, block.name) for block in self.blocks}
        if self.getHandleInvalid() == "skip":
            dataset = dataset.where(functools.reduce(operator.and_, here.values()))
        scale, result, temporary = self.getScale(), dataset, []
        for i, block in enumerate(self.blocks):
            name = f"{self.uid}__{i}"
            column = block_columns.fused(dataset, block, scale=scale)
            if self.getHandleInvalid() == "error":
                column = F.when(here[block.name], column).otherwise(
                    F.raise_error(
                        f"block '{block.name}': missing in a row (null, empty, or not finite). Remedy: set "
                        "handleInvalid to keep or skip."
                    )
                )
            # The width in the metadata spares VectorAssembler a job to look for it.
            width = {"ml_attr": {"num_attrs": block.dim}}
            result = result.withColumn(name, column.alias(name, metadata=width))
            factor = block.factor(scale=scale)
            if block.sparse and factor != 1.0:
                scaled = f"{name}__scaled"
                product = ElementwiseProduct(
                    scalingVec=Vectors.dense([factor] * block.dim), inputCol=name, outputCol=scaled
                )
                result = product.transform(result).drop(name)
                result = result.withColumn(name, F.col(scaled).alias(name, metadata=width)).drop(scaled)
            temporary.append(name)
            if self._indicator:
                result = result.withColumn(
                    f"{name}__missing", F.when(here[block.name], 0.0).otherwise(F.lit(block.weight))
                )
                temporary.append(f"{name}__missing")
        joined = f"{self.uid}__joined"
        result = VectorAssembler(inputCols=temporary, outputCol=joined).transform(result)
        # VectorAssembler names every feature in the schema, which for wide blocks outweighs the rows of a
        # small Parquet file; the layout says the same in one line a block.
        metadata: dict[str, Any] = {
            "ml_attr": {"num_attrs": self.numFeatures},
            "layout": [f"{part.block}:{part.start}:{part.end}:{part.weight}" for part in self.layout],
        }
        result = result.withColumn(out, F.col(joined).alias(out, metadata=metadata))
        return result.drop(joined, *temporary)

    def copy(self, extra: Any = None) -> FeatureFuserModel:
        """Copy the model; the learnt blocks are shared, being immutable."""
        copied: FeatureFuserModel = super().copy(extra)
        copied.blocks = list(self.blocks)
        return copied

    def write(self) -> MLWriter:
        """Return a writer of the model: one JSON file of Params and learnt blocks."""
        return _FuserModelWriter(self)

    @classmethod
    def read(cls) -> MLReader[FeatureFuserModel]:
        """Return a reader of saved models."""
        return _FuserModelReader()


class _FuserModelWriter(MLWriter):
    def __init__(self, instance: FeatureFuserModel) -> None:
        super().__init__()
        self.instance = instance

    def saveImpl(self, path: str) -> None:
        extra = {"blocks": [block.to_dict() for block in self.instance.blocks]}
        DefaultParamsWriter.saveMetadata(self.instance, path, self.sc, extraMetadata=extra)


class _FuserModelReader(MLReader["FeatureFuserModel"]):
    def load(self, path: str) -> FeatureFuserModel:
        metadata = DefaultParamsReader.loadMetadata(path, self.sc)
        model = FeatureFuserModel([Block.from_dict(block) for block in metadata["blocks"]])
        model._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(model, metadata)
        return model
