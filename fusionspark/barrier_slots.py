"""Whether and how wide a barrier stage can be scheduled, and what becomes of one that lost its executors."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from fusionspark.errors import LostExecutorsError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_LOG = logging.getLogger(__name__)
T = TypeVar("T")

#: Starts of a barrier stage; as often as Spark starts any other task (``spark.task.maxFailures``).
ATTEMPTS = 4
#: What Spark says of a barrier stage that it does not start again.
_GIVEN_UP = "Could not recover from a failed barrier ResultStage"
#: Seconds that executors are given to come back: a cluster manager starts a lost one again within a few.
PATIENCE = 60.0
#: Seconds between two looks at the slots.
LOOK = 2.0


def slots(spark: SparkSession) -> int:
    """Return how many tasks of the default profile can run at the same time; at least 1."""
    scheduler: Any = spark.sparkContext._jsc.sc()  # type: ignore[attr-defined]
    profile = scheduler.resourceProfileManager().defaultResourceProfile()
    return max(1, int(scheduler.maxNumConcurrentTasks(profile)))


def why_no_barrier(spark: SparkSession, tasks: int) -> str:
    """Return why a barrier stage of so many tasks cannot run; empty where it can.

    All tasks of such a stage must start together, so each needs a slot, and Spark refuses it where executors
    come and go (SPARK-24942).
    """
    context: Any = spark.sparkContext
    # Asked as Spark asks itself: the setting alone means nothing on a local master.
    dynamic = context._jvm.org.apache.spark.util.Utils.isDynamicAllocationEnabled(context._jsc.sc().conf())
    if dynamic:
        return (
            "a barrier stage cannot be scheduled with dynamic allocation "
            "(spark.dynamicAllocation.enabled is true)"
        )
    free = slots(spark)
    if tasks > free:
        return f"a barrier stage of {tasks} tasks needs as many slots, and the executors have {free}"
    return ""


def run_in_barrier(spark: SparkSession, tasks: int, what: str, job: Callable[[], T]) -> T:
    """Return what ``job`` returns, whose one barrier stage is started again where an executor is lost in it.

    Spark starts other tasks again by itself, but a job that ends with a barrier stage it gives up ("Could not
    recover from a failed barrier ResultStage"); and one that it does start again waits without an end for as
    many slots as there were.

    Raises
    ------
    LostExecutorsError
        For `PATIENCE` seconds fewer than ``tasks`` tasks could run, before the job or in it.
    """
    for left in range(ATTEMPTS - 1, -1, -1):
        try:
            with _kept_slots(spark, tasks, what):
                return job()
        except Exception as error:
            if not (left and _may_be_a_loss(error)):
                raise
            _LOG.warning("%s: a task failed, so all start again: %s", what, _reason(error))
    raise AssertionError


def _may_be_a_loss(error: Exception) -> bool:
    """Tell whether a barrier stage failed for another reason than what our own code raised on purpose."""
    said = str(error)
    return _GIVEN_UP in said and "fusionspark.errors" not in said


def _reason(error: Exception) -> str:
    """The first lines of what Spark says, without its stack."""
    said = str(error).partition(_GIVEN_UP)[2].strip(". ").partition("\n\tat ")[0]
    return " ".join(said.split())[:300]


@contextmanager
def _kept_slots(spark: SparkSession, tasks: int, what: str) -> Iterator[None]:
    """Run a barrier stage in the block, and end it where its executors are gone for good."""
    tag, over, gone = f"fusionspark-{uuid.uuid4().hex}", threading.Event(), threading.Event()
    context: Any = spark.sparkContext

    def short() -> bool:
        """Whether slots are missing for as long as one waits."""
        until = time.monotonic() + PATIENCE
        while slots(spark) < tasks:
            if time.monotonic() > until:
                return True
            if over.wait(LOOK):
                return False
        return False

    def watch() -> None:
        while not over.wait(LOOK):
            if short():
                gone.set()
                context.cancelJobsWithTag(tag)
                return

    watcher = threading.Thread(target=watch, name="barrier-slots", daemon=True)
    try:
        if short():
            raise _lost(spark, tasks, what)
        context.addJobTag(tag)
        watcher.start()
        yield
    except LostExecutorsError:
        raise
    except Exception as error:
        if gone.is_set():
            raise _lost(spark, tasks, what) from error
        raise
    finally:
        over.set()
        context.removeJobTag(tag)
        if watcher.is_alive():
            watcher.join()


def _lost(spark: SparkSession, tasks: int, what: str) -> LostExecutorsError:
    return LostExecutorsError(
        what,
        f"needs {tasks} tasks at once; for {PATIENCE:.0f} s executors had fewer slots, now {slots(spark)}",
        remedy="bring the lost executors back, or ask for fewer tasks; the same command goes on",
    )
