"""The method that suits the rows is found by cross-validation."""

import numpy as np
import pytest
from planted import frame
from pyspark.ml.functions import vector_to_array

from fusionspark.fuse.auto import AutoFuser, AutoFuserModel
from fusionspark.fuse.gated import GatedFuser
from fusionspark.fuse.stacker import Stacker

pytestmark = pytest.mark.slow


def values(model, rows):
    out = model.transform(rows).select("row_id", vector_to_array("features").alias("x")).orderBy("row_id")
    return np.array([row.x for row in out.collect()])


def test_the_interaction_needs_the_network(spark, tmp_path):
    pytest.importorskip("torch")
    rows = frame(spark, "xor", 500)
    shape = {"encoderUnits": 16, "hiddenUnits": 16, "maxIter": 150}
    methods = {
        "stack": Stacker(keptBlocks=["table"], numFolds=3),
        "gated": GatedFuser(rowsDir=str(tmp_path / "rows"), numTasks=1, **shape),
    }
    model = AutoFuser(methods, numFolds=2).fit(rows)
    losses = model.choice.losses
    assert model.choice.method == "gated" and set(losses) == {"concat", "stack", "gated"}
    assert losses["concat"] > 0.6 and losses["stack"] > 0.6 > losses["gated"], losses


def test_the_choice_is_saved_with_the_model_and_does_not_depend_on_the_partitioning(spark, tmp_path):
    rows = frame(spark, "text", 160)
    auto = AutoFuser({"stack": Stacker(keptBlocks=["table"], numFolds=3)}, numFolds=2)
    model, other = auto.fit(rows), auto.fit(rows.repartition(5))
    assert dict(model.choice.losses) == dict(other.choice.losses)
    model.write().overwrite().save(str(tmp_path / "m"))
    loaded = AutoFuserModel.load(str(tmp_path / "m"))
    assert (loaded.uid, loaded.choice) == (model.uid, model.choice)
    assert np.array_equal(values(loaded, rows), values(model, rows))


def test_concat_alone_leaves_the_joined_blocks(spark, tmp_path):
    rows = frame(spark, "text", 60)
    model = AutoFuser({}, numFolds=2).fit(rows)
    model.write().overwrite().save(str(tmp_path / "m"))
    assert values(AutoFuserModel.load(str(tmp_path / "m")), rows).shape == (60, 11)
