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
    from fusionspark.mine.algorithms import Hyperparameters
    from fusionspark.mine.classify import label_values
    from fusionspark.mine.classify import train as fit

    partitions = changes.pop("partitions", 2)
    # The hinge loss of rows that a line parts is flat almost everywhere: MLlib's line search then runs a
    # hundred tiny Spark jobs an iteration, for margins that were right after a few.
    iterations = 5 if algorithm == "linear_svc" else 50
    settings = Hyperparameters(**{"hidden_layers": (4,), "max_iter": iterations, **changes})
    return fit(df, algorithm, labels or label_values(df), settings, partitions=partitions)


def with_validation(df: DataFrame) -> DataFrame:
    """Every fourth row of a label held out for calibration."""
    from pyspark.sql import functions as F

    held = F.substring("row_id", 2, 2).cast("int") % 4 == 1
    return df.withColumn("split", F.when(held, "validation").otherwise(F.col("split")))


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


def test_a_vote_is_the_mean_of_its_members_probabilities(spark: SparkSession, tmp_path: Path) -> None:
    from fusionspark.mine.classify import Classifier

    df = blobs(spark)
    changes: dict[str, Any] = {"trees": 5, "max_depth": 2, "max_iter": 5}
    members = [train(df, name, **changes) for name in ("logistic_regression", "random_forest")]
    vote = train(df, "voting", **changes)
    first, second, both = (predicted(model.predict(df)) for model in (*members, vote))
    for one, other, (row, prediction, scores) in zip(first, second, both, strict=True):
        assert scores == pytest.approx({k: (one[2][k] + other[2][k]) / 2 for k in "abc"}, abs=1e-12), row
        assert prediction == max(scores, key=lambda k: scores[k])
    vote.save(str(tmp_path / "model"))
    assert predicted(Classifier.load(str(tmp_path / "model")).predict(df)) == both


@pytest.mark.parametrize(
    "algorithm", [pytest.param("linear_svc", marks=pytest.mark.slow), "logistic_regression"]
)
def test_a_column_that_the_penalty_leaves_no_influence_gets_no_weight(
    spark: SparkSession, algorithm: str
) -> None:
    from fusionspark.mine.still_columns import without_still_columns

    rng = np.random.default_rng(6)
    # The last column tells the classes apart, but moves by a ten-thousandth of the others, as positions of
    # a tuned encoder do.
    rows = [
        (f"{k}{i:02}", "train", "ab"[k], [*rng.normal(0.05 * k, 0.05, 3).tolist(), 5e-6 * k])
        for k in range(2)
        for i in range(20)
    ]
    df = table(spark, rows)
    assert without_still_columns(df, "features", 0.0) is df
    assert without_still_columns(df, "features", 1e-9) is df

    def weights(penalty: float) -> Any:
        (model,) = train(df, algorithm, regularization=penalty).model.stages
        return (model.models[0] if algorithm == "linear_svc" else model).coefficients.toArray()

    found = weights(1e-3)
    assert (found[:3] != 0).all()
    assert found[3] == 0
    assert weights(1e-9)[3] != 0


TREES = ["random_forest", "gradient_boosted_trees", "xgboost"]


@pytest.mark.slow
@pytest.mark.smoke
@pytest.mark.parametrize("algorithm", [*TREES, "rbf_svm", "voting"])
def test_the_other_algorithms_learn_save_and_load(
    spark: SparkSession, tmp_path: Path, algorithm: str
) -> None:
    from fusionspark.mine.classify import Classifier
    from fusionspark.mine.linear_form import linear_form

    if algorithm in ("xgboost", "voting"):
        pytest.importorskip("xgboost")
    df = blobs(spark)
    voting = ("logistic_regression", "xgboost")
    model = train(df, algorithm, trees=5, max_depth=3, random_features=200, max_iter=5, voting=voting)
    # An explanation must not take it for linear in the features.
    assert linear_form(model) is None
    found = predicted(model.predict(df))
    assert sum(prediction == row_id[0] for row_id, prediction, _ in found) >= 57
    model.save(str(tmp_path / "model"))
    assert predicted(Classifier.load(str(tmp_path / "model")).predict(df)) == found


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["random_forest", "gradient_boosted_trees", "rbf_svm", "xgboost"])
def test_xor_needs_more_than_a_line(spark: SparkSession, algorithm: str) -> None:
    if algorithm == "xgboost":
        pytest.importorskip("xgboost")
    rng = np.random.default_rng(1)
    points = rng.uniform(-1, 1, size=(160, 2))
    rows = [
        (
            f"{i:03}",
            "test" if i % 4 == 0 else "train",
            "yes" if x * y > 0 else "no",
            [float(x), float(y), 1.0],
        )
        for i, (x, y) in enumerate(points)
    ]
    df = table(spark, rows)

    def right(name: str, **changes: Any) -> float:
        out = train(df, name, **changes).predict(df).where("split = 'test'").collect()
        return float(np.mean([row.prediction == row.label for row in out]))

    # The third column is constant, and harms nothing.
    assert right(algorithm, trees=20, random_features=200, max_iter=30, gamma=2.0) >= 0.8
    if algorithm == "rbf_svm":
        assert right("logistic_regression") < 0.75


@pytest.mark.slow
def test_margins_become_probabilities_on_validation_rows(spark: SparkSession, tmp_path: Path) -> None:
    from fusionspark.mine.classify import Classifier

    df = with_validation(blobs(spark, rows=40))
    margins = train(df, "linear_svc")
    assert not margins.probabilistic
    for method in ("platt", "temperature"):
        model = margins.calibrated(df, method)
        rows = model.predict(df).collect()
        assert all(sum(row.scores.values()) == pytest.approx(1.0) for row in rows)
        assert all(max(row.scores, key=row.scores.get) == row.prediction == row.label for row in rows)
    assert model.facts["calibration"] == {"method": "temperature", "rows": 30}
    model.save(str(tmp_path / "model"))
    assert predicted(Classifier.load(str(tmp_path / "model")).predict(df)) == predicted(model.predict(df))
    # Nothing held out: the margins stay, and the facts say why.
    bare = margins.calibrated(blobs(spark), "platt")
    assert bare.calibration is None
    assert bare.facts["calibration"] == "none: too few validation rows"


@pytest.mark.slow
def test_a_stated_cost_moves_the_answer(spark: SparkSession) -> None:
    rows = [(f"{i:02}", "train", "sick" if i % 4 == 0 else "well", [float(i % 2)]) for i in range(40)]
    df = table(spark, rows)
    model = train(df, "logistic_regression", regularization=0.0)
    # Half of the rows with 0 are sick, none with 1.
    plain = {row.row_id: row for row in model.predict(df).collect()}
    assert plain["01"].prediction == "well"
    careful = model.decided({"sick": {"well": 4.0}})
    found = {row.row_id: row for row in careful.predict(df).collect()}
    assert {found[i].prediction for i in ("00", "02")} == {"sick"}
    assert found["01"].prediction == "well"
    assert careful.facts["threshold"] == {"of": "well", "at": 0.8}
    with pytest.raises(ConfigError, match="no training row has the label 'ill'"):
        model.decided({"ill": {"well": 4.0}})
    with pytest.raises(ConfigError, match="are margins"):
        train(blobs(spark, "ab"), "linear_svc").decided({"a": {"b": 2.0}})


@pytest.mark.slow
def test_balanced_weights_help_the_rare_class(spark: SparkSession) -> None:
    from fusionspark.mine.algorithms import Hyperparameters
    from fusionspark.mine.classify import train as fit

    rng = np.random.default_rng(0)
    rows = [
        (f"{i:03}", "train", "rare" if i < 10 else "usual", [float(rng.normal(1.0 if i < 10 else 0.0, 1.0))])
        for i in range(100)
    ]
    df = table(spark, rows)

    def caught(weight: str, algorithm: str = "logistic_regression") -> int:
        model = fit(df, algorithm, ["rare", "usual"], Hyperparameters(), partitions=2, class_weight=weight)
        if algorithm == "logistic_regression" and weight == "balanced":
            assert model.facts["weight"] == {"rare": 5.0, "usual": 0.555556}
        return model.predict(df).where("label = 'rare' AND prediction = 'rare'").count()

    assert caught("none") <= 1
    assert caught("balanced") >= 6


@pytest.mark.slow
def test_a_search_finds_the_setting_that_can_learn(spark: SparkSession) -> None:
    from fusionspark.mine.algorithms import Hyperparameters
    from fusionspark.mine.classify import train as fit
    from fusionspark.mine.search import Search

    df = blobs(spark, "ab").unionByName(table(spark, [("c1", "train", "c", [0.0, 60.0])]))
    how = Search(2, folds=2, spaces={"logistic_regression": {"max_iter": [20]}})
    # Without an iteration the model only knows which class is the largest.
    start = Hyperparameters(max_iter=0)
    model = fit(df, "logistic_regression", ["a", "b", "c"], start, partitions=2, search=how)
    found = model.facts["search"]
    assert found["best"] == 1
    assert found["trials"][1]["max_iter"] == 20
    assert found["trials"][1]["macro_f1"] > found["trials"][0]["macro_f1"]
    # The class of one row is in one fold only.
    assert found["fewest_rows"] == 1
    assert all(r.prediction == r.label for r in model.predict(df).where("label <> 'c'").collect())
