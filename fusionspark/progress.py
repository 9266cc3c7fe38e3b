"""Progress of Spark stages, printed while they run."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Seconds between two looks at the tasks.
INTERVAL = 0.5
#: Seconds between two lines where the output is a log and no terminal.
LOG_INTERVAL = 10.0
#: What Spark keeps of the jobs of a thread.
JOB = ("jobGroup.id", "job.description")
#: The ends of the stages under way, outermost first; only the innermost one prints.
_under_way: list[threading.Event] = []


@contextmanager
def stage(
    spark: SparkSession, name: str, *, note: Callable[[], str] | None = None, total: int = 0
) -> Iterator[None]:
    """Name the Spark jobs inside after the stage, and print how far they are.

    Parameters
    ----------
    spark : SparkSession
        Its jobs get ``name`` as group and description, so that the Spark UI is readable; those after it
        have again what they had before.
    name : str
        Name of the stage.
    note : callable, optional
        Returns what else to say, rows per second and the time left for example.
    total : int
        Tasks expected; 0 where unknown.
    """
    context = spark.sparkContext
    group, described = (context.getLocalProperty(f"spark.{key}") or "" for key in JOB)
    context.setJobGroup(name, f"fusionspark: {name}")
    started, done = time.monotonic(), threading.Event()
    _under_way.append(done)
    terminal = sys.stderr.isatty()

    def line() -> str:
        tracker = context.statusTracker()
        infos = [tracker.getStageInfo(i) for i in tracker.getActiveStageIds()]
        finished = sum(i.numCompletedTasks for i in infos if i)
        tasks = max(total, sum(i.numTasks for i in infos if i))
        spent = time.monotonic() - started
        said = f"{name}: {spent:4.0f} s"
        if tasks:
            said += f", {finished} of {tasks} tasks"
        if note:
            return f"{said}, {note()}"
        if finished and tasks > finished:
            said += f", about {spent * (tasks - finished) / finished:.0f} s left in this step"
        return said

    def watch() -> None:
        last = started
        while not done.wait(INTERVAL):
            if _under_way[-1] is not done:
                continue
            if terminal:
                print(f"\r\x1b[2K  {line()}", end="", file=sys.stderr, flush=True)
            elif time.monotonic() - last >= LOG_INTERVAL:
                last = time.monotonic()
                print(f"  {line()}", file=sys.stderr, flush=True)

    watcher = threading.Thread(target=watch, name=f"progress-{name}", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        if terminal:
            print("\r\x1b[2K", end="", file=sys.stderr, flush=True)
        _under_way.remove(done)
        context.setJobGroup(group, described)
