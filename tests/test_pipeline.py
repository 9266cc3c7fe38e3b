"""The six rooms in a row, on small tables with a tiny language model."""

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest

from fusionspark import pipeline
from fusionspark.config import Config
from fusionspark.errors import ConfigError, DataContractError, ModelMismatchError, QuarantineLimitError
from fusionspark.tables import RunFolder, newest_run

DATE = "2026-01-31"
MOODS = {"good": "the red cat sat on a mat and ran fast", "bad": "the blue dog ran slow over a hill and sat"}


def reviews(spark, path: Path, rows: int = 60, extra: list | None = None) -> str:
    """Reviews whose mood shows in the text, beside a number and a category that say nothing."""
    made = []
    for i in range(rows):
        mood = "good" if i % 2 else "bad"
        words = MOODS[mood].split()
        text = " ".join(words[i % 3 :] + words[: i % 5])
        made.append((f"r{i:03}", text, float(i % 7), "xyz"[i % 3], dt.date(2026, 1, 1 + i % 28), mood))
    schema = "id string, text string, n double, k string, day date, mood string"
    spark.createDataFrame([*made, *(extra or [])], schema).write.mode("overwrite").parquet(str(path))
    return str(path)


#: Rules and anomalies of a run: switched off, and on.
NEITHER, BOTH = ({part: {"enabled": on} for part in ("rules", "anomalies")} for on in (False, True))


def settings(path: str, output: Path, model: Path, **changes) -> Config:
    data = {
        "output": str(output),
        "source": {"path": path},
        "columns": {
            "key": "id", "text": "text", "numeric": ["n"], "categorical": ["k"], "date": "day",
            "label": "mood",
        },
        "represent": {"model": str(model), "rows_per_task": 20},
        "mine": {
            "partitions": 2,
            "classify": {"algorithms": ["logistic_regression"], "max_iter": 10},
            "cluster": {"k": 2, "max_iter": 5},
            **NEITHER,
        },
        # What explanations, the receipt, rules and anomalies take would be most of a run over so few rows.
        "report": {"explain": {"rows": 0, "shuffled": 0}, "receipt": {"rows": 0}},
    }  # fmt: skip
    for key, value in changes.items():
        data[key] = {**data.get(key, {}), **value} if isinstance(value, dict) else value
    return Config.model_validate(data)


def table(spark, config: Config, name: str, kind: str = "runs") -> dict:
    rows = RunFolder(spark, f"{config.output}/{kind}", DATE).read(name).collect()
    return {row["row_id"]: row for row in rows}


@pytest.fixture(scope="module")
def finished(spark, tmp_path_factory, tiny_bert) -> tuple[Config, dict]:
    """Configuration and manifest of a whole run over 60 reviews, one without text and two bad rows."""
    folder = tmp_path_factory.mktemp("finished")
    extra = [
        ("empty", None, 1.0, "x", dt.date(2026, 1, 1), "good"),
        ("r059", "a second row with this key", 1.0, "x", dt.date(2026, 1, 1), "good"),
        ("inf", "the cat", float("inf"), "x", dt.date(2026, 1, 1), "good"),
    ]
    config = settings(
        reviews(spark, folder / "in", extra=extra),
        folder / "out",
        tiny_bert,
        mine=BOTH,
        report={"explain": {}, "receipt": {}},
    )
    return config, pipeline.run(spark, config, DATE, say=lambda line: None)


@pytest.mark.smoke
def test_a_whole_run_learns_what_the_text_says_and_accounts_for_every_row(spark, finished):
    config, manifest = finished
    run = Path(config.output, "runs", DATE)
    assert manifest == json.loads((run / "run.json").read_text())
    assert manifest["rows"] == {"in": 63, "out": 61, "quarantined": 2}
    assert [stage["name"] for stage in manifest["stages"]] == [
        "collect", "prepare", "represent", "fuse", "mine", "report",
    ]  # fmt: skip
    mine = manifest["stages"][4]
    assert 0 < mine["seconds_predict"] < mine["seconds"], "training is told apart from applying"
    represent = manifest["represent"]
    assert represent["texts"] == 60
    assert represent["distinct"] == represent["encoded"] < 60, "equal texts are encoded once"
    assert (represent["empty"], represent["reused"], represent["failed"]) == (1, 0, 0)
    assert manifest["best"] == "logistic_regression"
    assert manifest["classify"]["logistic_regression"]["test"]["accuracy"] == 1.0
    assert manifest["cluster"]["k"] == 2
    assert manifest["cluster"]["fit"] == {"engine": "executors", "why": ""}
    assert set(manifest["cluster"]["factors"]) == {"text", "tfidf", "table"}
    reasons = {found["reason"]: found["examples"] for found in manifest["quarantine"]["reasons"]}
    assert reasons == {"duplicate key": ["r059#2"], "not finite: n": ["inf"]}

    embeddings = table(spark, config, "embeddings")
    assert embeddings["empty"]["embedding"] is None
    assert embeddings["empty"]["status"] == "empty"
    assert {row["model_digest"] for row in embeddings.values()} == {represent["model_digest"]}
    for name in ("collected", "prepared", "embeddings", "features", "predictions", "clusters", "anomalies"):
        assert len(table(spark, config, name)) == 61, name
    assert "logistic_regression" in (run / "report.html").read_text()
    assert manifest["rules"]["rows"] == 61
    assert 0 < len(manifest["rules"]["top"]) <= manifest["rules"]["found"]
    assert all(rule["lift"] > 1 and rule["improvement"] > 0 for rule in manifest["rules"]["top"])
    assert manifest["anomalies"]["rows"] == 61
    assert sum(row["flagged"] for row in table(spark, config, "anomalies").values()) == len(
        manifest["anomalies"]["top"]
    )


def test_a_run_says_why(finished):
    _, manifest = finished
    why = manifest["explain"]
    assert why["players"] == ["embedding", "tfidf_block", "n", "k"] and why["stopped"] is None
    fall = {entry["player"]: entry["drop"] for entry in why["importance"]["players"]}
    assert fall["n"] == fall["k"] == 0.0, "the mood shows in the text alone"
    assert [row["rule"] for row in why["rows"]] == ["confident", "confident", "borderline"]
    for row in why["rows"]:
        said = row["players"]
        assert said["method"] == "linear"
        assert sum(part["value"] for part in said["parts"]) == pytest.approx(said["score"] - said["base"])
        words = row["words"]
        assert "".join(piece["text"] for piece in words["pieces"]) == row["text"]
        assert words["score"] == pytest.approx(row["score"], abs=1e-4), "as in the run"
        found = sum(piece["shap"] for piece in words["pieces"])
        assert found == pytest.approx(words["score"] - words["base"])
    assert why["faithfulness"]["rows"] == 3


@pytest.mark.slow
def test_a_named_row_is_explained_by_any_classifier_as_the_definition_has_it(spark, finished):
    from fusionspark.pipeline.explain.asking import Mixed, ask_mixed
    from fusionspark.pipeline.explain.by_players import _linear, _shapley, coalition_questions
    from fusionspark.pipeline.explain.predictor import Predictor
    from fusionspark.pipeline.explain.subject import Asked, held, subject
    from fusionspark.report.explain.coalitions import coalitions

    config, manifest = finished
    found = pipeline.explain_row(spark, config, "r001", samples=30)
    assert [row["row_id"] for row in found["rows"]] == ["r001"] and found["importance"] is None
    assert len(found["rows"][0]["words"]["pieces"]) == 10
    with pytest.raises(ConfigError, match="row 'gone': is not among the predictions"):
        pipeline.explain_row(spark, config, "gone")
    with pytest.raises(ConfigError, match="no published run of 2025-01-01"):
        pipeline.explain_row(spark, config, "r001", "2025-01-01")

    run = newest_run(spark, f"{config.output}/runs")
    predictor = Predictor(config, run, manifest["best"], "float32", manifest["fuse"])
    asked = Asked(run, predictor, config.report.explain, 1)
    about = subject(asked, "r001", [])
    rows = held(asked, about)
    # Of probabilities the margin of two labels is the logarithm of their odds: what the linear way explains.
    sets = coalitions(len(predictor.players), 99, 0)
    answers = ask_mixed(predictor, rows, coalition_questions(about, sets))
    odds = np.log(answers.scores) - np.log(answers.scores[:, ::-1])
    _shapley(asked, about, sets, odds)
    asked_about = about.chosen[0].pop("players")
    _linear(asked, about, predictor.margins)
    exact = about.chosen[0]["players"]
    assert asked_about["exact"] and asked_about["method"] == "kernel"
    for theirs, ours in zip(exact["parts"], asked_about["parts"], strict=True):
        assert ours["value"] == pytest.approx(theirs["value"], abs=1e-6), theirs["player"]
    assert asked_about["base"] == pytest.approx(exact["base"], abs=1e-6)
    same = ask_mixed(predictor, rows, [Mixed("r001", "r001", [False] * len(predictor.players))])
    assert same.predictions == [about.chosen[0]["prediction"]]


@pytest.mark.slow
def test_explanations_that_take_too_long_stop_and_say_so(spark, finished):
    config, _ = finished
    report = config.report
    hurried = report.model_copy(update={"explain": report.explain.model_copy(update={"seconds": 0.001})})
    found = pipeline.explain_row(spark, config.model_copy(update={"report": hurried}), "r001")
    assert found["stopped"] in ("time", "words")
    assert found["rows"][0]["row_id"] == "r001" and "words" not in found["rows"][0]


@pytest.mark.slow
def test_the_same_rows_in_another_layout_end_in_the_same_tables(spark, tmp_path, tiny_bert, finished):
    config, _ = finished
    shuffled = str(tmp_path / "shuffled")
    spark.read.parquet(config.source.path).orderBy("n").repartition(5).write.parquet(shuffled)
    again = settings(shuffled, tmp_path / "again", tiny_bert, mine=BOTH)
    pipeline.run(spark, again, DATE, say=lambda line: None)
    for name in ("prepared", "clusters", "predictions", "anomalies", "quarantine"):
        assert table(spark, again, name) == table(spark, config, name), name
    rules = [RunFolder(spark, f"{c.output}/runs", DATE).read("rules").collect() for c in (again, config)]
    assert rules[0] == rules[1] != []


@pytest.mark.slow
@pytest.mark.smoke
def test_score_applies_the_newest_run_to_rows_without_labels(spark, tmp_path, tiny_bert, finished):
    config, trained = finished
    new = tmp_path / "new"
    rows = spark.read.parquet(config.source.path).where("id LIKE 'r00%' AND text NOT LIKE 'a second%'")
    rows.drop("mood").write.parquet(str(new))
    with pytest.raises(ConfigError, match="holds no published run"):
        pipeline.score(spark, settings(str(new), tmp_path, tiny_bert), DATE, say=lambda line: None)
    scored = pipeline.score(
        spark, settings(str(new), Path(config.output), tiny_bert, mine=BOTH), DATE, say=lambda line: None
    )
    assert scored["models_of"] == DATE
    assert scored["best"] == trained["best"]
    assert scored["rows"] == {"in": 10, "out": 10, "quarantined": 0}
    before = table(spark, config, "predictions")
    for row_id, row in table(spark, config, "predictions", "scores").items():
        assert row["split"] == "score"
        assert row["prediction"] == before[row_id]["prediction"]
        assert row["scores"] == pytest.approx(before[row_id]["scores"], abs=1e-5)
    odd = table(spark, config, "anomalies")
    assert all(row == odd[i] for i, row in table(spark, config, "anomalies", "scores").items())
    assert scored["rules"]["of"] == DATE, "taken over like the models"


def test_another_model_at_score_time_is_refused(spark, tmp_path, finished):
    from tiny_bert import make_bert

    config, _ = finished
    other = settings(config.source.path, Path(config.output), make_bert(tmp_path / "other", seed=8))
    with pytest.raises(ModelMismatchError, match="saved classifiers were trained on"):
        pipeline.score(spark, other, DATE, say=lambda line: None)


@pytest.mark.slow
def test_a_stopped_run_goes_on_and_a_changed_one_starts_where_it_changed(spark, tmp_path, tiny_bert):
    config = settings(reviews(spark, tmp_path / "in"), tmp_path / "out", tiny_bert)
    said: list[str] = []
    assert pipeline.run(spark, config, DATE, last="represent", say=said.append) is None
    assert newest_run(spark, f"{config.output}/runs") is None, "not published half-way"
    said.clear()
    manifest = pipeline.run(spark, config, DATE, say=said.append)
    assert [line for line in said if "whole from an earlier start" in line][2].startswith("represent: whole")
    assert manifest["rows"]["out"] == 60

    fewer = settings(config.source.path, tmp_path / "out", tiny_bert, fuse={"weights": {"table": 0.0}})
    with pytest.raises(ConfigError, match=r"'fuse' of .* is made with another"):
        pipeline.run(spark, fewer, DATE, first="mine", say=said.append)
    assert newest_run(spark, f"{config.output}/runs") is not None, "a refused command costs nothing"
    manifest = pipeline.run(spark, fewer, DATE, first="fuse", say=said.append)
    assert set(manifest["features"]) == {"text", "tfidf"}

    gone = settings(str(tmp_path / "gone"), tmp_path / "out", tiny_bert)
    with pytest.raises(ConfigError, match="gone"):
        pipeline.run(spark, gone, DATE, say=said.append)
    assert newest_run(spark, f"{config.output}/runs").manifest() == manifest


@pytest.mark.slow
def test_a_torn_file_and_a_value_that_an_expression_fails_on_are_named(spark, tmp_path, tiny_bert):
    source = reviews(spark, tmp_path / "in")
    config = settings(source, tmp_path / "out", tiny_bert)
    if spark.conf.get("spark.sql.ansi.enabled") == "true":
        derive = {"path": source, "derive": {"size": "cast(text AS double)"}}
        failing = settings(source, tmp_path / "out", tiny_bert, source=derive)
        with pytest.raises(DataContractError, match=r"a row cannot be read .*try_cast"):
            pipeline.run(spark, failing, DATE, say=lambda line: None)
    part = next(Path(source).glob("*.parquet"))
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) // 2 - 8) + whole[-8:])
    with pytest.raises((DataContractError, ConfigError), match=f"source '{source}'"):
        pipeline.run(spark, config, DATE, say=lambda line: None)


@pytest.mark.slow
def test_compressed_vectors_must_pass_the_gate_and_are_never_mixed_with_others(spark, tmp_path, tiny_bert):
    source = reviews(spark, tmp_path / "in")

    def config(precision: str, overlap: float = 0.0) -> Config:
        represent = {
            "precision": precision,
            "cache_dir": str(tmp_path / "cache"),
            "quality": {"overlap_at_10": overlap},
        }
        return settings(source, tmp_path / "out", tiny_bert, represent=represent)

    with pytest.raises(ConfigError, match=r"'static': is too far from float32 on the sample: overlap@10"):
        pipeline.run(spark, config("static", overlap=1.0), DATE, say=lambda line: None)
    manifest = pipeline.run(spark, config("static"), DATE, say=lambda line: None)["represent"]
    assert manifest["precision"] == "static"
    assert manifest["quality"]["mean_cosine"] is None, "another space"
    assert 0 < manifest["quality"]["overlap_at_10"] <= 1
    with pytest.raises(ModelMismatchError, match="saved classifiers were trained on"):
        pipeline.score(spark, config("float32"), DATE, say=lambda line: None)
    scored = pipeline.score(spark, config("auto"), DATE, say=lambda line: None)["represent"]
    assert (scored["precision"], scored["model_digest"]) == ("static", manifest["model_digest"])


@pytest.mark.slow
def test_auto_precision_says_what_it_measured(spark, tmp_path, tiny_bert):
    represent = {"precision": "auto", "cache_dir": str(tmp_path / "cache")}
    config = settings(reviews(spark, tmp_path / "in"), tmp_path / "out", tiny_bert, represent=represent)
    pipeline.run(spark, config, DATE, last="represent", say=lambda line: None)
    found = RunFolder(spark, f"{config.output}/runs", DATE).stage_facts("represent")["represent"]
    trials = {trial["precision"]: trial for trial in found["trials"]}
    assert set(trials) == {"float32", "bfloat16", "float16", "int8", "static"}
    assert found["precision"] in trials
    assert not trials[found["precision"]]["refused"]
    assert trials["float32"]["texts_per_second"] > 0


def test_too_many_bad_rows_stop_the_run_before_it_is_published(spark, tmp_path, tiny_bert):
    bad = [(None, "no key", 1.0, "x", dt.date(2026, 1, 1), "good")] * 20
    source = reviews(spark, tmp_path / "in", extra=bad)
    with pytest.raises(QuarantineLimitError, match=r"20 of 80 rows \(25.0%\) are bad.*max_quarantined"):
        pipeline.run(spark, settings(source, tmp_path / "out", tiny_bert), DATE, say=lambda line: None)
    assert newest_run(spark, str(tmp_path / "out/runs")) is None
    quarantine = RunFolder(spark, str(tmp_path / "out/runs"), DATE).read("quarantine")
    assert quarantine.count() == 20, "the bad rows can be read"


@pytest.mark.slow
def test_empty_table_one_class_and_fewer_rows_than_clusters(spark, tmp_path, tiny_bert):
    def attempt(**changes):
        config = settings(source, tmp_path / "out", tiny_bert, **changes)
        return pipeline.run(spark, config, DATE, say=lambda line: None)

    source = reviews(spark, tmp_path / "in")
    with pytest.raises(DataContractError, match="has no rows"):
        attempt(source={"path": source, "where": "n > 100"})
    with pytest.raises(DataContractError, match=r"1 class\(es\): 'good'"):
        attempt(source={"path": source, "where": "mood = 'good'"})
    with pytest.raises(DataContractError, match=r"mine\.cluster\.k: 90 clusters of"):
        attempt(mine={"partitions": 1, "cluster": {"k": 90}, "classify": {"algorithms": []}})


@pytest.mark.slow
def test_without_text_or_without_label(spark, tmp_path, tiny_bert):
    source = reviews(spark, tmp_path / "in")
    columns = {"key": ["id"], "text": [], "numeric": ["n"], "categorical": ["k"], "label": "mood"}
    manifest = pipeline.run(
        spark, settings(source, tmp_path / "a", tiny_bert, columns=columns), DATE, say=lambda line: None
    )
    assert manifest["represent"] is None
    assert set(manifest["features"]) == {"table"}
    columns = {"key": ["id"], "text": ["text"], "numeric": [], "categorical": [], "label": None}
    manifest = pipeline.run(
        spark, settings(source, tmp_path / "b", tiny_bert, columns=columns), DATE, say=lambda line: None
    )
    assert manifest["classify"] == {}
    assert manifest["best"] is None
    assert manifest["cluster"]["k"] == 2


@pytest.mark.slow
def test_split_by_date_tests_on_the_latest_days(spark, tmp_path, tiny_bert):
    config = settings(reviews(spark, tmp_path / "in"), tmp_path / "out", tiny_bert, split={"by": "date"})
    pipeline.run(spark, config, DATE, last="prepare", say=lambda line: None)
    days = {"train": set(), "validation": set(), "test": set()}
    for row in table(spark, config, "prepared").values():
        days[row["split"]].add(row["day"])
    assert max(days["train"]) < min(days["validation"])
    assert max(days["validation"]) < min(days["test"])


@pytest.mark.parametrize("date", ["2026-1-31", "yesterday", "../2026-01-31", "20260131"])
def test_run_dates_are_dates(spark, tmp_path, tiny_bert, date):
    config = settings("nowhere", tmp_path, tiny_bert)
    with pytest.raises(ConfigError, match="YYYY-MM-DD"):
        pipeline.run(spark, config, date)


def test_stages_out_of_order_or_unknown(spark, tmp_path, tiny_bert):
    config = settings("nowhere", tmp_path, tiny_bert)
    with pytest.raises(ConfigError, match="comes after"):
        pipeline.run(spark, config, DATE, first="mine", last="fuse")
    with pytest.raises(ConfigError, match="'bake' is no stage"):
        pipeline.run(spark, config, DATE, last="bake")
