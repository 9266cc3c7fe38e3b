import datetime as dt
from collections import Counter
from dataclasses import asdict

import pytest
from pyspark.ml import PipelineModel

from fusionspark.config import Columns, Prepare, Split
from fusionspark.errors import ConfigError, DataContractError
from fusionspark.prepare.python_steps import together
from fusionspark.prepare.split import DateCut, date_cut, hash_cut, split_by_date, split_by_hash
from fusionspark.prepare.stages import feature_pipeline, text_steps
from fusionspark.prepare.table_encoder import TableEncoder
from fusionspark.prepare.vocabulary import WordCounter
from fusionspark.prepare.word_stages import WordTokenizer
from fusionspark.tables import ordered_for_fit


@pytest.mark.smoke
def test_clean_text_and_words_of_every_kind_of_row(spark):
    df = spark.createDataFrame(
        [("1", "A &amp; B"), ("2", None), ("3", "  "), ("4", "")], "row_id string, text string"
    )
    rows = {r["row_id"]: r for r in together(df, text_steps(Prepare())).collect()}
    assert [rows[i]["clean_text"] for i in "1234"] == ["A & B", None, None, None]
    assert [rows[i]["tokens"] for i in "1234"] == [["a", "b"], [], [], []]
    assert rows["1"]["text"] == "A &amp; B", "input columns are kept"


def test_unknown_language_is_named(spark):
    df = spark.createDataFrame([("x",)], "clean_text string")
    with pytest.raises(ConfigError, match=r"'xx' is unknown\. Allowed: en, zh"):
        WordTokenizer(language="xx").transform(df)


@pytest.mark.smoke
def test_numbers_are_imputed_with_the_median_and_standardised_by_hand(spark):
    df = spark.createDataFrame([(1.0,), (2.0,), (9.0,), (None,), (float("nan"),)], "n double")
    model = TableEncoder(numericCols=["n"]).fit(df)
    # Median of 1, 2, 9 is 2; filled: 1 2 9 2 2, mean 3.2, deviation sqrt(8.56).
    block = [r["table_block"] for r in model.transform(df).collect()]
    deviation = 8.56**0.5
    assert block[0] == pytest.approx([(1 - 3.2) / deviation, 0.0])
    assert block[3] == block[4] == pytest.approx([(2 - 3.2) / deviation, 1.0])
    assert model.featureNames == ["n", "n is missing"]


@pytest.mark.smoke
def test_categories_are_ordered_by_frequency_then_name_and_unseen_ones_are_safe(spark, tmp_path):
    df = spark.createDataFrame([(c,) for c in ["b", "b", "a", "c", None]], "k string")
    model = TableEncoder(categoricalCols=["k"], maxCategories=2).fit(df)
    assert model.featureNames == ["k = b", "k = a", "k is another", "k is missing"]
    model.write().overwrite().save(str(tmp_path / "m"))
    again = type(model).load(str(tmp_path / "m"))
    new = spark.createDataFrame([(c,) for c in ["a", "c", "never seen", None]], "k string")
    assert [r["table_block"] for r in again.transform(new).collect()] == [
        [0.0, 1.0, 0.0, 0.0],
        [0.0, 0.0, 1.0, 0.0],
        [0.0, 0.0, 1.0, 0.0],
        [0.0, 0.0, 0.0, 1.0],
    ]


def test_empty_constant_and_all_null_columns(spark):
    schema = "n double, c double, k string"
    df = spark.createDataFrame([(None, 5.0, None), (None, 5.0, None)], schema)
    model = TableEncoder(numericCols=["n", "c"], categoricalCols=["k"]).fit(df)
    assert [r["table_block"] for r in model.transform(df).collect()] == [[0.0, 1.0, 0.0, 0.0, 0.0, 1.0]] * 2
    empty = spark.createDataFrame([], schema)
    assert TableEncoder(numericCols=["n"]).fit(empty).transform(df).count() == 2


@pytest.mark.slow
@pytest.mark.smoke
def test_feature_pipeline_is_the_same_for_any_partitioning_and_survives_saving(spark, tmp_path):
    words = [["the", "cat"], ["the", "dog"], ["a", "cat"], ["a", "dog"], ["the"], []] * 4
    rows = [(str(i), w, float(i % 5), "xyz"[i % 3]) for i, w in enumerate(words)]
    df = spark.createDataFrame(rows, "row_id string, tokens array<string>, n double, k string")
    columns = Columns(text=["t"], numeric=["n"], categorical=["k"])
    pipeline = feature_pipeline(columns, Prepare(tfidf_features=3))
    results = []
    for partitions in (1, 2, 7):
        model = pipeline.fit(ordered_for_fit(df.repartition(partitions), 2))
        model.write().overwrite().save(str(tmp_path / "model"))
        out = PipelineModel.load(str(tmp_path / "model")).transform(df).orderBy("row_id")
        results.append([(r["tfidf_block"], r["table_block"]) for r in out.collect()])
    assert results[0] == results[1] == results[2]
    assert results[0][0][0].size == 3


@pytest.mark.smoke
def test_hash_split_is_stable_and_has_the_shares_asked_for(spark):
    df = spark.range(4000).selectExpr("cast(id as string) row_id")
    split = hash_cut(df, Split(test=0.2, validation=0.1), seed=1)
    parts = {r["row_id"]: r["split"] for r in split_by_hash(df, split, seed=1).collect()}
    shares = {p: list(parts.values()).count(p) / 4000 for p in ("train", "validation", "test")}
    assert shares == pytest.approx({"train": 0.7, "validation": 0.1, "test": 0.2}, abs=0.02)
    half = split_by_hash(df.where("cast(row_id as int) % 2 = 0").repartition(5), split, seed=1).collect()
    assert all(parts[r["row_id"]] == r["split"] for r in half), "a row keeps its part when others go"
    other = {r["row_id"]: r["split"] for r in split_by_hash(df, split, seed=2).collect()}
    assert other != parts


def test_hash_split_by_numbers_holds_out_exactly_so_many(spark):
    df = spark.range(403).selectExpr("cast(id as string) row_id")
    split = Split(test=101, validation=7)

    def parts(rows, cut, seed=1):
        return {r["row_id"]: r["split"] for r in split_by_hash(rows, cut, seed=seed).collect()}

    cut = hash_cut(df, split, seed=1)
    found = parts(df, cut)
    assert Counter(found.values()) == {"test": 101, "validation": 7, "train": 295}
    assert hash_cut(df.repartition(5), split, seed=1) == cut
    assert Counter(parts(df, hash_cut(df, split, seed=2), seed=2).values()) == Counter(found.values())
    assert parts(df, hash_cut(df, split, seed=2)) != found
    none = hash_cut(df, Split(test=402, validation=0), seed=1)
    assert Counter(parts(df, none).values()) == {"test": 402, "train": 1}
    fewer = df.where("cast(row_id as int) % 2 = 0")
    kept = hash_cut(fewer, split, seed=1, kept=asdict(cut))
    assert parts(fewer, kept).items() <= found.items(), "a kept cut leaves every row its part"
    with pytest.raises(DataContractError, match=r"403, of which .* hold out 403"):
        hash_cut(df, Split(test=400, validation=3), seed=1)


def test_date_split_never_parts_a_day_and_tests_on_the_latest(spark):
    rows = [(str(i), dt.datetime(2020, 1, 1 + i // 10, i % 10)) for i in range(100)]
    df = spark.createDataFrame(rows, "row_id string, d timestamp")
    split = Split(by="date", test=0.15, validation=0.1)

    def days(df, cut: DateCut) -> dict[str, list[int]]:
        out = split_by_date(df, "d", cut).collect()
        return {
            p: sorted({r["d"].day for r in out if r["split"] == p}) for p in ("train", "validation", "test")
        }

    # 15% of 100 rows is 15: the last two days hold 20. 10% is 10: the day before.
    cut = date_cut(df, split, "d")
    assert days(df, cut) == {"train": [1, 2, 3, 4, 5, 6, 7], "validation": [8], "test": [9, 10]}
    later = spark.createDataFrame(
        [("late", dt.datetime(2020, 1, 3)), ("new", dt.datetime(2020, 1, 20))], "row_id string, d timestamp"
    )
    kept = date_cut(later, split, "d", kept=DateCut.from_facts(cut.facts()))
    assert kept == cut
    assert days(df.union(later), kept)["test"] == [9, 10, 20], "what was trained on is never held out"
    all_trained = DateCut(None, None, dt.date(2020, 1, 10))
    assert days(df.union(later), all_trained)["test"] == [20], "days after the training are test rows"


def test_date_split_says_when_it_cannot_be_done(spark):
    df = spark.createDataFrame([("1", dt.date(2020, 1, 1)), ("2", None)], "row_id string, d date")
    with pytest.raises(DataContractError, match="1 rows have no date"):
        date_cut(df, Split(by="date"), "d")
    with pytest.raises(DataContractError, match="1 different days are too few"):
        date_cut(df.where("d is not null"), Split(by="date"), "d")


@pytest.mark.smoke
def test_vocabulary_breaks_ties_by_name_whatever_the_order_of_rows(spark):
    rows = [(str(i), [word]) for i, word in enumerate(["d", "c", "b", "a", "z", "z"])]
    for order in (rows, rows[::-1]):
        df = spark.createDataFrame(order, "row_id string, tokens array<string>").repartition(3)
        assert WordCounter(vocabSize=3, minRows=1).fit(df).vocabulary == ["z", "a", "b"]
    twice = spark.createDataFrame([(["a", "a"],), (["b"],), (["b"],)], "tokens array<string>")
    assert WordCounter(minRows=2).fit(twice).vocabulary == ["b"], "rows are counted, not occurrences"
    none = WordCounter(minRows=9).fit(twice).transform(twice).collect()
    assert {row["counts"].numNonzeros() for row in none} == {0}
