"""A run whose label is a number: bad labels, models, page, a night that keeps the models, and a score."""

import datetime as dt
import json
from pathlib import Path

import pytest
from test_pipeline import BOTH, DATE, MOODS, settings

from fusionspark import pipeline
from fusionspark.config import Config
from fusionspark.errors import ConfigError
from fusionspark.pipeline.explain.of_run import explain_row
from fusionspark.tables import RunFolder

pytestmark = pytest.mark.slow


def quiet(line):
    del line


def feed(spark, path, rows=120):
    """Prices that the mood of the text and the number decide, one that is none, one infinite, one missing."""
    made = []
    for i in range(rows):
        mood = "good" if i % 2 else "bad"
        words = MOODS[mood].split()
        text = " ".join(words[i % 3 :] + words[: i % 5])
        price = (100.0 if i % 2 else 50.0) + 5 * (i % 7)
        made.append((f"r{i:03}", text, float(i % 7), "xyz"[i % 3], dt.date(2026, 1, 1 + i % 28), str(price)))
    bad = [("word", "many"), ("inf", "Infinity"), ("none", None), ("nan", "NaN")]
    made += [(key, "the cat sat", 1.0, "x", dt.date(2026, 1, 1), price) for key, price in bad]
    schema = "id string, text string, n double, k string, day date, price string"
    spark.createDataFrame(made, schema).write.mode("overwrite").parquet(str(path))
    return str(path)


@pytest.fixture(scope="module")
def finished(spark, tmp_path_factory, tiny_bert):
    folder = tmp_path_factory.mktemp("numbers")
    config = settings(
        feed(spark, folder / "in"), folder / "out", tiny_bert,
        columns={"label": "price", "label_kind": "number"},
        mine={
            "partitions": 2, "retrain": "never", "cluster": {"k": 2, "max_iter": 5},
            "regress": {"trees": 10, "max_depth": 3}, **BOTH,
        },
        report={"explain": {"rows": 2}, "receipt": {}},
    )  # fmt: skip
    return config, pipeline.run(spark, config, DATE, say=quiet)


def test_the_price_is_learnt_from_text_and_table(spark, finished):
    config, manifest = finished
    assert manifest["rows"] == {"in": 124, "out": 122, "quarantined": 2}
    reasons = {one["reason"]: one["examples"] for one in manifest["quarantine"]["reasons"]}
    assert reasons == {"not a number: price": ["word"], "not finite: price": ["inf"]}
    test = manifest["regress"]["linear_regression"]["test"]
    assert test["r2"] > 0.8 and test["rmse"] < 0.5 * test["baseline"]["rmse"]
    assert manifest["classify"] == {} and manifest["labels"] == [] and manifest["best"] in manifest["regress"]
    assert sum(splits["unlabelled"] for splits in manifest["regress"]["linear_regression"].values()) == 2
    receipt = manifest["receipt"]
    assert receipt["metric"] == "r2" and receipt["text_pays"] and receipt["fusion"]["second"] != "table"
    assert receipt["arms"]["fused"]["r2"] > receipt["arms"]["table"]["r2"] + 0.3
    assert manifest["explain"] is None
    answers = RunFolder(spark, f"{config.output}/runs", DATE).read("predictions")
    assert answers.count() == 2 * 122
    shifts = [shift["column"] for one in manifest["cluster"]["clusters"] for shift in one["shifts"]]
    assert "price" in shifts and all(not one["labels"] for one in manifest["cluster"]["clusters"])


def test_the_page_shows_it(finished):
    page = Path(finished[0].output, "runs", DATE, "report.html").read_text()
    assert "ridge regression" in page and "Estimates of" in page and "Nothing was classified" not in page


def test_a_night_keeps_the_models_and_a_score_needs_no_label(spark, finished, tmp_path):
    config, first = finished
    night = pipeline.run(spark, config, "2026-02-01", say=quiet)
    assert night["models"]["of"] == DATE and night["models"]["metric"] == "rmse"
    assert night["models"]["change"] == pytest.approx(0) and not night["models"]["dropped"]
    assert night["regress"] == first["regress"] and night["receipt"]["of"] == DATE
    assert [one["test"]["rmse"] for one in night["history"]] == [
        first["regress"][first["best"]]["test"]["rmse"]
    ] * 2
    rows = spark.read.parquet(str(config.source.path)).where("id LIKE 'r%'").drop("price")
    rows.write.parquet(str(tmp_path / "new"))
    changed = {"source": {"path": str(tmp_path / "new")}}
    scored = pipeline.score(
        spark, Config.model_validate({**config.model_dump(), **changed}), "2026-02-02", say=quiet
    )
    answers = RunFolder(spark, f"{config.output}/scores", "2026-02-02").read("predictions")
    assert scored["rows"]["out"] == 120 and answers.where("scores['estimate'] IS NULL").count() == 0


def test_what_is_of_classes_says_so(spark, finished):
    config, _ = finished
    with pytest.raises(ConfigError, match="estimates a number"):
        explain_row(spark, config, "r001", DATE)
    data = json.loads(config.model_dump_json())
    for changed, said in (
        ({"fuse": {"method": "stack"}}, "fuse.method is 'stack', which learns classes"),
        ({"prepare": {"table": {"rare": "target"}}}, "prepare.table.rare is 'target', which learns classes"),
    ):
        with pytest.raises(ValueError, match=said):
            Config.model_validate({**data, **changed})
