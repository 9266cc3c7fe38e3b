"""Jobs call the command's own functions, with nothing added but the stage."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from fusionspark import columns

JOBS = Path(__file__).resolve().parents[1] / "jobs"


def arguments_given_by(job: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run a job as a script with the command line's ``main`` replaced; return what it was called with."""
    from fusionspark import cli

    called: list[list[str]] = []
    monkeypatch.setattr(cli, "main", called.append)
    monkeypatch.setattr(sys, "argv", [job, "conf/demo.yaml", "--set", "output=o"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(JOBS / f"{job}.py"), run_name="__main__")
    assert not ended.value.code
    return called[0]


def test_there_is_one_job_a_stage_and_one_for_the_whole() -> None:
    assert {path.stem for path in JOBS.glob("*.py")} == {
        "run",
        "replay",
        "rules",
        "score",
        "stream",
        "tune",
        *columns.STAGES,
    }


@pytest.mark.parametrize("job", ["run", "replay", "rules", "score", "stream", "tune"])
def test_a_command_as_a_job(job: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert arguments_given_by(job, monkeypatch) == [job, "conf/demo.yaml", "--set", "output=o"]


@pytest.mark.parametrize("stage", columns.STAGES)
def test_a_stage_as_a_job(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = ["run", "conf/demo.yaml", "--set", "output=o", "--from", stage, "--to", stage]
    assert arguments_given_by(stage, monkeypatch) == expected


def test_the_exit_code_of_a_job_is_the_commands(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(JOBS / "run.py"), str(tmp_path / "missing.yaml")],
        capture_output=True, text=True, check=False, timeout=120, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == 2
    assert "missing.yaml" in done.stderr
    assert "Traceback" not in done.stderr
