"""Old runs go, except those that are still of use."""

from __future__ import annotations

from pathlib import Path

import pytest

from fusionspark.pipeline.retention import expired, models_by_run, retire
from fusionspark.pipeline.run_lock import only_run
from fusionspark.tables import RunFolder, published_runs

ONE, TWO, THREE, FOUR = (f"2026-01-0{day}" for day in (1, 2, 3, 4))


@pytest.mark.parametrize(
    "models_of, keep, publishing, gone",
    [
        ({}, 1, ONE, []),
        ({ONE: ONE, TWO: TWO, THREE: THREE}, 0, FOUR, []),
        ({ONE: ONE, TWO: TWO, THREE: THREE}, 2, FOUR, [ONE, TWO]),
        ({ONE: ONE, TWO: TWO, THREE: THREE}, 9, FOUR, []),
        ({ONE: ONE, TWO: TWO, THREE: ONE}, 2, FOUR, [TWO]),
        ({ONE: ONE, TWO: TWO, THREE: THREE, FOUR: ONE}, 1, FOUR, [TWO, THREE]),
        ({TWO: TWO, THREE: THREE, FOUR: FOUR}, 2, ONE, [TWO]),
    ],
    ids=["first", "all", "newest two", "too few", "models in use", "its own models", "a late date"],
)  # fmt: skip
def test_what_is_beyond_the_newest_goes(models_of, keep, publishing, gone):
    assert expired(models_of, keep, publishing=publishing) == gone


def test_runs_are_deleted_whole_but_not_under_another_process(spark, tmp_path):
    for date, models in ((ONE, {}), (TWO, {"models": {"of": ONE}}), (THREE, {})):
        run = RunFolder(spark, str(tmp_path), date).new_attempt()
        run.mark_stage("collect", {})
        run.publish({"run_date": date, **models})
    home = RunFolder(spark, str(tmp_path), FOUR)
    uses = models_by_run(home, {"models": {"of": THREE}})
    assert uses == {ONE: ONE, TWO: ONE, THREE: THREE, FOUR: THREE}
    said: list[str] = []
    with only_run(RunFolder(spark, str(tmp_path), TWO), print):
        retire(home, [ONE, TWO], said.append)
    assert [run.run_date for run in published_runs(spark, str(tmp_path))] == [TWO, THREE]
    assert not Path(tmp_path, ONE).exists()
    assert [line.split(" (")[0] for line in said] == [
        f"retention: the run of {ONE} is deleted", f"retention: the run of {TWO} stays for now",
    ]  # fmt: skip
