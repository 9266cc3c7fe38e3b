"""Rows scored as they arrive: each once, as `score` would, with the newest models; bad ones kept apart."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fusionspark import pipeline
from fusionspark.config import Config
from fusionspark.errors import ConfigError
from fusionspark.stream.streaming import stream
from fusionspark.tables import RunFolder

DATE, LATER = "2026-01-31", "2026-02-01"
TEXTS = {"good": "the red cat sat on a mat", "bad": "the blue dog ran over a hill"}
SCHEMA = "id string, text string, n double, k string, mood string"

pytestmark = pytest.mark.slow


def made(count: int, start: int = 0) -> list[tuple]:
    moods = ["good" if i % 2 else "bad" for i in range(start, start + count)]
    return [(f"r{i:03}", TEXTS[mood], float(i % 7), "xyz"[i % 3], mood)
            for i, mood in enumerate(moods, start)]  # fmt: skip


def land(spark, rows: list[tuple], folder: Path, name: str) -> None:
    """One whole Parquet file, as a feed that renames would leave it."""
    folder.mkdir(exist_ok=True)
    scratch = folder.parent / f"{name}.writing"
    spark.createDataFrame(rows, SCHEMA).coalesce(1).write.parquet(str(scratch))
    next(scratch.glob("*.parquet")).rename(folder / f"{name}.parquet")


@pytest.fixture(scope="module")
def trained(spark, tmp_path_factory, tiny_bert) -> dict:
    """Settings of a published run."""
    folder = tmp_path_factory.mktemp("stream")
    land(spark, made(40), folder / "in", "all")
    data = {
        "title": "Moods",
        "output": str(folder / "out"),
        "source": {"path": str(folder / "in"), "derive": {"n": "n + 1", "twice": "n * 2"}},
        "columns": {
            "key": "id", "text": "text", "numeric": ["n", "twice"], "categorical": "k", "label": "mood",
        },
        "represent": {"model": str(tiny_bert)},
        "mine": {
            "classify": {"algorithms": ["logistic_regression"], "max_iter": 5},
            "cluster": {"k": 2, "max_iter": 3},
            "rules": {"enabled": False},
            "anomalies": {"enabled": False},
        },
        "report": {"map_sample": 0, "explain": {"rows": 0, "shuffled": 0}, "receipt": {"rows": 0}},
    }  # fmt: skip
    pipeline.run(spark, Config.model_validate(data), DATE, say=lambda line: None)
    return data


def settings(trained: dict, folder: Path, **changes) -> Config:
    """The same models, of a copy of the run, with rows that arrive in a folder of their own."""
    if not (folder / "out").exists():
        shutil.copytree(Path(trained["output"]) / "runs", folder / "out" / "runs")
    arrivals = {"path": str(folder / "arrivals"), "trigger_seconds": 0.0, **changes}
    return Config.model_validate({**trained, "output": str(folder / "out"), "stream": arrivals})


def batches(folder: Path) -> list[dict]:
    places = sorted((folder / "out/stream/batches").iterdir())
    return [json.loads((place / "batch.json").read_text()) for place in places]


def rows_of(folder: Path, table: str) -> list[dict]:
    places = (folder / "out/stream/batches").glob(f"*/{table}")
    return [row for place in places for row in pq.read_table(place).to_pylist()]


def run_once(spark, config: Config, **options) -> tuple[dict, list[str]]:
    said: list[str] = []
    return stream(spark, config, once=True, say=said.append, **options), said


@pytest.mark.smoke
def test_rows_are_scored_as_score_does_and_once(spark, tmp_path, trained):
    config = settings(trained, tmp_path, options={"maxFilesPerTrigger": 1})
    bad = [("r001", "a second row with this key", 1.0, "x", "good"), ("inf", "x", float("inf"), "x", "bad")]
    land(spark, made(10), tmp_path / "arrivals", "a")
    land(spark, [*made(5, 10), *bad, bad[0]], tmp_path / "arrivals", "b")
    events: list[dict] = []
    done, _ = run_once(spark, config, note=events.append)
    assert done["rows"] == {"in": 18, "out": 16, "quarantined": 2}
    assert [batch["rows"]["in"] for batch in batches(tmp_path)] == [10, 8]
    assert all(batch["models_of"] == DATE for batch in batches(tmp_path))
    told = [event for event in events if event["event"] == "batch"]
    assert [event["total"]["out"] for event in told] == [10, 16]
    assert 0 < told[1]["lag"] < told[1]["latency"]["p99"] < 600

    assert done["latency"]["p50"] <= done["latency"]["p99"]
    assert run_once(spark, config)[0]["batches"] == 0, "nothing new has arrived"
    land(spark, made(3, 20), tmp_path / "arrivals", "c")
    assert run_once(spark, config)[0]["rows"] == {"in": 3, "out": 3, "quarantined": 0}

    # One batch of `score` sees the two rows of one key, which two batches of a stream do not.
    scored = settings(trained, tmp_path).model_dump()
    scored["source"]["path"], scored["score"] = config.stream.path, {"passes": "one"}
    scored["max_quarantined"] = 0.5
    pipeline.score(spark, Config.model_validate(scored), LATER, say=lambda line: None)
    table = RunFolder(spark, f"{config.output}/scores", LATER).read("predictions").collect()
    expected = {row["row_id"]: row for row in table}
    found = {row["row_id"]: row for row in rows_of(tmp_path, "predictions") if row["row_id"] != "r001"}
    assert found.keys() == expected.keys() - {"r001"}
    for row_id, row in found.items():
        assert dict(row["scores"]) == pytest.approx(expected[row_id]["scores"], abs=1e-5)
        assert row["prediction"] == expected[row_id]["prediction"]
    assert sorted(row["row_id"] for row in rows_of(tmp_path, "quarantine")) == ["inf", "r001#2"]


def publish_copy(output: Path) -> None:
    """A run of a later date whose models call the labels by other names."""
    newer = output / "runs" / LATER
    shutil.copytree(output / "runs" / DATE, newer)
    manifest = json.loads((newer / "run.json").read_text())
    place = newer / manifest["tables"]
    facts = json.loads((place / "_stages/prepare.json").read_text())
    facts["models"]["of"] = LATER
    # Hadoop holds a file against the checksum beside it.
    for path, content in (
        (place / "_stages/prepare.json", facts),
        (newer / "run.json", {**manifest, "run_date": LATER}),
    ):
        path.with_name(f".{path.name}.crc").unlink(missing_ok=True)
        path.write_text(json.dumps(content))
    classifier = place / "models/classify/logistic_regression/classifier.json"
    classifier.with_name(".classifier.json.crc").unlink(missing_ok=True)
    classifier.write_text(classifier.read_text().replace('"bad"', '"BAD"').replace('"good"', '"GOOD"'))


def test_a_run_published_meanwhile_is_used_from_the_next_batch_on(spark, tmp_path, trained):
    config = settings(trained, tmp_path, options={"maxFilesPerTrigger": 1})
    for i, name in enumerate("abc"):
        land(spark, made(4, 4 * i), tmp_path / "arrivals", name)
    events: list[dict] = []

    def note(event: dict) -> None:
        events.append(event)
        if event["event"] == "batch" and event["batch"] == 0:
            publish_copy(tmp_path / "out")

    done, said = run_once(spark, config, note=note)
    assert done["models_of"] == LATER
    assert [batch["models_of"] for batch in batches(tmp_path)] == [DATE, LATER, LATER]
    assert [event["of"] for event in events if event["event"] == "models"] == [DATE, LATER]
    labels = {row["row_id"]: row["prediction"] for row in rows_of(tmp_path, "predictions")}
    assert [labels[f"r{i:03}"] for i in (1, 5, 9)] == ["good", "GOOD", "GOOD"]
    assert f"stream: models of {LATER}" in said


def test_a_newer_run_that_cannot_be_used_changes_nothing(spark, tmp_path, trained):
    config = settings(trained, tmp_path)
    publish_copy(tmp_path / "out")
    newer = tmp_path / "out/runs" / LATER / "run.json"
    manifest = json.loads(newer.read_text())
    manifest["config"]["columns"]["numeric"] = ["n"]
    newer.write_text(json.dumps(manifest))
    land(spark, made(4), tmp_path / "arrivals", "a")
    with pytest.raises(ConfigError, match=r"trained with other values of columns\.numeric"):
        run_once(spark, config)

    newer.rename(tmp_path / "later.json")
    events: list[dict] = []

    def note(event: dict) -> None:
        events.append(event)
        if event.get("of") == DATE:
            (tmp_path / "later.json").rename(newer)

    done, _ = run_once(spark, config, note=note)
    assert (done["models_of"], done["rows"]["out"]) == (DATE, 4)
    assert [event["refused"] for event in events if "refused" in event] == [LATER]


def test_lines_that_cannot_be_parsed_and_rows_that_cannot_be_used(spark, tmp_path, trained):
    config = settings(trained, tmp_path, format="json")
    lines = [
        *[json.dumps(dict(zip(("id", "text", "n", "k"), row[:4], strict=True))) for row in made(5)],
        '{"id": "torn", "text": "the red',
        '{"id": "torn", "text": "the red',
        '{"id": "words", "n": "many"}',
        '{"id": null, "text": "no key"}',
        '{"id": "bare"}',
        '{"id": "r001", "text": "again"}',
    ]
    (tmp_path / "arrivals").mkdir()
    (tmp_path / "arrivals/a.json").write_text("\n".join(lines) + "\n")
    done, _ = run_once(spark, config)
    assert done["rows"] == {"in": 11, "out": 6, "quarantined": 5}
    bad = rows_of(tmp_path, "quarantine")
    assert len({row["row_id"] for row in bad}) == 5, "each can be told from the others"
    reasons = sorted(row["reason"] for row in bad)
    assert reasons == [
        *["cannot be parsed with the schema of the models' source"] * 3,
        "duplicate key",
        "null key",
    ]
    assert {row["input"] for row in bad} >= set(lines[5:8])
    assert "bare" in {row["row_id"] for row in rows_of(tmp_path, "predictions")}


def test_a_batch_that_is_whole_is_not_written_again(spark, tmp_path, trained):
    config = settings(trained, tmp_path)
    land(spark, made(4), tmp_path / "arrivals", "a")
    run_once(spark, config)
    before = batches(tmp_path)
    # Published, and killed before Spark could note that the batch is done.
    for mark in (tmp_path / "out/stream/checkpoint/commits").glob("*0*"):
        mark.unlink()
    (tmp_path / "out/stream/staging/0000000001-left").mkdir(parents=True)
    land(spark, made(4, 4), tmp_path / "arrivals", "b")
    done, said = run_once(spark, config)
    assert "batch 0: whole from an earlier start" in said
    assert done["batches"] == 1
    assert batches(tmp_path)[0] == before[0]
    assert list((tmp_path / "out/stream/staging").iterdir()) == []
    assert len(rows_of(tmp_path, "predictions")) == 8

    shutil.rmtree(tmp_path / "out/stream/checkpoint")
    with pytest.raises(ConfigError, match=r"checkpoint .* is gone"):
        run_once(spark, config)


def test_a_file_that_was_noted_before_its_batch_was_is_read_once_with_the_next(spark, tmp_path, trained):
    config = settings(trained, tmp_path, options={"maxFilesPerTrigger": 1})
    for i, name in enumerate("ab"):
        land(spark, made(4, 4 * i), tmp_path / "arrivals", name)
    run_once(spark, config)
    # Spark's file source notes a file, then the batch it is for: killed between the two.
    for log in ("commits", "offsets"):
        for mark in (tmp_path / "out/stream/checkpoint" / log).glob("*1*"):
            mark.unlink()
    shutil.rmtree(tmp_path / "out/stream/batches/0000000001")
    land(spark, made(4, 8), tmp_path / "arrivals", "c")
    run_once(spark, config)
    assert [batch["rows"]["in"] for batch in batches(tmp_path)] == [4, 8]
    assert sorted(row["row_id"] for row in rows_of(tmp_path, "predictions")) == [row[0] for row in made(12)]


def test_what_cannot_be_streamed_is_said_before_anything_starts(spark, tmp_path, trained):
    config = settings(trained, tmp_path)
    with pytest.raises(ConfigError, match="cannot be opened as parquet"):
        run_once(spark, config)
    with pytest.raises(ConfigError, match=r"'jdbc' cannot be streamed.*kafka"):
        run_once(spark, settings(trained, tmp_path, format="jdbc"))
    with pytest.raises(ConfigError, match=r"stream\.path"):
        run_once(spark, settings(trained, tmp_path, path=None))
    shutil.rmtree(tmp_path / "out/runs")
    with pytest.raises(ConfigError, match="holds no published run"):
        run_once(spark, config)
