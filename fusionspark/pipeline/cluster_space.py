"""The features as clusters see them: blocks balanced by their first principal axes."""

from __future__ import annotations

from typing import Any

from pyspark.ml.feature import ElementwiseProduct
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame

from fusionspark import columns as c
from fusionspark.mine.balance import block_factors
from fusionspark.mine.samples import feature_sample
from fusionspark.pipeline.context import Context
from fusionspark.pipeline.learnt_fusion import for_shape
from fusionspark.tables import RunFolder

_PLACE, _SCALED = "cluster_space", "__balanced"


def learn(ctx: Context, features: DataFrame) -> dict[str, float]:
    """Learn the factor of each block from a sample, save them beside the models, and return them.

    Nothing is to be balanced where there is one block.
    """
    layout: dict[str, Any] = ctx.facts["fuse"]["blocks"]
    if len(layout) < 2:
        return {}
    blocks = {
        name: (one["start"], one["start"] + one["dimension"], one["weight"]) for name, one in layout.items()
    }
    shape = for_shape(features)
    sample = feature_sample(shape, c.FEATURES, seed=ctx.config.seed, purpose="blocks", by=c.ROW_ID)
    factors = block_factors(sample, blocks, seed=ctx.config.seed)
    width = max(end for _, end, _ in blocks.values())
    each = [1.0] * width
    for name, (start, end, _) in blocks.items():
        each[start:end] = [factors[name]] * (end - start)
    scaling = ElementwiseProduct(scalingVec=Vectors.dense(each), inputCol=c.FEATURES, outputCol=_SCALED)
    scaling.write().overwrite().save(ctx.run.model_path(_PLACE))
    return {name: float(f"{factor:.6g}") for name, factor in factors.items()}


def balanced(models: RunFolder, features: DataFrame) -> DataFrame:
    """Return the rows with the features that clusters of the run ``models`` are made of; lazy.

    A run of one block, or of an earlier version, has the features as they were fused.
    """
    shape = for_shape(features)
    if not models.files.exists(models.model_path(_PLACE)):
        return shape
    scaled: DataFrame = ElementwiseProduct.load(models.model_path(_PLACE)).transform(shape)
    return scaled.drop(c.FEATURES).withColumnRenamed(_SCALED, c.FEATURES)
