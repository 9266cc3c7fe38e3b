"""Nights that keep the models of an earlier one, and nights that train."""

from __future__ import annotations

import pytest
from test_pipeline import BOTH, reviews, settings

from fusionspark import pipeline
from fusionspark.config import Config
from fusionspark.errors import ConfigError
from fusionspark.tables import RunFolder

pytestmark = pytest.mark.slow

NIGHTS = [f"2026-03-0{n}" for n in range(1, 7)]


def night(spark, config: Config, date: str, **stages):
    return pipeline.run(spark, config, date, say=lambda line: None, **stages)


def splits(spark, config: Config, date: str) -> dict[str, str]:
    table = RunFolder(spark, f"{config.output}/runs", date).read("prepared")
    return {row["row_id"]: row["split"] for row in table.collect()}


@pytest.fixture(scope="module")
def nights(spark, tmp_path_factory, tiny_bert):
    """Three published nights: one that trains first, one that keeps, one that trains under on_drift."""
    folder = tmp_path_factory.mktemp("nights")
    few, more = (reviews(spark, folder / f"in{rows}", rows=rows) for rows in (60, 80))

    def config(path: str = more, **mine) -> Config:
        mine = {
            "partitions": 2,
            "classify": {"algorithms": ["logistic_regression"]},
            "cluster": {"k": 2},
            **BOTH,
            **mine,
        }
        return settings(path, folder / "out", tiny_bert, mine=mine, report={"map_sample": 0})

    manifests = [
        night(spark, config(few, retrain="never"), NIGHTS[0]),
        night(spark, config(retrain="never"), NIGHTS[1]),
        night(spark, config(retrain="on_drift"), NIGHTS[2]),
    ]
    return config, manifests


def chosen(spark, config: Config, date: str) -> dict:
    """What a night decides; it goes no further than prepare and is not published."""
    folder = RunFolder(spark, f"{config.output}/runs", date)
    folder.forget_stage("prepare")
    night(spark, config, date, last="prepare")
    return folder.stage_facts("prepare")["models"]


def test_a_first_run_trains_and_the_next_one_keeps(spark, nights):
    config, (first, second, third) = nights
    assert first["models"] == {
        "of": NIGHTS[0], "age_days": 0, "retrained": True,
        "why": "no earlier run is published, and a first run always trains",
    }  # fmt: skip
    kept = second["models"]
    assert (kept["of"], kept["age_days"], kept["retrained"]) == (NIGHTS[0], 1, False)
    assert kept["why"] == "the models of 2026-03-01 are 1 day old, and mine.retrain is never"
    run = RunFolder(spark, f"{config().output}/runs", NIGHTS[1])
    assert not run.files.exists(run.model_path("")), "referenced, not copied"
    assert kept["then"]["rows"] == first["classify"]["logistic_regression"]["test"]["rows"]
    assert kept["now"]["accuracy"] == second["classify"]["logistic_regression"]["test"]["accuracy"]
    assert kept["dropped"] is False
    assert second["best"] == first["best"]
    before, after = (splits(spark, config(), date) for date in NIGHTS[:2])
    assert len(after) == 80
    assert {row: after[row] for row in before} == before, "no row changes its part"
    assert set(after.values()) == {"train", "validation", "test"}
    assert third["models"]["retrained"]
    assert third["models"]["why"].endswith("came without the figures that drift is measured against")


def test_clusters_made_anew_keep_ids_and_names_of_the_night_before(spark, nights):
    config, (first, second, third) = nights
    assert first["cluster"]["since"] is second["cluster"]["since"] is None
    since = third["cluster"]["since"]
    assert (since["run_date"], since["by"], since["shared"]) == (NIGHTS[1], "rows", 80)
    assert since["kept"]
    assert sorted(since["kept"] + since["born"]) == sorted(third["cluster"]["ids"])
    names, before = (
        {one["id"]: one["name"] for one in run["cluster"]["clusters"]} for run in (third, second)
    )
    assert all(names[one] == before[one] for one in since["kept"])
    then, now = (
        {
            row["row_id"]: row["cluster"]
            for row in RunFolder(spark, f"{config().output}/runs", date).read("clusters").collect()
        }
        for date in NIGHTS[1:3]
    )
    assert since["moved"] == sum(then[row] != cluster for row, cluster in now.items())


def test_each_policy_at_its_word(spark, nights):
    config, _ = nights
    assert chosen(spark, config(retrain="never", drift_psi=0.5), NIGHTS[3])["of"] == NIGHTS[2]
    old = chosen(spark, config(retrain={"every": 1}), NIGHTS[3])
    assert old["retrained"]
    assert old["why"] == "the models of 2026-03-03 are 1 day old, and mine.retrain.every is 1"
    assert not chosen(spark, config(retrain={"every": 2}), NIGHTS[3])["retrained"]
    assert chosen(spark, config(), NIGHTS[3])["why"] == "mine.retrain is always"
    other = chosen(spark, config(retrain="never", cluster={"k": 3}), NIGHTS[3])
    assert other["why"].startswith("no earlier run, 2026-03-03 the newest, has models of this configuration")
    earliest = chosen(spark, config(retrain="never"), "2026-02-01")
    assert earliest["retrained"], "a back-filled night knows nothing of later ones"


def test_drift_is_measured_and_named(spark, nights, tmp_path):
    config, _ = nights
    still = chosen(spark, config(retrain="on_drift"), NIGHTS[3])
    assert still["of"] == NIGHTS[2]
    assert still["drift"]["psi"] == {"n": 0.0, "k": 0.0, "label": 0.0}
    moved = tmp_path / "moved"
    spark.read.parquet(config().source.path).selectExpr(
        "id", "text", "n + 5 AS n", "'x' AS k", "day", "mood"
    ).write.parquet(str(moved))
    found = chosen(spark, config(str(moved), retrain="on_drift"), NIGHTS[3])
    assert found["retrained"]
    assert set(found["drift"]["beyond"]) == {"n", "k"}
    assert "has moved: stability index" in found["why"]
    assert found["drift"]["psi"]["label"] == 0.0

    published = RunFolder(spark, f"{config().output}/runs", NIGHTS[2])
    manifest = published.manifest()
    figures = {"then": {"macro_f1": 0.8}, "now": {"macro_f1": 0.6}, "metric": "macro_f1", "margin": 0.1}
    published.publish({**manifest, "models": {**figures, "dropped": True}})
    try:
        fell = chosen(spark, config(retrain="on_drift"), NIGHTS[3])
    finally:
        published.publish(manifest)
    assert fell["retrained"]
    assert fell["why"].startswith("macro_f1 on test rows fell from 0.800 to 0.600 by 2026-03-03")


def test_a_stopped_run_goes_on_with_the_models_it_began_with(spark, nights):
    config, _ = nights
    kept = config(retrain="never")
    assert chosen(spark, kept, NIGHTS[4])["of"] == NIGHTS[2]
    with pytest.raises(ConfigError, match=r"'prepare' of .* is made with another configuration"):
        night(spark, config(retrain="never", cluster={"k": 3}), NIGHTS[4], first="represent")
    manifest = night(spark, kept, NIGHTS[4], first="represent")
    assert manifest["models"]["of"] == NIGHTS[2]
    scored = pipeline.score(spark, kept, NIGHTS[5], say=lambda line: None)
    assert scored["models_of"] == scored["models"]["of"] == NIGHTS[2], "not the newest run, which has none"
