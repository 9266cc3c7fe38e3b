"""Scoring in one pass ends in the predictions and the quarantine of the staged way."""

import datetime as dt
import json
from pathlib import Path

import pytest
from test_pipeline import DATE, reviews, settings, table
from tiny_bert import make_bert, make_bert_failing_on

from fusionspark import pipeline
from fusionspark.config import Config
from fusionspark.errors import ModelMismatchError, QuarantineLimitError
from fusionspark.tables import RunFolder

pytestmark = pytest.mark.slow
BAD = [
    ("empty", None, 1.0, "x", dt.date(2026, 1, 1), "good"),
    ("r059", "a second row with this key", 1.0, "x", dt.date(2026, 1, 1), "good"),
    ("inf", "the cat", float("inf"), "x", dt.date(2026, 1, 1), "good"),
    ("new", "a red dog", None, "of no known kind", dt.date(2026, 1, 1), "good"),
]


#: The page is not what these tests are about.
QUICK = {"map_sample": 0, "explain": {"rows": 0, "shuffled": 0}, "receipt": {"rows": 0}}


def one_algorithm(trained: Config) -> dict:
    mine = trained.mine.model_dump()
    return {**mine, "classify": {**mine["classify"], "algorithms": ["logistic_regression"]}}


def quiet(line):
    del line


def changed(config: Config, **sections) -> Config:
    data = config.model_dump()
    for name, value in sections.items():
        data[name] = {**data[name], **value} if isinstance(value, dict) else value
    return Config.model_validate(data)


@pytest.fixture(scope="module")
def trained(spark, tmp_path_factory, tiny_bert) -> Config:
    folder = tmp_path_factory.mktemp("one_pass")
    config = settings(
        reviews(spark, folder / "in", extra=BAD),
        folder / "out",
        tiny_bert,
        mine={
            "partitions": 2,
            "classify": {
                "algorithms": ["logistic_regression", "linear_svc", "multilayer_perceptron"],
                "max_iter": 5,
                "hidden_layers": [4],
            },
            "cluster": {"k": 2, "max_iter": 3},
            "rules": {"enabled": False},
            "anomalies": {"enabled": False},
        },
        # Some rows have a second text, before the first one.
        source={
            "path": str(folder / "in"),
            "derive": {"title": "if(n > 3, substring_index(text, ' ', 2), null)"},
        },
        columns={"text": ["title", "text"]},
        prepare={"tfidf_ngrams": 2, "table": {"rare": "target", "folds": 2}},
        report=QUICK,
    )
    pipeline.run(spark, config, DATE, say=quiet)
    return config


def both(spark, config: Config) -> tuple[dict, dict, list]:
    """Predictions of the staged way and of one pass, by row and algorithm, and their two manifests."""
    found, manifests = [], []
    for passes in ("staged", "one"):
        own = changed(config, score={"passes": passes})
        manifests.append(pipeline.score(spark, own, DATE, say=quiet))
        rows = RunFolder(spark, f"{config.output}/scores", DATE).read("predictions").collect()
        found.append({(row["row_id"], row["algorithm"]): row.asDict(recursive=True) for row in rows})
        assert len(rows) == len(found[-1]), "one answer of each algorithm a row"
        quarantine = table(spark, config, "quarantine", "scores")
        manifests[-1]["bad"] = {row_id: (row["reason"], row["input"]) for row_id, row in quarantine.items()}
    return found[0], found[1], manifests


def same(staged: dict, one: dict) -> None:
    assert staged.keys() == one.keys()
    for key, row in staged.items():
        scores = {**row, **one[key]}["scores"]
        assert scores == pytest.approx(row["scores"], abs=1e-5), key
        assert {**one[key], "scores": None} == {**row, "scores": None}


@pytest.mark.smoke
def test_three_algorithms_say_what_the_staged_way_says(spark, trained):
    staged, one, (before, after) = both(spark, trained)
    same(staged, one)
    assert len(one) == 3 * 62
    assert after["passes"] == {"asked": "one", "used": "one"}
    assert after["rows"] == before["rows"] == {"in": 64, "out": 62, "quarantined": 2}
    assert after["bad"] == before["bad"] and len(after["bad"]) == 2
    for name in ("texts", "empty", "truncated", "failed", "model_digest", "precision"):
        assert after["represent"][name] == before["represent"][name], name
    assert (after["best"], after["models_of"], after["labels"]) == (before["best"], DATE, ["bad", "good"])
    run = Path(trained.output, "scores", DATE)
    assert json.loads((run / "run.json").read_text())["rows"] == after["rows"]
    written = {
        path.name for path in (run / after["tables"]).iterdir() if not path.name.startswith((".", "_"))
    }
    assert written == {"predictions", "quarantine"}, "no vector was written"


@pytest.mark.parametrize(
    "fuse",
    [
        {"method": "stack", "folds": 2, "fold_by": "group", "group": "k", "reduction": "random_projection",
         "dimensions": 4},
        {"method": "gated", "gated": {"tasks": 1, "max_epochs": 2, "encoder_units": 4, "hidden_units": 4}},
    ],
    ids=["stack", "gated"],
)  # fmt: skip
def test_learnt_fusion_methods_say_what_the_staged_way_says(spark, trained, fuse):
    fused = {**trained.fuse.model_dump(), **fuse}
    config = changed(trained, fuse=fused, mine=one_algorithm(trained))
    pipeline.run(spark, config, DATE, first="fuse", say=quiet)
    staged, one, (_, after) = both(spark, config)
    same(staged, one)
    assert after["passes"]["used"] == "one"
    assert ("gated" in {algorithm for _, algorithm in one}) == (fuse["method"] == "gated")


def test_rows_that_the_model_fails_on_go_to_quarantine(spark, tmp_path, trained):
    model = make_bert_failing_on("q", tmp_path / "model")
    extra = [(f"q{i}", f"the q {i} cat", 1.0, "x", dt.date(2026, 1, 1), "good") for i in range(3)]
    source = reviews(spark, tmp_path / "in", extra=extra)
    config = settings(source, tmp_path / "out", model, mine=one_algorithm(trained), report=QUICK)
    pipeline.run(spark, config, DATE, say=quiet)
    staged, one, (before, after) = both(spark, config)
    same(staged, one)
    assert after["rows"] == before["rows"] == {"in": 63, "out": 60, "quarantined": 3}
    assert after["bad"] == before["bad"]
    assert after["bad"]["q1"] == ("the model failed on this text", '{"clean_text":"the q 1 cat"}')
    strict = changed(config, score={"passes": "one"}, max_quarantined=0.0)
    with pytest.raises(QuarantineLimitError):
        pipeline.score(spark, strict, "2026-02-01", say=quiet)
    assert not RunFolder(spark, f"{config.output}/scores", "2026-02-01").is_published()


def test_what_cannot_be_done_in_one_pass_is_done_in_stages_and_says_why(spark, trained, monkeypatch):
    monkeypatch.setattr("fusionspark.pipeline.one_pass.models.scorer_of", lambda _: None)
    config, said = changed(trained, score={"passes": "one"}), []
    manifest = pipeline.score(spark, config, DATE, say=said.append)
    assert manifest["passes"]["used"] == "staged"
    assert "neither linear nor a multilayer perceptron" in manifest["passes"]["why"]
    assert said[0].startswith("score.passes is one, and the staged way is taken")
    assert "clusters" in manifest["cluster"]


def test_another_language_model_is_refused(spark, tmp_path, trained):
    other = changed(
        trained,
        represent={"model": str(make_bert(tmp_path / "other", seed=8))},
        score={"passes": "one"},
    )
    with pytest.raises(ModelMismatchError, match="saved classifiers were trained on"):
        pipeline.score(spark, other, DATE, say=quiet)
