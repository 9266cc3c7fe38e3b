"""Classifiers in numpy answer as MLlib's models do."""

from dataclasses import replace

import numpy as np
import pytest
from pyspark.ml.linalg import Vectors
from pyspark.sql import functions as F

from fusionspark.mine.algorithms import Hyperparameters
from fusionspark.mine.array_scores import scorer_of
from fusionspark.mine.calibration import Calibration
from fusionspark.mine.classify import predictions_of, train


@pytest.fixture(scope="module")
def rows(spark):
    """Sixty rows of four features in three classes, and the features as an array in the order of row_id."""
    random = np.random.default_rng(5)
    classes = np.arange(60) % 3
    features = random.normal(size=(60, 4)) + classes[:, None] * np.array([1.0, -0.5, 0.2, 0.0])
    made = [(f"r{i:02}", "train", "abc"[classes[i]], Vectors.dense(features[i])) for i in range(60)]
    return spark.createDataFrame(made, ["row_id", "split", "label", "features"]).coalesce(1).cache(), features


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("algorithm", ["logistic_regression", "linear_svc", "multilayer_perceptron"])
def test_equal_to_the_fitted_model(rows, algorithm, classes):
    table, features = rows
    table = table.where(F.col("label") < "abcd"[classes])
    here = np.arange(60) % 3 < classes
    settings = Hyperparameters(max_iter=5, hidden_layers=(5, 3))
    classifier = train(table, algorithm, "abc"[:classes], settings, partitions=1)
    expected = {row["row_id"]: row for row in classifier.predict(table).collect()}
    scores = scorer_of(classifier).scores(features[here])
    assert scores.shape == (here.sum(), classes)
    for row_id, own in zip(sorted(expected), scores, strict=True):
        assert list(expected[row_id]["scores"].values()) == pytest.approx(own.tolist(), abs=1e-9)
        assert expected[row_id]["prediction"] == "abc"[int(own.argmax())]


@pytest.mark.parametrize("algorithm", ["gradient_boosted_trees", "random_forest", "rbf_svm"])
def test_what_is_neither_linear_nor_a_network_has_none(rows, algorithm):
    settings = Hyperparameters(max_iter=1, trees=1, max_depth=1, random_features=4)
    table = rows[0].where(F.col("label") < "c")
    assert scorer_of(train(table, algorithm, "ab", settings, partitions=1)) is None


def test_calibrated_scores_are_those_of_the_fitted_model(spark, rows):
    table = rows[0]
    fitted = train(table, "linear_svc", "abc", Hyperparameters(max_iter=3), partitions=1)
    curves = [[1.5, 0.1], [0.7, -0.2], [1.0, 0.0]]
    costs = [[0.0, 9.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    classifier = replace(fitted, calibration=Calibration("platt", curves), costs=costs)
    raw = scorer_of(classifier).scores(rows[1])
    ids = [f"r{i:02}" for i in range(60)]
    made = [(i, "train", None, [float(v) for v in row]) for i, row in zip(ids, raw, strict=True)]
    scored = spark.createDataFrame(made, "row_id string, split string, label string, s array<double>")
    found = {row["row_id"]: row for row in predictions_of({"s": classifier}, scored).collect()}
    for row in classifier.predict(table).collect():
        own = found[row["row_id"]]
        assert own["scores"] == pytest.approx(row["scores"], abs=1e-9)
        assert (own["prediction"], own["algorithm"]) == (row["prediction"], "linear_svc")
