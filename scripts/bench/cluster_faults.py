"""What happens to executors and workers of a cluster, done for real; compared with undisturbed nights.

    python scripts/bench/cluster_faults.py [--rows 300] [--only represent kmeans gated worker slots slow ...]

On a standalone cluster of two workers of one core each (`scripts/cluster.sh`):

represent  kill -9 of an executor that encodes.
kmeans     kill -9 of an executor in the barrier stage of a k-means over two tasks.
gated      the same in the barrier stage that trains the gated network (`fuse.gated.local: false`).
worker     kill -9 of a worker and its executor while it encodes: it does not come back.
slots      the same in the barrier stage of k-means, which then has fewer slots than tasks.
gated-slots  the same while the gated network trains: a clear failure, then a new worker and the same command.
slow       an executor that encodes is stopped for `--stopped` seconds, then goes on.

Each has to end in the undisturbed result, at once or by the same command again. Lines before the last one are
for a reader; the last line is one JSON object. Ends with 1 where a fault left a trace.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts" / "bench")]
from faults import Night, children, feed, report, say, stat, ticks, workers_of  # noqa: E402
from standalone import Cluster  # noqa: E402

#: Gates are trained by two tasks of one barrier stage, for longer than a kill takes.
GATED = {"method": "gated", "gated": {"local": False, "tasks": 2, "max_epochs": 400}}
#: Rows, width and centres of the k-means, which takes some ten seconds on two cores.
ROWS, WIDTH, CENTRES, ITERATIONS = 120_000, 96, 128, 120
#: Seconds after a kill in which no process of the executor may be left.
GONE = 20.0
#: Seconds after which a driver counts as waiting for ever.
LIMIT = 600.0
TICKS = os.sysconf("SC_CLK_TCK")


def fit(master: str, events: str, target: str) -> None:
    """Fit k-means over two tasks and write its centres; a process of its own."""
    from pyspark.sql import functions as F

    from fusionspark.mine.kmeans import KMeans
    from fusionspark.session import open_session

    spark = open_session("k-means", settings(master, Path(events)))
    # The same numbers in every task and at every time.
    numbers = [(F.xxhash64("id", F.lit(i)) % 1000 / 1000).cast("float") for i in range(WIDTH)]
    rows = spark.range(ROWS).select(F.array(*numbers).alias("features"))
    means = KMeans(k=CENTRES, maxIter=ITERATIONS, tol=0.0, seed=7, numWorkers=2)
    model = means.fit(rows)
    print(f"k-means: {means.engine} {means.why} {means.resources}", file=sys.stderr)
    np.save(target, np.array(model.clusterCenters()))


def settings(master: str, events: Path) -> dict[str, str]:
    events.mkdir(parents=True, exist_ok=True)
    return {
        "spark.master": master, "spark.cores.max": "2", "spark.executor.cores": "1",
        "spark.executor.memory": "1g",
        "spark.eventLog.enabled": "true", "spark.eventLog.dir": events.as_uri(),
        # One plain file, so that it can be read while it grows.
        "spark.eventLog.rolling.enabled": "false", "spark.eventLog.compress": "false",
    }  # fmt: skip


class Job:
    """A driver on the cluster, that can be started again, and what it left."""

    #: Whether the stage to be harmed is a barrier stage.
    barrier = False
    #: CPU seconds of one of its Python processes in that stage, after which an executor is harmed.
    into = 1.5

    def __init__(self, cluster: Cluster, work: Path, name: str) -> None:
        self.cluster, self.work, self.name = cluster, work, name
        self.folder, self.said = work / name, ""

    def start(self) -> subprocess.Popen[str]:
        raise NotImplementedError

    def equals(self, other: Any) -> bool:
        raise NotImplementedError

    def end(self, process: subprocess.Popen[str]) -> int:
        """Wait for its end; a driver that waits for ever is ended with the code of `timeout`."""
        try:
            self.said = process.communicate(timeout=LIMIT)[1]
        except subprocess.TimeoutExpired:
            process.kill()
            self.said = process.communicate()[1]
            return 124
        return process.returncode

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        """Events of the latest driver of these kinds, as far as its log is written."""
        logs = sorted((self.folder / "events").glob("*"), key=lambda path: path.stat().st_ctime)
        heads = tuple(f'{{"Event":"SparkListener{kind}"' for kind in kinds)
        # What follows the last line break is not written to its end yet.
        lines = logs[-1].read_text().split("\n")[:-1] if logs else []
        return [json.loads(line) for line in lines if line.startswith(heads)]

    def in_barrier(self) -> bool:
        """Whether a barrier stage was begun."""
        return any(
            rdd.get("Barrier")
            for event in self.events("JobStart")
            for stage in event["Stage Infos"]
            for rdd in stage["RDD Info"]
        )

    def failed_tasks(self) -> int:
        """Tasks that the latest driver lost."""
        return sum(event["Task Info"]["Failed"] for event in self.events("TaskEnd"))


class RunJob(Job):
    """A whole run."""

    def __init__(self, cluster: Cluster, work: Path, name: str, fuse: dict[str, Any] | None = None) -> None:
        super().__init__(cluster, work, name)
        self.fuse = fuse
        if fuse:
            # Importing torch takes a process some three of them.
            self.barrier, self.into = True, 4.0
        self.night = Night(work, name)

    def start(self) -> subprocess.Popen[str]:
        self.night.settings["spark"] = settings(self.cluster.up(), self.folder / "events")
        if self.fuse:
            self.night.settings["fuse"] = self.fuse
        return self.night.start()

    def equals(self, other: RunJob) -> bool:
        return self.night.equals(other.night)


class FitJob(Job):
    """A k-means alone: the rows of a run are too few for more than one task."""

    barrier, into = True, 3.0

    def start(self) -> subprocess.Popen[str]:
        self.folder.mkdir(exist_ok=True)
        given = [self.cluster.up(), str(self.folder / "events"), str(self.folder / "centres.npy")]
        command = [sys.executable, __file__, "--fit", *given]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def equals(self, other: FitJob) -> bool:
        mine, theirs = (np.load(job.folder / "centres.npy") for job in (self, other))
        return bool(np.array_equal(mine, theirs))


def descendants(pid: int) -> list[int]:
    """A process and all below it."""
    return [pid, *(one for child in children(pid) for one in descendants(child))]


def computing(job: Job, process: subprocess.Popen[str]) -> tuple[int, int]:
    """Worker and executor of which a Python process has computed long enough; (0, 0) at the job's end."""
    while job.barrier and process.poll() is None and not job.in_barrier():
        time.sleep(0.5)
    before: dict[int, int] = {}
    while process.poll() is None:
        for worker in job.cluster.workers():
            for executor in children(worker):
                # The processes that train are children of Python workers.
                now = [(one, ticks(one)) for python in workers_of(executor) for one in descendants(python)]
                if any(spent - before.setdefault(one, spent) >= job.into * TICKS for one, spent in now):
                    return worker, executor
        time.sleep(0.2)
    return 0, 0


def alive(pids: list[int]) -> list[int]:
    """Processes that have not ended; one that nobody has reaped has."""
    return [pid for pid in pids if (stat(pid) or ["Z"])[0] != "Z"]


def disturbed(
    make: Callable[[str], Job],
    expected: Job,
    name: str,
    harm: Callable[[int, int], None],
) -> dict[str, Any]:
    """Start a job, harm what computes, and say how it went on."""
    job = make(name)
    started = time.monotonic()
    process = job.start()
    if isinstance(job, RunJob) and not job.barrier:
        job.night.until(process, "represent")
    worker, executor = computing(job, process)
    below = descendants(executor) if executor else []
    if executor:
        harm(worker, executor)
        say(f"{name}: harmed executor {executor} after {time.monotonic() - started:.0f} s")
    first = job.end(process)
    failed, said = job.failed_tasks(), job.said
    seconds = round(time.monotonic() - started, 1)
    until = time.monotonic() + GONE
    while alive(below) and time.monotonic() < until:
        time.sleep(0.5)
    code = first if first == 0 else job.end(job.start())
    found = {
        "harmed": bool(executor), "tasks_failed": failed, "first_code": first, "code": code,
        "seconds": seconds, "left_over": len(alive(below)), "equal": code == 0 and job.equals(expected),
    }  # fmt: skip
    if first:
        found["said"] = [line for line in said.splitlines() if line.startswith("error: ")][:1]
    found["fine"] = found["harmed"] and found["equal"] and not found["left_over"]
    if not found["fine"]:
        say(job.said[-3000:] or said[-3000:])
    return found


def kill_executor(_: int, executor: int) -> None:
    os.kill(executor, signal.SIGKILL)


def lose_worker(worker: int, executor: int) -> None:
    # The worker first: it would start its executor again.
    os.kill(worker, signal.SIGKILL)
    os.kill(executor, signal.SIGKILL)


def stop_for(seconds: float) -> Callable[[int, int], None]:
    def slow(_: int, executor: int) -> None:
        below = descendants(executor)
        for pid in below:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        for pid in below:
            os.kill(pid, signal.SIGCONT)

    return slow


def main() -> int:
    if sys.argv[1:2] == ["--fit"]:
        fit(*sys.argv[2:])
        return 0
    faults = ("represent", "kmeans", "gated", "worker", "slots", "gated-slots", "slow")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--stopped", type=float, default=25.0)
    parser.add_argument("--work", type=Path, help="keeps the undisturbed results here for the next call")
    parser.add_argument("--only", nargs="+", choices=faults, default=list(faults))
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="cluster-faults-"))
    # Drivers import the checkout.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    cluster = Cluster(work / "cluster")

    def run(name: str) -> Job:
        return RunJob(cluster, work, name)

    def gated(name: str) -> Job:
        return RunJob(cluster, work, name, GATED)

    def means(name: str) -> Job:
        return FitJob(cluster, work, name)

    plan: dict[str, tuple[Callable[[str], Job], Callable[[int, int], None]]] = {
        "represent": (run, kill_executor),
        "kmeans": (means, kill_executor),
        "gated": (gated, kill_executor),
        "worker": (run, lose_worker),
        "slots": (means, lose_worker),
        "gated-slots": (gated, lose_worker),
        "slow": (run, stop_for(options.stopped)),
    }
    found: dict[str, dict[str, Any]] = {}
    undisturbed: dict[Any, Job] = {}
    try:
        if not (work / "in").exists():
            feed(work / "in", options.rows)
        with cluster:
            for name in options.only:
                make, harm = plan[name]
                if make not in undisturbed:
                    job = undisturbed[make] = make(f"undisturbed-{make.__name__}")
                    started = time.monotonic()
                    if not (job.folder / "done").exists():
                        if job.end(job.start()):
                            say(job.said)
                            raise SystemExit("the undisturbed run failed; nothing to compare with")
                        (job.folder / "done").touch()
                    say(f"undisturbed: {make.__name__}, {time.monotonic() - started:.0f} s")
                found[name] = disturbed(make, undisturbed[make], name, harm)
                say(f"== {name}: {found[name]}")
    finally:
        if not options.work:
            shutil.rmtree(work, ignore_errors=True)
    return report("cluster_faults", {"rows": options.rows, "stopped": options.stopped}, found)


if __name__ == "__main__":
    sys.exit(main())
