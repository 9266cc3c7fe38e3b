from __future__ import annotations

import numpy as np
import pytest

from fusionspark.represent.gpu_profile import stage_profiles_are_legal
from fusionspark.represent.loading import EngineSettings, build_engine
from fusionspark.represent.udf import embed_udf


@pytest.mark.smoke
def test_udf_in_select_and_sql(spark, tiny_bert):
    texts = ["a cat", None, "the dog sat", " "]
    df = spark.createDataFrame([(i, text) for i, text in enumerate(texts)], "i int, text string")
    embed = embed_udf(str(tiny_bert))
    rows = df.select("i", embed("text").alias("v")).orderBy("i").collect()
    expected = build_engine(EngineSettings(model=str(tiny_bert))).encode(texts).embeddings
    assert [row.v is None for row in rows] == [False, True, False, True]
    np.testing.assert_allclose([rows[0].v, rows[2].v], expected[[0, 2]], atol=1e-6)
    spark.udf.register("embed", embed)
    df.createOrReplaceTempView("texts_of_udf")
    assert spark.sql("select size(embed(text)) n from texts_of_udf where i = 0").first().n == 16


def test_numbers_are_no_texts(spark, tiny_bert):
    df = spark.createDataFrame([(0,), (None,)], "n int")
    with pytest.raises(Exception, match=r"is of type (int|float).*cast the column to string"):
        df.select(embed_udf(str(tiny_bert))("n")).collect()


@pytest.mark.parametrize(
    ("master", "version", "legal"),
    [
        ("local[2]", "4.1.4", False),
        ("local-cluster[2,1,1024]", "4.1.4", False),
        ("spark://host:7077", "4.1.4", True),
        ("yarn", "4.0.0", True),
        ("k8s://https://host", "4.3.0", True),
        ("spark://host:7077", "3.5.6", False),
    ],
)
def test_profiles_only_where_they_are_legal(master, version, legal):
    assert stage_profiles_are_legal(master, version) is legal
