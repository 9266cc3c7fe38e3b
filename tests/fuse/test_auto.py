"""The method that suits the rows is found by cross-validation."""

import numpy as np
import pytest
from planted import frame
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import functions as F

from fusionspark.errors import ConfigError, DataContractError
from fusionspark.fuse.auto import AutoFuser, AutoFuserModel
from fusionspark.fuse.gated import GatedFuser
from fusionspark.fuse.stacker import Stacker

pytestmark = pytest.mark.slow

BY_DAY = {"numFolds": 3, "foldBy": "time", "foldCol": "day", "labels": ["no", "yes"]}


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


class Memory:
    """A method whose only feature is what it has seen of the value of a column: it knows no other value."""

    def __init__(self, key):
        self.key, self.days = key, []

    def fit(self, rows):
        self.known = {row[0]: row[1] for row in rows.groupBy(self.key).agg(F.mode("label")).collect()}
        self.days.append([row.day for row in rows.select("day").collect()])
        return self

    def transform(self, rows):
        value = F.create_map(*[F.lit(x) for pair in self.known.items() for x in pair])[F.col(self.key)]
        one = F.when(value == "yes", 1.0).when(value == "no", -1.0).otherwise(0.0)
        self.days[-1] = (self.days[-1], [row.day for row in rows.select("day").collect()])
        return rows.withColumn("features", array_to_vector(F.array(one)))


def test_rows_of_a_group_are_held_out_together(spark):
    rows = frame(spark, "none", 240).withColumn("group", F.floor(F.col("day") / 6).cast("int"))
    rows = rows.withColumn("label", F.when(F.xxhash64("group") % 2 == 0, "yes").otherwise("no"))
    by_row = AutoFuser({"memory": Memory("group")}, numFolds=3).fit(rows).choice
    by_group = AutoFuser({"memory": Memory("group")}, numFolds=3, foldCol="group").fit(rows).choice
    assert by_row.losses["memory"] < 0.1
    assert by_group.losses["memory"] > 0.6, "what it knows is of no use for other groups"


def test_by_time_only_earlier_rows_are_learnt_from(spark):
    memory = Memory("day")
    AutoFuser({"memory": memory}, **BY_DAY).choose(frame(spark, "text", 160))
    learnt = [sorted(before) for before, _ in memory.days]
    judged = [sorted(set(seen) - set(before)) for before, seen in memory.days]
    assert [len(days) for days in learnt] == pytest.approx([40, 80, 120], abs=2)
    assert all(before[-1] < after[0] for before, after in zip(learnt, judged, strict=True))
    assert judged[0][-1] < judged[1][0] and judged[2][-1] == 159


def test_folds_without_a_second_class_judge_nothing_and_some_must(spark):
    rows = frame(spark, "text", 120)
    late = rows.where("label = 'no' OR day > 50")
    memory = Memory("day")
    AutoFuser({"memory": memory}, **BY_DAY).choose(late)
    assert len(memory.days) == 2
    two = rows.withColumn("label", F.when(F.col("day") < 90, "no").otherwise("yes"))
    with pytest.raises(DataContractError, match="two classes"):
        AutoFuser({}, **BY_DAY).fit(two.where("day < 100"))
    with pytest.raises(ConfigError, match="foldBy"):
        AutoFuser({}, foldBy="moon").fit(rows)
