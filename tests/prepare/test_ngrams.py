"""Runs of words stand beside the words, also in rows without any."""

from pyspark.ml import Pipeline

from fusionspark.prepare.ngrams import TERMS, ngram_columns, ngram_stages


def test_words_pairs_and_triples(spark):
    rows = spark.createDataFrame([(["a", "b", "c"],), (["a"],), ([],)], "words array<string>")
    out = Pipeline(stages=ngram_stages("words", 3)).fit(rows).transform(rows)
    assert [row[TERMS] for row in out.collect()] == [["a", "b", "c", "a b", "b c", "a b c"], ["a"], []]
    assert out.columns == ["words", *ngram_columns(3)]
