"""Nights in a row on one store: what is reused, what a torn file costs, two at once, and which runs stay."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from fusionspark import pipeline
from fusionspark.config import Config
from fusionspark.pipeline.vector_space import engine_of, store_of
from fusionspark.represent.store.upkeep import verify
from fusionspark.tables import RunFolder, published_runs

pytestmark = pytest.mark.slow
DATES = [f"2026-01-0{day}" for day in (1, 2, 3, 4)]
WORDS = ["red", "blue", "cat", "dog", "hill", "mat", "fast", "slow", "sat", "ran"]


def texts(night: int) -> list[str]:
    """Forty texts; on night n the first 2 n of them are others than on night 0."""
    pairs = [f"{WORDS[i % 10]} {WORDS[i // 10]}" for i in range(40)]
    return [
        f"{pair} over a {WORDS[night]}" if i < 2 * night else f"{pair} on a mat"
        for i, pair in enumerate(pairs)
    ]


@pytest.fixture
def settings(spark, tmp_path, tiny_bert):
    for night, date in enumerate(DATES):
        rows = [(f"r{i:02}", text) for i, text in enumerate(texts(night))]
        spark.createDataFrame(rows, "id string, text string").write.parquet(str(tmp_path / "in" / date))

    def make(**changes) -> Config:
        data = {
            "output": str(tmp_path / "out"),
            "source": {"path": f"{tmp_path}/in/{{run_date}}", "snapshot": "exact"},
            "columns": {"key": "id", "text": "text"},
            "prepare": {"tfidf_features": 0},
            "represent": {"model": str(tiny_bert), "rows_per_task": 10},
            "mine": {
                "partitions": 1,
                "retrain": "never",
                "classify": {"algorithms": ["logistic_regression"], "max_iter": 5},
                "cluster": {"k": 2, "max_iter": 3},
                "rules": {"enabled": False},
                "anomalies": {"enabled": False},
            },
            "report": {"map_sample": 0, "explain": {"rows": 0, "shuffled": 0}, "receipt": {"rows": 0}},
        }
        return Config.model_validate({**data, **changes})

    return make


def run(spark, config: Config, date: str) -> dict:
    manifest = pipeline.run(spark, config, date, say=lambda line: None)
    assert manifest is not None
    return manifest


def vectors(spark, config: Config, date: str) -> dict[str, tuple]:
    rows = RunFolder(spark, f"{config.output}/runs", date).read("embeddings").collect()
    return {row["row_id"]: tuple(row["embedding"]) for row in rows}


def test_a_night_encodes_what_is_new_a_torn_file_costs_its_texts_and_kept_models_stay(
    spark, tmp_path, settings
):
    config = settings(retain_runs=1)
    counted = []
    for night, date in enumerate(DATES[:3]):
        known = {text for before in range(night) for text in texts(before)}
        found = run(spark, config, date)["represent"]
        new = len(set(texts(night)) - known)
        assert (found["encoded"], found["reused"]) == (new, len(set(texts(night))) - new)
        counted.append(new)
    assert counted[0] == 40
    assert 0 < counted[1] < 5
    # The first night stays for its models, the second goes, though nothing newer is beyond retain_runs.
    runs = {folder.run_date: folder.manifest() for folder in published_runs(spark, f"{config.output}/runs")}
    assert list(runs) == [DATES[0], DATES[2]]
    assert runs[DATES[2]]["models"]["of"] == DATES[0]
    assert runs[DATES[2]]["retention"]["expired"] == [DATES[1]]

    before = vectors(spark, config, DATES[2])
    first = min((tmp_path / "out/store").rglob("part-*.parquet"), key=str)
    whole = first.read_bytes()
    first.write_bytes(whole[: len(whole) // 2])
    Path(first.parent, f".{first.name}.crc").unlink(missing_ok=True)
    again = run(spark, config, DATES[2])
    assert again["rows"] == {"in": 40, "out": 40, "quarantined": 0}
    assert len(again["store"]["torn"]) == 1
    assert 0 < again["represent"]["encoded"] < 40
    after = vectors(spark, config, DATES[2])
    assert after.keys() == before.keys()
    assert all(after[row] == pytest.approx(before[row], abs=1e-5) for row in before)
    assert run(spark, config, DATES[2])["represent"]["encoded"] == 0, "the store is whole again"


def test_two_nights_at_once_on_one_store_lose_nothing(spark, tmp_path, settings):
    shared = {"path": str(tmp_path / "shared")}
    configs = [settings(output=str(tmp_path / f"out{i}"), store=shared) for i in range(2)]
    found: dict[int, dict] = {}

    def night(i: int) -> None:
        found[i] = run(spark, configs[i], DATES[i])

    threads = [threading.Thread(target=night, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[i]["rows"]["out"] for i in range(2)] == [40, 40]
    store = store_of(spark, configs[0], engine_of(configs[0]))
    store.open()
    checked = verify(store)
    assert checked.keys == len({*texts(0), *texts(1)})
    # Texts that both encoded are there twice, and may differ in the last digits: the oldest counts.
    assert [line for line in checked.broken if "runs take the oldest" not in line] == []
    for i in range(2):
        alone = settings(output=str(tmp_path / f"alone{i}"))
        run(spark, alone, DATES[i])
        expected, together = vectors(spark, alone, DATES[i]), vectors(spark, configs[i], DATES[i])
        assert together.keys() == expected.keys()
        assert all(together[row] == pytest.approx(expected[row], abs=1e-5) for row in expected)
        assert run(spark, configs[i], DATES[i])["represent"]["encoded"] == 0
