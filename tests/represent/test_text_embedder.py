from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from pyspark.ml import Pipeline

from fusionspark.errors import ConfigError
from fusionspark.represent.loading import EngineSettings, build_engine
from fusionspark.represent.model_source import model_digest
from fusionspark.represent.monitor import CountersParam, counters_accumulator
from fusionspark.represent.text_embedder import TextEmbedder

TEXTS = ["the cat sat", None, "", "a dog ran over the hill", "the cat sat", " \t", "the " * 60]
DDL = "row_id string, text string, n int"


def frame(spark, texts=TEXTS, partitions=2):
    rows = [(f"r{i:03d}", text, i) for i, text in enumerate(texts)]
    return spark.createDataFrame(rows, DDL).repartition(partitions)


def stage(tiny_bert, **options):
    return TextEmbedder(inputCol="text", model=str(tiny_bert), **options)


def collect(df):
    return sorted(df.collect(), key=lambda row: row.row_id)


@pytest.mark.smoke
def test_columns_and_rows(spark, tiny_bert):
    out = stage(tiny_bert).transform(frame(spark))
    assert out.columns == ["row_id", "text", "n", "embedding", "n_tokens", "truncated", "status"]
    assert out.schema["embedding"].dataType.simpleString() == "array<float>"
    rows = collect(out)
    assert [row.text for row in rows] == TEXTS
    assert [row.status for row in rows] == ["ok", "empty", "empty", "ok", "ok", "empty", "ok"]
    assert [row.n_tokens for row in rows] == [5, 0, 0, 8, 5, 0, 62]
    assert [row.truncated for row in rows] == [False] * 6 + [True]
    assert rows[1].embedding is None
    expected = build_engine(EngineSettings(model=str(tiny_bert))).encode(TEXTS).embeddings
    got = np.array([row.embedding or [np.nan] * 16 for row in rows], dtype=np.float32)
    np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("partitions", [1, 3, 9])
def test_partitions_and_windows_do_not_change_vectors(spark, tiny_bert, partitions):
    expected = [row.embedding for row in collect(stage(tiny_bert).transform(frame(spark, partitions=1)))]
    it = stage(tiny_bert, windowSize=2, tokenBudget=8)
    got = [row.embedding for row in collect(it.transform(frame(spark, partitions=partitions)))]
    for one, two in zip(got, expected, strict=True):
        assert (one is None) == (two is None)
        np.testing.assert_allclose(one or [], two or [], atol=1e-6)


@pytest.mark.parametrize("texts", [[], ["one cat"], [None, None]])
def test_few_rows(spark, tiny_bert, texts):
    rows = collect(stage(tiny_bert).transform(frame(spark, texts, 4)))
    assert [row.text for row in rows] == texts
    assert [row.status for row in rows] == ["empty" if text is None else "ok" for text in texts]


def test_rows_without_text_are_skipped_or_refused(spark, tiny_bert):
    rows = collect(stage(tiny_bert, handleInvalid="skip").transform(frame(spark)))
    assert [row.row_id for row in rows] == ["r000", "r003", "r004", "r006"]
    assert all(len(row.embedding) == 16 for row in rows)
    with pytest.raises(Exception, match="gave no vector"):
        stage(tiny_bert, handleInvalid="error").transform(frame(spark)).collect()


def test_bytes_that_are_not_utf8_are_read(spark, tiny_bert):
    df = spark.sql("select 'r' row_id, cast(X'63617420FF' as string) text")
    assert stage(tiny_bert).transform(df).select("status").collect()[0].status == "ok"


def test_columns_of_any_type_are_kept(spark, tiny_bert):
    df = spark.createDataFrame(
        [("a cat", {"k": [1, 2]}, bytearray(b"\x00"))], "text string, map map<string,array<int>>, raw binary"
    )
    row = stage(tiny_bert).transform(df).collect()[0]
    assert (row.map, row.raw, row.status) == ({"k": [1, 2]}, bytearray(b"\x00"), "ok")


def test_an_mllib_vector_column_is_kept(spark, tiny_bert):
    from pyspark.ml.linalg import Vectors

    df = spark.createDataFrame([("a cat", Vectors.dense([1.0, 2.0]))], ["text", "features"])
    assert stage(tiny_bert).transform(df).collect()[0].features == Vectors.dense([1.0, 2.0])


def test_two_columns_are_embedded_in_one_pipeline(spark, tiny_bert):
    df = spark.createDataFrame([("a cat", "the dog sat"), (None, "dog")], "title string, body string")
    first = TextEmbedder(inputCol="title", model=str(tiny_bert))
    with pytest.raises(ConfigError, match="'embedding', 'n_tokens', 'truncated', 'status'"):
        TextEmbedder(inputCol="body", model=str(tiny_bert)).transform(first.transform(df))
    second = TextEmbedder(
        inputCol="body", model=str(tiny_bert), outputCol="v", tokensCol="body_tokens",
        truncatedCol="body_cut", statusCol="body_status",
    )  # fmt: skip
    found = Pipeline(stages=[first, second]).fit(df).transform(df)
    assert found.columns == [
        "title", "body", "embedding", "n_tokens", "truncated", "status", "v", "body_tokens", "body_cut",
        "body_status",
    ]  # fmt: skip
    assert [(row.status, row.body_status) for row in found.collect()] == [("ok", "ok"), ("empty", "ok")]
    with pytest.raises(ConfigError, match=r"columns \['v'\]: are in the table already"):
        second.transform(df.withColumnRenamed("title", "V"))


def test_transform_runs_nothing(spark, tiny_bert):
    from pyspark.sql.functions import udf

    seen = spark.sparkContext.accumulator(0)
    count = udf(lambda text: (seen.add(1), text)[1], "string")
    stage(tiny_bert).transform(frame(spark).withColumn("text", count("text")))
    assert seen.value == 0


def test_the_monitor_counts(spark, tiny_bert):
    it = stage(tiny_bert, windowSize=100)
    it.monitor = counters_accumulator(spark)
    it.transform(frame(spark, partitions=1)).collect()
    found = it.monitor.value
    assert (found["rows"], found["texts_encoded"]) == (7, 3)
    assert found["tokens"] == 5 + 8 + 32
    assert found["padded_tokens"] >= found["tokens"]
    assert len(found["workers"]) == 1
    assert found["seconds_compute"] > 0


def test_counters_merge():
    merge = CountersParam().addInPlace
    one = {"rows": 1, "token_budget": 8, "last_error": "x"}
    two = {"rows": 2, "token_budget": 4, "last_error": ""}
    assert merge(one, two) == {"rows": 3, "token_budget": 4, "last_error": "x"}


def test_workers_insist_on_the_digest(spark, tiny_bert):
    rows = stage(tiny_bert, modelDigest=model_digest(str(tiny_bert))).transform(frame(spark)).collect()
    assert len(rows) == 7
    with pytest.raises(Exception, match="have digest"):
        stage(tiny_bert, modelDigest="0" * 64).transform(frame(spark)).collect()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"inputCol": "txt"}, r"inputCol: column 'txt' is not in the table, did you mean 'text'"),
        ({"inputCol": "n"}, r"column 'n': is int\. Allowed: string"),
        ({"outputCol": "text"}, r"are in the table already"),
        ({"precision": "float8"}, r"precision: is 'float8'"),
        ({"longText": "cut"}, r"longText: is 'cut'"),
        ({"handleInvalid": "drop"}, r"handleInvalid: is 'drop'\. Allowed: keep, skip, error"),
        ({"windowSize": 0}, r"windowSize"),
        ({"model": "/no/such/model"}, r"is not a folder"),
    ],
)
def test_wrong_params_fail_on_the_driver(spark, tiny_bert, options, words):
    with pytest.raises(ConfigError, match=words):
        stage(tiny_bert).setParams(**options).transform(frame(spark))


@pytest.mark.slow
def test_saved_alone_and_in_a_pipeline_and_loaded_in_a_fresh_process(spark, tiny_bert, tmp_path):
    from pyspark.ml import Pipeline
    from pyspark.ml.feature import SQLTransformer

    it = stage(tiny_bert, tokenBudget=77, normalize=False, promptName="query")
    it.monitor = counters_accumulator(spark)
    it.write().overwrite().save(str(tmp_path / "stage"))
    Pipeline(stages=[SQLTransformer(statement="SELECT * FROM __THIS__"), it]).write().overwrite().save(
        str(tmp_path / "pipeline")
    )
    code = f"""
from pyspark.sql import SparkSession
from pyspark.ml import Pipeline
from fusionspark.represent.text_embedder import TextEmbedder
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
a = TextEmbedder.load({str(tmp_path / "stage")!r})
b = Pipeline.load({str(tmp_path / "pipeline")!r}).getStages()[1]
for it in (a, b):
    assert it.monitor is None
    assert (it.getTokenBudget(), it.getNormalize(), it.getPromptName()) == (77, False, "query")
    assert it.uid == {it.uid!r}
df = spark.createDataFrame([("a cat",)], "text string")
print("VECTOR", a.transform(df).first().embedding[:2])
"""
    env = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    expected = it.transform(spark.createDataFrame([("a cat",)], "text string")).first().embedding[:2]
    printed = json.loads(done.stdout.split("VECTOR ")[1])
    np.testing.assert_allclose(printed, expected, atol=1e-6)
