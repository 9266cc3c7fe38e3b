"""TF-IDF in Python says what MLlib's stages say."""

import numpy as np
import pytest
from pyspark.ml import PipelineModel

from fusionspark.config import Columns, Prepare
from fusionspark.prepare.stages import drop_scratch, feature_pipeline, parted
from fusionspark.prepare.tfidf_rows import TfIdf, tfidf_of

WORDS = [["a", "b", "a"], ["b", "c", "b", "c"], [], ["unknown"], ["c", "a", "b"]]


def test_a_row_by_hand():
    two = TfIdf({"a": 0, "b": 1}, np.array([2.0, 1.0]))
    assert two.matrix([["a", "b", "b"], ["x"], []]).toarray() == pytest.approx(
        np.array([[2**-0.5, 2**-0.5], [0, 0], [0, 0]])
    )
    pairs = TfIdf({"a b": 0}, np.array([3.0]), longest=2)
    assert pairs.matrix([["a", "b", "a", "b"], ["b", "a"]]).toarray().tolist() == [[1.0], [0.0]]


@pytest.mark.parametrize("longest", [1, 3])
def test_equal_to_the_fitted_stages(spark, longest):
    rows = spark.createDataFrame([(i, words, float(i)) for i, words in enumerate(WORDS)],
                                 "i int, tokens array<string>, n double").coalesce(1)  # fmt: skip
    columns = Columns(text=["text"], numeric=["n"])
    settings = Prepare(tfidf_features=9, tfidf_min_rows=1, tfidf_ngrams=longest)
    model = feature_pipeline(columns, settings).fit(rows)
    words, table = parted(model.stages)
    assert len(words) + len(table) == len(model.stages) and len(table) == 1
    expected = [row["tfidf_block"].toArray() for row in model.transform(rows).orderBy("i").collect()]
    found = tfidf_of(words)
    assert list(found) == ["tfidf_block"] and found["tfidf_block"].longest == longest
    assert found["tfidf_block"].matrix(WORDS).toarray() == pytest.approx(np.array(expected))


def test_each_column_has_words_and_weights_of_its_own(spark, tmp_path):
    second = TfIdf({"a": 0, "b": 1}, np.array([3.0, 4.0]), column=1)
    assert second.matrix([["b", "a", "b"], ["a"]], [[1, 2], [1, 0]]).toarray() == pytest.approx(
        np.array([[0.6, 0.8], [0, 0]])
    )
    counts = [[1, 2], [4, 0], [0, 0], [0, 1], [1, 2]]
    rows = spark.createDataFrame(
        [(i, words, count) for i, (words, count) in enumerate(zip(WORDS, counts, strict=True))],
        "i int, tokens array<string>, column_words array<int>",
    ).coalesce(1)
    settings = Prepare(tfidf_features=9, tfidf_min_rows=1, tfidf_ngrams=2)
    model = feature_pipeline(Columns(text=["title", "body"]), settings).fit(rows)
    model.write().overwrite().save(str(tmp_path / "model"))
    again = PipelineModel.load(str(tmp_path / "model"))
    spark.sparkContext.setJobGroup("columns", "TF-IDF of two columns")
    made = again.transform(rows)
    assert spark.sparkContext.statusTracker().getJobIdsForGroup("columns") == []
    spark.sparkContext._jsc.clearJobGroup()
    found = tfidf_of(again.stages)
    assert list(found) == ["tfidf_block", "tfidf_block_0", "tfidf_block_1"]
    # No pair runs from one column into the next, as "a b" of the first row would.
    assert sorted(found["tfidf_block_0"].places) == ["a", "b", "b c", "c", "c b"]
    assert sorted(found["tfidf_block_1"].places) == ["a", "a b", "b", "b a", "unknown"]
    collected = made.orderBy("i").collect()
    for block, one in found.items():
        expected = np.array([row[block].toArray() for row in collected])
        assert one.matrix(WORDS, counts).toarray() == pytest.approx(expected), block
    assert set(drop_scratch(made).columns) == {*rows.columns, *found}
    assert parted(again.stages) == (again.stages, [])


def test_without_words_there_is_none(spark):
    rows = spark.createDataFrame([(1.0,), (2.0,)], "n double")
    model = feature_pipeline(Columns(numeric=["n"]), Prepare()).fit(rows)
    words, table = parted(model.stages)
    assert words == [] and len(table) == 1 and tfidf_of(words) == {}
