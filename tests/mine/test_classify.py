from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fusionspark import columns as c
from fusionspark.errors import ConfigError, DataContractError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

NAMES = ["linear_svc", "logistic_regression", "multilayer_perceptron"]
# One fit a class, each with a job an iteration: many times the jobs of the others.
PARAMS = [pytest.param(name, marks=pytest.mark.slow if name == "linear_svc" else ()) for name in NAMES]
CENTRES = {"a": (0.0, 0.0), "b": (6.0, 0.0), "c": (0.0, 6.0)}


def table(spark: SparkSession, rows: list[tuple[str, str, str | None, Any]]) -> DataFrame:
    """(row_id, split, label, numbers or None) with the numbers as a vector."""
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions as F

    df = spark.createDataFrame(rows, "row_id string, split string, label string, x array<double>")
    features = F.when(F.col("x").isNotNull(), array_to_vector(F.coalesce("x", F.array(F.lit(0.0)))))
    return df.withColumn("features", features).drop("x")


def blobs(spark: SparkSession, labels: str = "abc", rows: int = 20) -> DataFrame:
    rng = np.random.default_rng(3)
    return table(
        spark,
        [
            (
                f"{label}{i:02}",
                "test" if i % 4 == 0 else "train",
                label,
                (rng.normal(CENTRES[label], 0.5)).tolist(),
            )
            for label in labels
            for i in range(rows)
        ],
    )


def train(df: DataFrame, algorithm: str, labels: list[str] | None = None, **changes: Any) -> Any:
    from fusionspark.mine.classify import Hyperparameters, label_values
    from fusionspark.mine.classify import train as fit

    partitions = changes.pop("partitions", 2)
    # The hinge loss of rows that a line parts is flat almost everywhere: MLlib's line search then runs a
    # hundred tiny Spark jobs an iteration, for margins that were right after a few.
    iterations = 5 if algorithm == "linear_svc" else 50
    settings = Hyperparameters(**{"hidden_layers": (4,), "max_iter": iterations, **changes})
    return fit(df, algorithm, labels or label_values(df), settings, partitions=partitions)


def predicted(df: DataFrame) -> list[tuple[str, str, dict[str, float]]]:
    return [(r.row_id, r.prediction, r.scores) for r in df.orderBy("row_id").collect()]


@pytest.mark.smoke
@pytest.mark.parametrize("algorithm", PARAMS)
def test_far_apart_blobs_are_told_apart_on_rows_held_out(spark: SparkSession, algorithm: str) -> None:
    df = blobs(spark)
    out = train(df, algorithm).predict(df)
    wanted = spark.createDataFrame([], c.PREDICTIONS_DDL).schema
    assert [(f.name, f.dataType.simpleString()) for f in out.schema] == [
        (f.name, f.dataType.simpleString()) for f in wanted
    ]
    rows = out.collect()
    assert len(rows) == 60
    assert {row.algorithm for row in rows} == {algorithm}
    assert all(row.prediction == row.label for row in rows)
    for row in rows:
        assert list(row.scores) == ["a", "b", "c"]
        assert max(row.scores, key=row.scores.get) == row.prediction
        if algorithm != "linear_svc":
            assert sum(row.scores.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("algorithm", PARAMS)
def test_two_classes(spark: SparkSession, algorithm: str) -> None:
    df = blobs(spark, "ab")
    model = train(df, algorithm)
    rows = model.predict(df).collect()
    assert all(row.prediction == row.label for row in rows)
    if algorithm == "linear_svc":
        assert len(model.model.stages[0].models) == 1
        assert all(row.scores["a"] == -row.scores["b"] for row in rows)


def test_margins_of_one_against_the_rest_are_the_machines_own(spark: SparkSession) -> None:
    df = blobs(spark)
    model = train(df, "linear_svc")
    machines = model.model.stages[0].models
    row = df.where("row_id = 'b01'").first()
    margins = {
        label: float(np.dot(one.coefficients.toArray(), row.features.toArray()) + one.intercept)
        for label, one in zip("abc", machines, strict=True)
    }
    assert model.predict(df).where("row_id = 'b01'").first().scores == pytest.approx(margins)


@pytest.mark.slow
@pytest.mark.smoke
@pytest.mark.parametrize("algorithm", NAMES)
def test_predictions_are_equal_for_every_partitioning(spark: SparkSession, algorithm: str) -> None:
    df = blobs(spark, rows=12).cache()
    found = [predicted(train(df.repartition(n), algorithm, max_iter=4).predict(df)) for n in (1, 2, 5, 7)]
    assert found[1:] == found[:-1]


@pytest.mark.slow
@pytest.mark.parametrize("partitions", [1, 90])
def test_one_partition_and_more_partitions_than_rows(spark: SparkSession, partitions: int) -> None:
    df = blobs(spark)
    rows = train(df, "logistic_regression", partitions=partitions, max_iter=10).predict(df).collect()
    assert all(row.prediction == row.label for row in rows)


@pytest.mark.slow
def test_the_weight_of_a_feature_matters(spark: SparkSession) -> None:
    from pyspark.ml.functions import array_to_vector, vector_to_array
    from pyspark.sql import functions as F

    df = blobs(spark, "ab")
    small = df.withColumn(
        "features", array_to_vector(F.transform(vector_to_array("features"), lambda x: x * 0.01))
    )
    for algorithm in ("logistic_regression", "linear_svc"):
        spreads = []
        for features in (df, small):
            model = train(features, algorithm, regularization=0.1)
            scores = [row.scores["b"] for row in model.predict(features).collect()]
            spreads.append(max(scores) - min(scores))
        # With standardization both would give the same scores, and block weights would mean nothing.
        assert spreads[1] < 0.2 * spreads[0]


def test_label_unseen_in_training_stays_as_a_row_and_as_an_error(spark: SparkSession) -> None:
    extra = table(spark, [("z", "test", "new", [0.0, 0.0]), ("y", "test", None, [6.0, 0.0])])
    df = blobs(spark).unionByName(extra)
    rows = {row.row_id: row for row in train(df, "logistic_regression").predict(df).collect()}
    assert (rows["z"].label, rows["z"].prediction) == ("new", "a")
    assert list(rows["z"].scores) == ["a", "b", "c"]
    assert (rows["y"].label, rows["y"].prediction) == (None, "b")


@pytest.mark.slow
def test_class_with_one_row(spark: SparkSession) -> None:
    df = blobs(spark, "ab").unionByName(table(spark, [("c", "train", "c", [0.0, 60.0])]))
    for algorithm in NAMES:
        assert train(df, algorithm).predict(df).count() == 41


def test_label_values_sort_numbers_as_numbers_and_see_training_rows_only(spark: SparkSession) -> None:
    from fusionspark.mine.classify import label_values

    rows = [("1", "train", "10", None), ("2", "train", "9", None), ("3", "test", "1", None)]
    assert label_values(table(spark, rows)) == ["9", "10"]
    assert label_values(table(spark, [*rows, ("4", "train", "x", None)])) == ["10", "9", "x"]
    assert label_values(table(spark, [])) == []


def test_nothing_to_learn(spark: SparkSession) -> None:
    with pytest.raises(DataContractError, match=r"1 class\(es\): 'a'"):
        train(blobs(spark, "a"), "logistic_regression")
    with pytest.raises(DataContractError, match="none"):
        train(table(spark, []), "logistic_regression")
    with pytest.raises(DataContractError, match="rows for training linear_svc: there are none"):
        train(table(spark, []), "linear_svc", ["a", "b"])
    with pytest.raises(ConfigError, match="did you mean 'linear_svc'"):
        train(blobs(spark), "linear_svm")


def test_labels_must_be_those_of_the_training_rows(spark: SparkSession) -> None:
    with pytest.raises(DataContractError, match="label 'c': 15 training rows have it"):
        train(blobs(spark), "logistic_regression", ["a", "b"])
    with pytest.raises(DataContractError, match="label 'd': no training row has it"):
        train(blobs(spark), "logistic_regression", ["a", "b", "c", "d"])


@pytest.mark.parametrize("bad", [None, [float("nan"), 0.0], [0.0, float("inf")]])
def test_features_must_be_finite(spark: SparkSession, bad: Any) -> None:
    df = blobs(spark, rows=4)
    with pytest.raises(DataContractError, match="1 of 10 rows for training logistic_regression are null"):
        train(df.unionByName(table(spark, [("z", "train", "a", bad)])), "logistic_regression")
    model = train(df, "logistic_regression", max_iter=5)
    with pytest.raises(Exception, match="features of row z: null, NaN or infinite"):
        model.predict(table(spark, [("z", "test", "a", bad)])).collect()


def test_features_must_be_vectors_of_one_width(spark: SparkSession) -> None:
    df = blobs(spark, rows=4)
    with pytest.raises(DataContractError, match="2 to 3 wide"):
        train(df.unionByName(table(spark, [("z", "train", "a", [0.0] * 3)])), "multilayer_perceptron")
    with pytest.raises(DataContractError, match="of type string"):
        train(df.withColumn("features", df.label), "linear_svc")
    with pytest.raises(ConfigError, match="'features'"):
        train(df.drop("features"), "linear_svc")


@pytest.mark.slow
@pytest.mark.smoke
@pytest.mark.parametrize("algorithm", NAMES)
def test_save_and_load(spark: SparkSession, tmp_path: Path, algorithm: str) -> None:
    from fusionspark.mine.classify import Classifier

    df = blobs(spark, rows=8)
    model = train(df, algorithm, max_iter=4)
    for _ in range(2):
        model.save(str(tmp_path / "model"))
    loaded = Classifier.load(str(tmp_path / "model"))
    assert loaded.labels == ("a", "b", "c")
    assert predicted(loaded.predict(df)) == predicted(model.predict(df))


@pytest.mark.slow
def test_a_model_is_read_by_a_fresh_process(spark: SparkSession, tmp_path: Path) -> None:
    train(blobs(spark), "linear_svc").save(str(tmp_path / "model"))
    script = (
        "import sys\nfrom pyspark.sql import SparkSession\nfrom pyspark.ml.linalg import Vectors\n"
        "spark = SparkSession.builder.master('local[1]').config('spark.ui.enabled', 'false').getOrCreate()\n"
        "from fusionspark.mine.classify import Classifier\n"
        "df = spark.createDataFrame([('r', 's', 'l', Vectors.dense(6.0, 0.0))],"
        " ['row_id', 'split', 'label', 'features'])\n"
        "print(Classifier.load(sys.argv[1]).predict(df).first().prediction)\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "model")], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip().endswith("b")
