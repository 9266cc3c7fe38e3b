from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fusionspark.errors import ConfigError, DataContractError, ModelMismatchError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def fuser(**params: Any) -> Any:
    from fusionspark.fuse.feature_fuser import FeatureFuser

    return FeatureFuser(**params)


def frame(
    spark: SparkSession, rows: list[tuple[Any, ...]], *names: str, kind: str = "array<float>"
) -> DataFrame:
    schema = "row_id string, " + ", ".join(f"{name} {kind}" for name in names)
    return spark.createDataFrame([(f"r{i}", *row) for i, row in enumerate(rows)], schema)


def fused(df: DataFrame) -> np.ndarray:
    return np.array([row.features.toArray() for row in df.orderBy("row_id").collect()])


@pytest.mark.smoke
def test_each_block_is_centred_scaled_and_weighted(spark: SparkSession) -> None:
    df = frame(spark, [([0.0, 0.0], [10.0]), ([6.0, 8.0], [14.0])], "a", "b")
    model = fuser(inputCols=["a", "b"], weights=[1.0, 0.5]).fit(df)
    # a: mean (3, 4), norm 5. b: mean 12, norm 2, weight 0.5. Each block ends with its indicator.
    assert fused(model.transform(df)) == pytest.approx(
        np.array([[-0.6, -0.8, 0, -0.5, 0], [0.6, 0.8, 0, 0.5, 0]])
    )
    assert model.layout == [("a", 0, 3, 1.0), ("b", 3, 5, 0.5)]
    assert model.indicators == {"a": 2, "b": 4}
    assert model.numFeatures == 5
    assert model.transform(df).columns == [*df.columns, "features"]
    assert model.transform(df).schema["features"].metadata["ml_attr"] == {"num_attrs": 5}


def test_mean_squared_norm_of_every_block_is_one_whatever_its_width(spark: SparkSession) -> None:
    rng = np.random.default_rng(0)
    rows = [(rng.normal(5, 3, 40).tolist(), rng.normal(0, 0.01, 2).tolist()) for _ in range(30)]
    df = frame(spark, rows, "wide", "narrow", kind="array<double>")
    model = fuser(inputCols=["wide", "narrow"]).fit(df)
    out = fused(model.transform(df))
    for part in model.layout:
        values = out[:, part.start : part.end - 1]
        assert (values**2).sum(axis=1).mean() == pytest.approx(1.0)
        assert values.mean(axis=0) == pytest.approx(np.zeros(values.shape[1]), abs=1e-9)


@pytest.mark.smoke
def test_keep_puts_the_mean_and_an_indicator_in_place_of_a_missing_block(spark: SparkSession) -> None:
    nan, inf = float("nan"), float("inf")
    bad = [None, [], [None, 1.0], [nan, 1.0], [inf, 1.0], [1.0, -inf], [nan, None]]
    df = frame(spark, [([0.0, 0.0],), ([6.0, 8.0],), *[(value,) for value in bad]], "a")
    model = fuser(inputCols=["a"], weights=[2.0]).fit(df)
    assert (model.blocks[0].rows, model.blocks[0].missing) == (2, len(bad))
    expected = [[-1.2, -1.6, 0], [1.2, 1.6, 0]] + [[0, 0, 2]] * len(bad)
    assert fused(model.transform(df)) == pytest.approx(np.array(expected))


def test_without_scale_values_stay_and_a_missing_block_is_its_mean(spark: SparkSession) -> None:
    df = frame(spark, [([0.0, 0.0],), ([6.0, 8.0],), (None,)], "a")
    model = fuser(inputCols=["a"], weights=[2.0], scale=False).fit(df)
    assert fused(model.transform(df)) == pytest.approx(np.array([[0, 0, 0], [12, 16, 0], [6, 8, 2]]))


def test_skip_drops_the_row_and_error_refuses(spark: SparkSession) -> None:
    df = frame(spark, [([0.0],), (None,), ([2.0],)], "a")
    model = fuser(inputCols=["a"], handleInvalid="skip").fit(df)
    assert fused(model.transform(df)) == pytest.approx(np.array([[-1], [1]]))
    assert model.indicators == {}
    with pytest.raises(DataContractError, match="missing in 1 of 3 rows"):
        fuser(inputCols=["a"], handleInvalid="error").fit(df)
    strict = fuser(inputCols=["a"], handleInvalid="error").fit(df.dropna())
    with pytest.raises(Exception, match="block 'a': missing in a row"):
        strict.transform(df).collect()


def test_skip_with_no_complete_row(spark: SparkSession) -> None:
    df = frame(spark, [([0.0], None), (None, [1.0])], "a", "b")
    with pytest.raises(DataContractError, match="each of the 2 rows lacks"):
        fuser(inputCols=["a", "b"], handleInvalid="skip").fit(df)


def test_vectors_dense_and_sparse_give_what_arrays_give(spark: SparkSession) -> None:
    from pyspark.ml.linalg import Vectors, VectorUDT
    from pyspark.sql.types import StringType, StructField, StructType

    schema = StructType([StructField("row_id", StringType()), StructField("a", VectorUDT())])
    rows = [("r0", Vectors.sparse(2, {})), ("r1", Vectors.dense([6.0, 8.0])), ("r2", None)]
    df = spark.createDataFrame(rows, schema)
    model = fuser(inputCols=["a"]).fit(df)
    expected = np.array([[-0.6, -0.8, 0], [0.6, 0.8, 0], [0, 0, 1]])
    assert fused(model.transform(df)) == pytest.approx(expected)


@pytest.mark.smoke
def test_wide_sparse_block_stays_sparse_is_scaled_and_not_centred(spark: SparkSession) -> None:
    from pyspark.ml.linalg import SparseVector, Vectors, VectorUDT
    from pyspark.sql.types import ArrayType, FloatType, StringType, StructField, StructType

    schema = StructType(
        [
            StructField("row_id", StringType()),
            StructField("words", VectorUDT()),
            StructField("a", ArrayType(FloatType())),
        ]
    )
    rows = [
        ("r0", Vectors.sparse(1000, {7: 3.0}), [1.0]),
        ("r1", Vectors.sparse(1000, {9: 4.0, 999: 3.0}), [3.0]),
        ("r2", None, [2.0]),
    ]
    df = spark.createDataFrame(rows, schema)
    model = fuser(inputCols=["words", "a"], weights=[2.0, 1.0]).fit(df)
    out = [row.features for row in model.transform(df).orderBy("row_id").collect()]
    assert all(isinstance(vector, SparseVector) and vector.size == 1003 for vector in out)
    factor = 2.0 / np.sqrt((9 + 25) / 2)
    assert out[0].toArray()[7] == pytest.approx(3 * factor)
    assert (out[1].toArray()[9], out[1].toArray()[999]) == pytest.approx((4 * factor, 3 * factor))
    assert out[2].numNonzeros() == 1  # `a` is at its mean; only the indicator of `words` is left.
    assert out[2].toArray()[model.indicators["words"]] == 2.0


def test_weight_zero_leaves_the_block_out_unread(spark: SparkSession) -> None:
    df = frame(spark, [([0.0],), ([2.0],)], "a")
    model = fuser(inputCols=["a", "not_there"], weights=[1.0, 0.0]).fit(df)
    assert model.layout == [("a", 0, 2, 1.0)]


def test_constant_block_and_single_row_give_zeros(spark: SparkSession) -> None:
    constant = frame(spark, [([0.1, 0.2],)] * 5, "a")
    model = fuser(inputCols=["a"]).fit(constant)
    assert fused(model.transform(constant)).tolist() == [[0.0, 0.0, 0.0]] * 5
    one = frame(spark, [([3.0],)], "a").repartition(5)
    assert fused(fuser(inputCols=["a"]).fit(one).transform(one)).tolist() == [[0.0, 0.0]]
    later = frame(spark, [([9.0],)], "a")
    assert fused(fuser(inputCols=["a"]).fit(one).transform(later)).tolist() == [[0.0, 0.0]]


def test_nothing_to_fit_on(spark: SparkSession) -> None:
    with pytest.raises(DataContractError, match="no rows"):
        fuser(inputCols=["a"]).fit(frame(spark, [], "a"))
    with pytest.raises(DataContractError, match="block 'a': missing in all 2 rows"):
        fuser(inputCols=["a"]).fit(frame(spark, [(None,), (None,)], "a"))


def test_transform_of_an_empty_frame_is_empty(spark: SparkSession) -> None:
    model = fuser(inputCols=["a"]).fit(frame(spark, [([1.0],), ([2.0],)], "a"))
    assert model.transform(frame(spark, [], "a")).count() == 0


def test_unlike_widths_are_counted(spark: SparkSession) -> None:
    df = frame(spark, [([1.0, 2.0],), ([1.0, 2.0],), ([1.0],)], "a")
    with pytest.raises(DataContractError, match="1 of width 1, 2 of width 2"):
        fuser(inputCols=["a"]).fit(df)
    model = fuser(inputCols=["a"]).fit(df.limit(2))
    with pytest.raises(Exception, match=r"block 'a': a row has 1 values, the fitted block has 2"):
        model.transform(df).collect()


def test_values_too_large_to_square(spark: SparkSession) -> None:
    df = frame(spark, [([1e300],), ([-1e300],)], "a", kind="array<double>")
    with pytest.raises(DataContractError, match="so large"):
        fuser(inputCols=["a"]).fit(df)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"inputCols": ["a"], "weights": [1.0, 2.0]}, "2 weights for 1 input columns"),
        ({"inputCols": ["a"], "weights": [-1.0]}, "at least 0"),
        ({"inputCols": ["a"], "weights": [0.0]}, "no block has a weight above 0"),
        ({"inputCols": ["a", "a"]}, "named twice"),
        ({"inputCols": ["aa"]}, "did you mean 'a'"),
        ({"inputCols": ["a"], "handleInvalid": "drop"}, "error, skip, keep"),
    ],
)
def test_wrong_params(spark: SparkSession, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fuser(**params).fit(frame(spark, [([1.0],)], "a"))


def test_wrong_column_type(spark: SparkSession) -> None:
    with pytest.raises(DataContractError, match="of type double"):
        fuser(inputCols=["a"]).fit(frame(spark, [(1.0,)], "a", kind="double"))


def test_output_column_must_be_new(spark: SparkSession) -> None:
    model = fuser(inputCols=["a"], outputCol="a").fit(frame(spark, [([1.0],)], "a"))
    with pytest.raises(ConfigError, match="has a column 'a'"):
        model.transform(frame(spark, [([1.0],)], "a"))


def test_transform_starts_no_job(spark: SparkSession) -> None:
    from pyspark.sql import functions as F

    fine = frame(spark, [([1.0],), ([2.0],)], "a")
    model = fuser(inputCols=["a"]).fit(fine)
    trap = fine.withColumn("a", F.array(F.raise_error("read").cast("float")))
    model.transform(trap)


@pytest.mark.smoke
def test_fit_is_the_same_to_the_last_digit_for_every_partitioning(spark: SparkSession) -> None:
    rng = np.random.default_rng(1)
    df = frame(spark, [(rng.normal(size=5).tolist(),) for _ in range(60)], "a").cache()
    models = [fuser(inputCols=["a"]).fit(df.repartition(n)) for n in (1, 2, 5, 70)]
    assert all(model.blocks == models[0].blocks for model in models)


@pytest.mark.slow
@pytest.mark.smoke
def test_save_and_load_alone_and_in_a_pipeline(spark: SparkSession, tmp_path: Path) -> None:
    from pyspark.ml import Pipeline, PipelineModel

    from fusionspark.fuse.feature_fuser import FeatureFuser, FeatureFuserModel

    df = frame(spark, [([0.0, 1.0],), ([6.0, 8.0],), (None,)], "a")
    stage = fuser(inputCols=["a"], weights=[0.3], outputCol="features")
    stage.write().overwrite().save(str(tmp_path / "estimator"))
    assert FeatureFuser.load(str(tmp_path / "estimator")).getWeights() == [0.3]
    model = stage.fit(df)
    for _ in range(2):
        model.write().overwrite().save(str(tmp_path / "model"))
    loaded = FeatureFuserModel.load(str(tmp_path / "model"))
    assert (loaded.uid, loaded.blocks, loaded.layout) == (stage.uid, model.blocks, model.layout)
    assert fused(loaded.transform(df)).tolist() == fused(model.transform(df)).tolist()
    assert fused(loaded.copy().transform(df)).tolist() == fused(model.transform(df)).tolist()
    Pipeline(stages=[stage]).fit(df).write().save(str(tmp_path / "pipeline"))
    again = PipelineModel.load(str(tmp_path / "pipeline"))
    assert fused(again.transform(df)).tolist() == fused(model.transform(df)).tolist()


@pytest.mark.slow
def test_a_model_is_read_by_a_fresh_process(spark: SparkSession, tmp_path: Path) -> None:
    df = frame(spark, [([0.0],), ([2.0],)], "a")
    fuser(inputCols=["a"]).fit(df).save(str(tmp_path / "model"))
    script = (
        "import sys\nfrom pyspark.sql import SparkSession\n"
        "spark = SparkSession.builder.master('local[1]').config('spark.ui.enabled', 'false').getOrCreate()\n"
        "from fusionspark.fuse.feature_fuser import FeatureFuserModel\n"
        "df = spark.createDataFrame([([4.0],)], 'a array<float>')\n"
        "print(FeatureFuserModel.load(sys.argv[1]).transform(df).first().features.toArray().tolist())\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "model")], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip().endswith("[3.0, 0.0]")


def test_vectors_of_two_models_are_no_fit(spark: SparkSession) -> None:
    from pyspark.sql import functions as F

    df = frame(spark, [([0.0, 0.0],), ([6.0, 8.0],), ([1.0, 2.0],)], "embedding")
    one = df.withColumn("model_digest", F.lit("a" * 64))
    mixed = one.withColumn("model_digest", F.when(F.col("row_id") == "r2", "b" * 64).otherwise("a" * 64))
    assert fuser(inputCols=["embedding"]).fit(one).blocks == fuser(inputCols=["embedding"]).fit(df).blocks
    with pytest.raises(ModelMismatchError, match=r"FeatureFuser\.fit.* 2 rows of a{12}, 1 rows of b{12}"):
        fuser(inputCols=["embedding"]).fit(mixed)
