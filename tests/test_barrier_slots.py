"""Barrier stages that lost their executors end with a clear error; those that wait a moment go on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fusionspark import barrier_slots
from fusionspark.errors import LostExecutorsError


class Context:
    """Stands for a SparkContext with one job, which ends when it is cancelled."""

    def __init__(self) -> None:
        self.tags: set[str] = set()
        self.cancelled = threading.Event()

    def addJobTag(self, tag: str) -> None:
        self.tags.add(tag)

    def removeJobTag(self, tag: str) -> None:
        self.tags.discard(tag)

    def cancelJobsWithTag(self, tag: str) -> None:
        assert tag in self.tags
        self.cancelled.set()


class Session:
    def __init__(self) -> None:
        self.sparkContext = Context()

    def job(self, seconds: float) -> None:
        if self.sparkContext.cancelled.wait(seconds):
            raise RuntimeError("the job was cancelled")


@pytest.fixture
def spark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(barrier_slots, "PATIENCE", 0.2)
    monkeypatch.setattr(barrier_slots, "LOOK", 0.02)
    return Session()


def slots(monkeypatch: pytest.MonkeyPatch, seen: list[int]) -> None:
    """What the scheduler says at each look; the last value stays."""
    left: Iterator[int] = iter(seen[:-1])
    monkeypatch.setattr(barrier_slots, "slots", lambda spark: next(left, seen[-1]))


def test_executors_that_do_not_come_back_end_the_job(spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    slots(monkeypatch, [2, 2, 1])
    with pytest.raises(LostExecutorsError, match=r"k-means: needs 2 tasks at once; .* now 1\.") as found:
        barrier_slots.run_in_barrier(spark, 2, "k-means", lambda: spark.job(10))
    assert found.value.exit_code == 1
    assert spark.sparkContext.tags == set()


def test_executors_that_come_back_in_time_cost_nothing(spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Two looks before the block, then four that find one slot.
    slots(monkeypatch, [1, 2, 1, 1, 1, 1, 2])
    barrier_slots.run_in_barrier(spark, 2, "k-means", lambda: spark.job(0.4))
    assert not spark.sparkContext.cancelled.is_set()
    assert spark.sparkContext.tags == set()


def test_without_slots_nothing_is_started(spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    slots(monkeypatch, [1])
    with pytest.raises(LostExecutorsError):
        barrier_slots.run_in_barrier(spark, 2, "k-means", lambda: pytest.fail("the job was started"))


def failing(errors: list[Exception]) -> Callable[[], str]:
    """A job that fails with each of the errors once, then ends."""

    def job() -> str:
        if errors:
            raise errors.pop(0)
        return "done"

    return job


LOST = "Job aborted: Could not recover from a failed barrier ResultStage. Most recent failure reason: "


def test_a_stage_that_spark_gives_up_is_started_again(spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    slots(monkeypatch, [2])
    lost = [RuntimeError(LOST + "ExecutorLostFailure") for _ in range(barrier_slots.ATTEMPTS)]
    assert barrier_slots.run_in_barrier(spark, 2, "k-means", failing(lost[1:])) == "done"
    with pytest.raises(RuntimeError, match="ExecutorLostFailure"):
        barrier_slots.run_in_barrier(spark, 2, "k-means", failing(lost))


@pytest.mark.parametrize("said", ["no such column", LOST + "fusionspark.errors.DataContractError: no rows"])
def test_what_fails_for_another_reason_is_not(said: str, spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    slots(monkeypatch, [2])
    with pytest.raises(RuntimeError, match=said[-10:]):
        barrier_slots.run_in_barrier(spark, 2, "k-means", failing([RuntimeError(said)]))
