"""One run of a date at a time, and nobody waits for the dead."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fusionspark.errors import RunLockedError
from fusionspark.pipeline import run_lock
from fusionspark.tables import RunFolder

DATE = "2026-01-31"


@pytest.fixture
def run(spark, tmp_path) -> RunFolder:
    return RunFolder(spark, str(tmp_path), DATE)


def left_by(run: RunFolder, **changes) -> Path:
    """A lock file as some other process left it."""
    holder = {"id": "other", "host": run_lock.host(), "pid": 1, "since": "then", "beat": time.time()}
    lock = Path(run.path, run_lock.LOCK)
    lock.parent.mkdir(exist_ok=True)
    lock.write_text(json.dumps({**holder, **changes}))
    return lock


def names(run: RunFolder) -> list[str]:
    return [path.name for path in Path(run.path).iterdir()]


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.time() + seconds
    while not condition():
        assert time.time() < deadline
        time.sleep(0.01)


def gone() -> int:
    """Number of a process that has ended."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_who_is_alive():
    now = time.time()
    here = {"id": "a", "host": run_lock.host(), "pid": os.getppid(), "beat": now}
    assert run_lock.alive(here, now=now)
    assert not run_lock.alive(here, now=now + run_lock.STALE + 1), "no sign of life"
    assert not run_lock.alive({**here, "pid": gone()}, now=now)
    assert run_lock.alive({**here, "pid": gone(), "host": "elsewhere"}, now=now), "its processes are not seen"
    assert not run_lock.alive({**here, "pid": os.getpid()}, now=now), "a namesake in an earlier container"


def test_the_second_is_refused_and_told_who_holds_it(run):
    with run_lock.only_run(run, print):
        with pytest.raises(RunLockedError, match=rf"process {os.getpid()} on .* since 20") as refused:
            run_lock.RunLock(run).acquire(print)
        assert refused.value.exit_code == 1
        other_date = RunFolder(run.spark, run.root, "2026-02-01")
        with run_lock.only_run(other_date, print):
            pass
    assert names(run) == []
    with run_lock.only_run(run, print):
        assert names(run) == [run_lock.LOCK]


def test_of_many_at_once_one_holds_it_even_where_a_dead_one_left_it(run):
    left_by(run, pid=gone())

    def attempt(_: int) -> run_lock.RunLock | None:
        lock = run_lock.RunLock(run)
        try:
            lock.acquire(lambda line: None)
        except RunLockedError:
            return None
        return lock

    with ThreadPoolExecutor(6) as pool:
        held = [lock for lock in pool.map(attempt, range(6)) if lock]
    assert len(held) == 1
    held[0].confirm()
    held[0].release()
    assert names(run) == []


@pytest.mark.parametrize("dead", [{"pid": None}, {"host": "elsewhere", "beat": 0.0}])
def test_the_lock_of_the_dead_is_taken_over_at_once(run, dead):
    left_by(run, **{key: gone() if value is None else value for key, value in dead.items()})
    said: list[str] = []
    with run_lock.only_run(run, said.append) as lock:
        lock.confirm()
    assert len(said) == 1
    assert "taken over" in said[0]


def test_a_lock_without_content_is_as_old_as_its_file(run):
    lock = left_by(run)
    lock.write_text("")
    with pytest.raises(RunLockedError, match="another process"):
        run_lock.RunLock(run).acquire(print)
    os.utime(lock, (1, 1))
    with run_lock.only_run(run, lambda line: None):
        pass


def test_a_holder_shows_life_and_notices_that_it_lost_the_lock(run, monkeypatch):
    monkeypatch.setattr(run_lock, "BEAT", 0.02)
    with run_lock.only_run(run, print) as lock:
        begun = json.loads(Path(run.path, run_lock.LOCK).read_text())
        beat = Path(run.path, f"{run_lock.LOCK}.{begun['id']}")
        wait_for(lambda: beat.exists() and float(beat.read_text()) > begun["beat"])
        lock.confirm()
        left_by(run)
        with pytest.raises(RunLockedError, match=r"process 1 on .* took its lock over"):
            lock.confirm()
    assert names(run) == [run_lock.LOCK], "its own signs of life go with it"
    assert json.loads(Path(run.path, run_lock.LOCK).read_text())["id"] == "other", "it is not ours to delete"


def test_the_last_sign_of_life_counts_and_one_that_comes_late_takes_nothing_back(run):
    left_by(run, host="elsewhere", beat=0.0)
    late = Path(run.path, f"{run_lock.LOCK}.other")
    late.write_text(str(time.time()))
    with pytest.raises(RunLockedError, match="is at it"):
        run_lock.RunLock(run).acquire(print)
    late.write_text("1.0")
    with run_lock.only_run(run, lambda line: None) as lock:
        assert not late.exists()
        late.write_text(str(time.time()))
        lock.confirm()
