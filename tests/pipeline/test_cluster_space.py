"""Blocks of a run's features, in few dimensions and balanced for its clusters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fusionspark import columns as c
from fusionspark.config import Config
from fusionspark.errors import ConfigError
from fusionspark.pipeline.cluster_space import learn, placed
from fusionspark.pipeline.context import Context
from fusionspark.tables import RunFolder

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TABLE = {"start": 0, "dimension": 1, "weight": 2.0}
TEXT = {"start": 1, "dimension": 2, "weight": 1.0}


def test_each_block_is_scaled_to_its_first_axis_and_kept_with_the_models(
    spark: SparkSession, tmp_path: Path
) -> None:
    from pyspark.ml.linalg import Vectors

    # The table has variance 1; the text lies on one axis, and after its mean is gone at 1 or -1 on it.
    rows = [[1.0, 4.0, 5.0], [-1.0, 4.0, 5.0], [1.0, -2.0, -3.0], [-1.0, -2.0, -3.0]]
    made = [(f"r{i}", Vectors.dense(row)) for i, row in enumerate(rows)]
    features = spark.createDataFrame(made, [c.ROW_ID, c.FEATURES])
    run = RunFolder(spark, str(tmp_path), "2026-01-01").new_attempt()
    ctx = Context(spark, Config.model_validate({"columns": {"text": "t"}}), run)
    with pytest.raises(ConfigError, match=r"earlier version.*--full"):
        placed(run, features)
    ctx.facts = {"fuse": {"blocks": {"table": TABLE, "text": TEXT}}}
    assert learn(ctx, features) == pytest.approx({"table": 2.0, "text": 1.0}, rel=1e-5)
    found = placed(run, features).orderBy(c.ROW_ID).collect()
    there = np.array([row[c.FEATURES].toArray() for row in found])
    assert there[:, 0] == pytest.approx([2.0, -2.0, 2.0, -2.0])
    assert np.abs(there[:, 1]) == pytest.approx([1.0] * 4)
    assert len(set(np.sign(there[:2, 1]))) == len(set(np.sign(there[2:, 1]))) == 1
    assert there[0, 1] == -there[2, 1]
