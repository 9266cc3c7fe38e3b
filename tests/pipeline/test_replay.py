"""Quarantined rows go through the stages again after a fix, and only those."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from tiny_bert import make_bert_failing_on

from fusionspark import pipeline
from fusionspark.config import Config
from fusionspark.errors import ConfigError
from fusionspark.tables import RunFolder

DATE = "2026-01-31"
DAY = dt.date(2026, 1, 1)
INF = float("inf")
SCHEMA = "id string, text string, n double, k string, day date, mood string"


def rows(*extra: tuple) -> list[tuple]:
    """Thirty reviews that pass, and others."""
    texts = {"good": "the red cat sat on a mat", "bad": "the blue dog ran over a mat"}
    made = []
    for i in range(30):
        mood = "good" if i % 2 else "bad"
        made.append((f"r{i:03}", texts[mood], float(i), "xyz"[i % 3], DAY, mood))
    return [*made, *[(row_id, text, n, "x", DAY, "good") for row_id, text, n in extra]]


@pytest.fixture
def settings(tmp_path):
    model = make_bert_failing_on("hill", tmp_path / "model")

    def make(source: dict | None = None, **represent) -> Config:
        classify = {"algorithms": ["logistic_regression"], "max_iter": 5}
        return Config.model_validate(
            {
                "output": str(tmp_path / "out"),
                "max_quarantined": 0.5,
                "source": {"path": str(tmp_path / "in"), **(source or {})},
                "columns": {"key": "id", "text": "text", "numeric": "n", "categorical": "k", "label": "mood"},
                "represent": {"model": str(model), **represent},
                "mine": {"partitions": 1, "classify": classify, "cluster": {"k": 2, "max_iter": 3}},
                "report": {"map_sample": 0, "explain": {"rows": 0, "shuffled": 0}, "receipt": {"rows": 0}},
            }
        )

    return make


@pytest.mark.slow
def test_rows_that_were_mended_join_the_run_and_the_others_stay_with_their_reason(spark, tmp_path, settings):
    def feed(*extra: tuple) -> None:
        spark.createDataFrame(rows(*extra), SCHEMA).write.mode("overwrite").parquet(str(tmp_path / "in"))

    def again(config: Config) -> dict:
        return pipeline.replay(spark, config, DATE, say=lambda line: None)

    def table(name: str) -> dict:
        return {
            row["row_id"]: row for row in RunFolder(spark, f"{tmp_path}/out/runs", DATE).read(name).collect()
        }

    twin, nobody = ("r001", "a second row with this key", 1.0), (None, "no key", 1.0)
    feed(
        twin,
        nobody,
        ("inf", "the cat", INF),
        ("hill", "the cat sat over hill", 1.0),
        ("spare", "the dog", INF),
    )
    with pytest.raises(ConfigError, match="is not published"):
        again(settings())
    first = pipeline.run(spark, settings(), DATE, say=lambda line: None)
    assert first["rows"] == {"in": 35, "out": 30, "quarantined": 5}
    before, quarantined = table("predictions"), table("quarantine")
    assert quarantined["hill"]["stage"] == "represent"
    with pytest.raises(ConfigError, match=r"'represent\.max_tokens'.* run the date again"):
        again(settings(max_tokens=8))

    # Two are mended in the source, one is gone from it, and a row came that the run has never seen.
    feed(twin, nobody, ("inf", "the cat", 7.0), ("hill", "the cat sat", 1.0), ("later", "the mat", 1.0))
    replayed = again(settings())
    assert replayed["rows"] == {"in": 35, "out": 32, "quarantined": 3}
    assert {k: v for k, v in replayed["replayed"].items() if k != "seconds"} == {
        "rows": 5, "passed": 2, "left": 3, "excluded": 0,
    }  # fmt: skip
    left = table("quarantine")
    assert left == {row_id: quarantined[row_id] for row_id in left}
    assert {row["reason"] for row in left.values()} == {"duplicate key", "null key", "not finite: n"}
    for name in ("collected", "prepared", "embeddings", "features", "predictions", "clusters", "anomalies"):
        assert set(table(name)) == {*before, "inf", "hill"}, name
    after = table("predictions")
    assert {row_id: after[row_id] for row_id in before} == before, "rows that had passed are as they were"
    assert {after[row_id]["split"] for row_id in ("inf", "hill")} == {"score"}
    assert table("collected")["inf"]["n"] == 7.0
    assert table("embeddings")["hill"]["status"] == "ok"
    held_out = [splits["logistic_regression"]["test"] for splits in (first["classify"], replayed["classify"])]
    assert held_out[0] == held_out[1]
    assert replayed["represent"]["failed"] == 0
    assert {k: v for k, v in replayed["rules"].items() if k != "seconds"} == {
        k: v for k, v in first["rules"].items() if k != "seconds"
    }
    assert replayed["anomalies"]["rows"] == 32
    # Two texts and the one that the model failed on; then the two that were mended.
    work = [(told["represent"]["encoded"], told["represent"]["reused"]) for told in (first, replayed)]
    assert work == [(3, 0), (5, 0)]
    assert replayed["splits"]["score"] == 2

    assert again(settings()) == replayed, "a second time changes nothing"
    assert json.loads(Path(tmp_path, "out/runs", DATE, "run.json").read_text()) == replayed

    mended = {"derive": {"n": "if(abs(n) = double('Infinity'), 0.5, n)"}, "where": "id IS NOT NULL"}
    last = again(settings(mended))
    assert last["rows"] == {"in": 34, "out": 33, "quarantined": 1}
    assert last["replayed"]["excluded"] == 1
    # "the dog" of the spare row is new, and nothing else was sent through again.
    assert (last["represent"]["encoded"], last["represent"]["reused"]) == (6, 0)
    assert table("collected")["spare"]["n"] == 0.5, "taken as it was quarantined"
    assert set(table("quarantine")) == {"r001#2"}
    assert [path.name for path in Path(tmp_path, "out/runs", DATE, "attempts").iterdir()] == ["3"]


@pytest.mark.slow
def test_a_night_that_kept_its_models_is_replayed_with_them(spark, tmp_path, settings):
    data = settings().model_dump()
    data["mine"]["retrain"], data["report"]["map_sample"] = "never", 20
    data["mine"]["rules"]["enabled"] = data["mine"]["anomalies"]["enabled"] = False
    config = Config.model_validate(data)

    def feed(n: float) -> None:
        made = rows(("late", "the cat", n))
        spark.createDataFrame(made, SCHEMA).write.mode("overwrite").parquet(str(tmp_path / "in"))

    feed(1.0)
    trained = pipeline.run(spark, config, DATE, say=lambda line: None)
    feed(INF)
    kept = pipeline.run(spark, config, "2026-02-01", say=lambda line: None)
    assert kept["models"]["of"] == DATE
    assert kept["rows"]["quarantined"] == 1
    feed(1.0)
    replayed = pipeline.replay(spark, config, "2026-02-01", say=lambda line: None)
    assert replayed["rows"] == {"in": 31, "out": 31, "quarantined": 0}
    assert replayed["cluster"]["silhouette"] == pytest.approx(trained["cluster"]["silhouette"])
    assert len(replayed["cluster"]["map"]) == 20
