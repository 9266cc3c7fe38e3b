"""The standalone cluster of one machine, and what the scripts say about a machine that cannot run them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def call(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "scripts" / script), *arguments],
        capture_output=True, text=True, check=False, timeout=200, env={**os.environ, **environment},
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "cluster"
    call("cluster.sh", "down", CLUSTER_DIR=str(tmp_path / "cluster"))


@pytest.mark.slow
def test_up_status_and_down_can_be_repeated(folder: Path) -> None:
    settings = {"CLUSTER_DIR": str(folder), "VENV": sys.prefix, "CLUSTER_MEMORY": "1g"}
    assert call("cluster.sh", "down", **settings).returncode == 0
    assert call("cluster.sh", "status", **settings).returncode == 1

    first = call("cluster.sh", "up", **settings)
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("spark://127.0.0.1:")
    pids = [int(path.read_text()) for path in folder.glob("*.pid")]
    assert len(pids) == 3
    assert call("cluster.sh", "up", **settings).stdout == first.stdout
    assert f"{first.stdout.strip()}: 2 workers" in call("cluster.sh", "status", **settings).stdout

    assert call("cluster.sh", "down", **settings).returncode == 0
    # Ended, or waiting to be reaped by whoever is the parent of orphans here.
    states = [
        Path(f"/proc/{pid}/stat").read_text().split()[2] for pid in pids if Path(f"/proc/{pid}").exists()
    ]
    assert set(states) <= {"Z"}
    assert call("cluster.sh", "status", **settings).returncode == 1


def test_down_leaves_a_process_alone_that_took_over_an_old_number(folder: Path) -> None:
    folder.mkdir()
    other = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        (folder / "master.pid").write_text(f"{other.pid}\n")
        assert call("cluster.sh", "down", CLUSTER_DIR=str(folder)).returncode == 0
        assert other.poll() is None
        assert not (folder / "master.pid").exists()
    finally:
        other.kill()
        other.wait()


def test_an_unknown_verb_prints_the_verbs() -> None:
    done = call("cluster.sh", "sideways")
    assert done.returncode == 2
    assert all(verb in done.stderr for verb in ("up", "down", "status"))


def fake_java(folder: Path, version: str) -> str:
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\n", encoding="utf-8")
    java.chmod(0o755)
    return str(folder)


@pytest.mark.parametrize(
    ("version", "status"), [("17.0.15", 0), ("21.0.1", 0), ("1.8.0_402", 2), ("11.0.2", 2), ("25", 2)]
)
def test_java_is_judged_by_its_major_version(tmp_path: Path, version: str, status: int) -> None:
    done = call("check_machine.sh", sys.executable, JAVA_HOME=fake_java(tmp_path / "jdk", version))
    assert done.returncode == status, done.stderr
    if status:
        assert f"Java {version.removeprefix('1.').split('.')[0]}. Allowed: 17" in done.stderr
        assert "Remedy: " in done.stderr


def test_no_java_and_no_python_are_named(tmp_path: Path) -> None:
    done = call("check_machine.sh", sys.executable, JAVA_HOME=str(tmp_path))
    assert done.returncode == 2
    assert f"no Java at '{tmp_path}/bin/java'" in done.stderr
    done = call("check_machine.sh", "python-of-nowhere")
    assert done.returncode == 2
    assert "no python-of-nowhere on the PATH. Allowed: Python 3.10 or newer" in done.stderr
