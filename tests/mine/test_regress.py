"""Regressions find a planted line and a planted step, and say what they cannot learn."""

import numpy as np
import pytest
from pyspark.ml.functions import array_to_vector
from pyspark.sql import functions as F

from fusionspark.errors import ConfigError, DataContractError
from fusionspark.mine.algorithms import Hyperparameters
from fusionspark.mine.regress import REGRESSIONS, Regressor, train

SMALL = Hyperparameters(max_iter=50, regularization=1e-6, trees=20, max_depth=3, step_size=0.3)


def rows(spark, label, count=240, seed=1):
    """Rows of three standard normal features whose label is a function of them, every fourth a test row."""
    x = np.random.default_rng(seed).normal(size=(count, 3))
    splits = ["train", "train", "validation", "test"]
    made = [
        (f"r{i:03}", splits[i % 4], None if label is None else str(label(x[i])), [float(v) for v in x[i]])
        for i in range(count)
    ]
    frame = spark.createDataFrame(made, "row_id string, split string, label string, v array<double>")
    return frame.withColumn("features", array_to_vector("v")).drop("v")


def test_error(model, frame):
    tested = model.predict(frame).where("split = 'test'")
    error = F.col("scores")["estimate"] - F.col("label").cast("double")
    return tested.agg(F.sqrt(F.avg(error * error))).collect()[0][0]


test_error.__test__ = False


@pytest.mark.smoke
def test_a_line_is_found_to_its_coefficients(spark):
    frame = rows(spark, lambda x: 1000 + 30 * x[0] - 5 * x[1])
    model = train(frame, "linear_regression", SMALL, partitions=2)
    fitted = model.model.stages[0]
    assert fitted.coefficients.toArray() == pytest.approx([30, -5, 0], abs=0.01)
    assert fitted.intercept == pytest.approx(1000, abs=0.01)
    assert model.facts["label"]["mean"] == pytest.approx(1000, abs=10)
    answer = model.predict(frame).collect()[0]
    assert answer.asDict().keys() == {"row_id", "split", "label", "algorithm", "prediction", "scores"}
    assert (
        float(answer.prediction) == answer.scores["estimate"] == pytest.approx(float(answer.label), abs=0.1)
    )


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["random_forest", "gradient_boosted_trees", "xgboost"])
def test_trees_find_the_step_that_a_line_misses_and_are_saved(spark, tmp_path, algorithm):
    if algorithm == "xgboost":
        pytest.importorskip("xgboost")
    frame = rows(spark, lambda x: 10.0 * (abs(x[0]) > 0.7))
    line = test_error(train(frame, "linear_regression", SMALL, partitions=2), frame)
    model = train(frame, algorithm, SMALL, partitions=2)
    assert test_error(model, frame) < 0.7 * line
    model.save(str(tmp_path / "m"))
    loaded = Regressor.load(str(tmp_path / "m"))
    answers = [m.predict(frame).orderBy("row_id").collect() for m in (model, loaded)]
    assert answers[0] == answers[1] and loaded.facts == model.facts


def test_the_result_does_not_depend_on_the_partitioning(spark):
    frame = rows(spark, lambda x: x[0])
    first, second = (
        train(frame.repartition(n), "linear_regression", SMALL, partitions=2).model.stages[0].coefficients
        for n in (1, 5)
    )
    assert first == second


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (lambda x: 3.0, "all training rows have the same"),
        (lambda x: "many", "120 of 120 training rows have one that is no number"),
        (None, "no training row has one"),
    ],
)
def test_what_cannot_be_learnt_is_said(spark, label, said):
    with pytest.raises(DataContractError, match=said):
        train(rows(spark, label), "linear_regression", SMALL, partitions=2)


def test_an_unknown_algorithm_is_refused_with_the_nearest(spark):
    with pytest.raises(ConfigError, match=r"linear_regresion.*linear_regression"):
        train(rows(spark, lambda x: x[0]), "linear_regresion", SMALL, partitions=2)
    assert "linear_regression" in REGRESSIONS
