"""TF-IDF in Python says what MLlib's stages say."""

import numpy as np
import pytest

from fusionspark.config import Columns, Prepare
from fusionspark.prepare.stages import feature_pipeline, parted
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
    assert found.longest == longest
    assert found.matrix(WORDS).toarray() == pytest.approx(np.array(expected))


def test_without_words_there_is_none(spark):
    rows = spark.createDataFrame([(1.0,), (2.0,)], "n double")
    model = feature_pipeline(Columns(numeric=["n"]), Prepare()).fit(rows)
    words, table = parted(model.stages)
    assert words == [] and len(table) == 1 and tfidf_of(words) is None
