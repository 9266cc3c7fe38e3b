"""Blocks of a run's features, balanced for its clusters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fusionspark import columns as c
from fusionspark.config import Config
from fusionspark.pipeline.cluster_space import balanced, learn
from fusionspark.pipeline.context import Context
from fusionspark.tables import RunFolder

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TABLE = {"start": 0, "dimension": 1, "weight": 2.0}
TEXT = {"start": 1, "dimension": 2, "weight": 1.0}


def rows_of(df: Any) -> list[list[float]]:
    return [row[c.FEATURES].toArray().tolist() for row in df.orderBy(c.ROW_ID).collect()]


def test_each_block_is_scaled_to_its_first_axis_and_kept_with_the_models(
    spark: SparkSession, tmp_path: Path
) -> None:
    from pyspark.ml.linalg import Vectors

    # The table has variance 1; the text lies on one axis, of variance 25.
    rows = [[1.0, 3.0, 4.0], [-1.0, 3.0, 4.0], [1.0, -3.0, -4.0], [-1.0, -3.0, -4.0]]
    made = [(f"r{i}", Vectors.dense(row)) for i, row in enumerate(rows)]
    features = spark.createDataFrame(made, [c.ROW_ID, c.FEATURES])
    run = RunFolder(spark, str(tmp_path), "2026-01-01").new_attempt()
    ctx = Context(spark, Config.model_validate({"columns": {"text": "t"}}), run)
    ctx.facts = {"fuse": {"blocks": {"text": TEXT}}}
    assert learn(ctx, features) == {}
    assert rows_of(balanced(run, features)) == rows, "one block is left alone"
    ctx.facts = {"fuse": {"blocks": {"table": TABLE, "text": TEXT}}}
    assert learn(ctx, features) == pytest.approx({"table": 2.0, "text": 0.2}, rel=1e-5)
    found = rows_of(balanced(run, features))
    assert np.array(found) == pytest.approx(np.array(rows) * [2.0, 0.2, 0.2], rel=1e-5)
