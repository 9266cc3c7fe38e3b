"""The features as clusters see them: each block in few dimensions, balanced by its first principal axis."""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame

from fusionspark import columns as c
from fusionspark.errors import ConfigError
from fusionspark.fuse.vector_rows import parts, vector_function
from fusionspark.mine.block_space import BlockSpace
from fusionspark.mine.samples import feature_sample
from fusionspark.pipeline.context import Context
from fusionspark.pipeline.learnt_fusion import for_shape
from fusionspark.tables import RunFolder

_PLACE = "cluster_space.json"
#: Blocks whose direction says what they say: how long a text is must not make it a cluster.
DIRECTED = ("text", "tfidf", "image")


def learn(ctx: Context, features: DataFrame) -> dict[str, float]:
    """Learn the space from a sample, save it beside the models, and return the factor of each block."""
    layout: dict[str, Any] = ctx.facts["fuse"]["blocks"]
    blocks = {
        name: (one["start"], one["start"] + one["dimension"], one["weight"]) for name, one in layout.items()
    }
    shape = for_shape(features)
    sample = feature_sample(shape, c.FEATURES, seed=ctx.config.seed, purpose="blocks", by=c.ROW_ID)
    space = BlockSpace.fit(sample, blocks, directed=DIRECTED, seed=ctx.config.seed)
    ctx.run.files.write_text(ctx.run.model_path(_PLACE), space.to_json())
    return {name: float(f"{factor:.6g}") for name, factor in space.factors.items()}


def placed(models: RunFolder, features: DataFrame) -> DataFrame:
    """Return the rows with the features that clusters of the run ``models`` are made of; lazy.

    Raises
    ------
    ConfigError
        The run is of a version that made clusters of other features.
    """
    from pyspark.ml.functions import array_to_vector

    text = models.files.read_text_if_there(models.model_path(_PLACE))
    if text is None:
        raise ConfigError(
            f"clusters of {models.path}", "were made by an earlier version, of other features than now",
            remedy="run once with --full, which trains anew",
        )  # fmt: skip
    there = vector_function(BlockSpace.from_json(text).place)(*parts(c.FEATURES))
    return for_shape(features).withColumn(c.FEATURES, array_to_vector(there))
