"""How cost grows with rows, what a second executor brings, what one pass saves, and how a stream keeps up.

    python scripts/bench/scale.py [--part rows|speedup|one_pass|stream ...] [--master local|cluster]

Tweets of StockNet with distinct texts (beyond them, copies with a word added) through ``conf/stock.yaml``.

rows      whole runs of ``--sizes`` rows with static vectors, each from an empty store: rows/s, and the
          seconds of each size over those of the one before it.
speedup   the stage represent in float32 on one executor of one core and on two, interleaved, each with an
          empty store and a warm model; seconds of its encoding. On the cluster whatever ``--master`` says.
one_pass  `score` in stages and in one pass, interleaved, on rows that no store knows: wall seconds of either.
          What the staged way makes beside predictions is off, but for clusters and the page.
stream    files of ``--rate`` rows land once a second for ``--seconds``: rows/s, and p50 and p99 from the time
          of the file to the output.

``--master cluster`` starts ``scripts/cluster.sh`` (two workers of one core) instead of local[2]. The
environment is the one that runs this. The last line is one JSON object; ends with 1 where a floor is missed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts" / "bench")]
# Workers import the checkout, too.
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
from nightly import with_copies, write  # noqa: E402
from standalone import Cluster  # noqa: E402

from fusionspark import pipeline  # noqa: E402
from fusionspark.config_file import load  # noqa: E402
from fusionspark.prepare.text_rules import clean  # noqa: E402
from fusionspark.session import open_session  # noqa: E402
from fusionspark.tables import RunFolder  # noqa: E402

PARTS = ("rows", "speedup", "one_pass", "stream")
TRAINED, SCORED = "2026-01-30", "2026-01-31"
#: What `score` in one pass does not make.
OFF = [
    "mine.rules.enabled=false", "mine.anomalies.enabled=false", "report.map_sample=0",
    "report.receipt.rows=0", "report.explain.rows=0", "report.explain.shuffled=0",
]  # fmt: skip
#: Static vectors of these tweets are too far from float32 for the gate; here only their cost is measured.
STATIC = ["represent.precision=static", "represent.quality.overlap_at_10=0"]
#: Of a run before those that are timed.
WARM_ROWS = 1_000
#: Turns of each side that are timed; one before them warms the workers up.
TURNS = 3
#: Figure -> (floor, whether it is the largest value allowed).
FLOORS = {
    "ratio_80k_to_20k": (4.2, True),
    "speedup_2_executors": (1.6, False),
    "score_one_pass_ratio": (1.3, False),
}


def say(*parts: object) -> None:
    print(*parts, flush=True)


def read_tweets(data: Path, wanted: int) -> pd.DataFrame:
    """As many rows, whose texts stay unlike when they are cleaned, in a fixed random order."""
    tweets = pd.read_csv(data / "stocknet" / "tweets_flat.csv.gz").dropna(subset=["text"])
    tweets = tweets.drop_duplicates("text").sample(frac=1.0, random_state=1)
    tweets["cleaned"] = tweets["text"].map(clean)
    tweets = tweets.dropna(subset=["cleaned"]).drop_duplicates("cleaned").head(wanted)
    tweets = tweets.drop(columns="next_mv")
    return with_copies(tweets.assign(id=[f"tweet-{i}" for i in range(len(tweets))]), wanted)


def configured(output: Path, feed: Path, *more: str) -> Any:
    parts = [f"output={output}", f"source.path={feed}", "source.format=parquet", "columns.key=id"]
    return load(ROOT / "conf" / "stock.yaml", [*parts, *more])


def session(master: str, cores: int = 2) -> Any:
    more = {"spark.cores.max": str(cores), "spark.executor.cores": "1", "spark.executor.memory": "2g"}
    return open_session("bench-scale", {"spark.master": master, **(more if "://" in master else {})})


def rows(master: str, args: argparse.Namespace, work: Path) -> dict[str, Any]:
    spark, seconds, stages = session(master), dict[int, float](), dict[int, Any]()
    tweets = read_tweets(args.data, max(args.sizes))
    # The first run of a session pays for what all others find warm.
    for size in [WARM_ROWS, *args.sizes]:
        feed, output = work / f"feed-{size}", work / f"out-{size}"
        shutil.rmtree(output, ignore_errors=True)
        if not feed.exists():
            write(tweets.head(size), feed)
        config = configured(output, feed, *STATIC, f"represent.cache_dir={work}/models")
        started = time.monotonic()
        manifest = pipeline.run(spark, config, TRAINED, say=lambda line: say(f"  {line}"))
        assert manifest is not None and manifest["rows"]["in"] == size
        seconds[size] = round(time.monotonic() - started, 3)
        stages[size] = {one["name"]: one["seconds"] for one in manifest["stages"]}
        say(f"{size} rows: {seconds[size]} s", stages[size])
    spark.stop()
    found: dict[str, Any] = {
        "seconds": seconds,
        "seconds_of_stages": stages,
        "rows_per_second": {size: round(size / spent, 1) for size, spent in seconds.items()},
    }
    ordered = sorted(args.sizes)
    for small, large in itertools.pairwise(ordered):
        name = f"ratio_{large / 1000:g}k_to_{small / 1000:g}k"
        found[name] = round(seconds[large] / seconds[small], 4)
    return found


def encode(master: str, cores: int, args: argparse.Namespace, work: Path) -> float:
    """Seconds of encoding twice `--rows` rows with so many executors, after a turn that loads the model."""
    spark, feed = session(master, cores), work / "feed-speedup"
    for turn in ("warm", "timed"):
        output = work / f"out-{cores}-{turn}"
        shutil.rmtree(output, ignore_errors=True)
        chosen = feed if turn == "timed" else work / "feed-warm"
        # Tasks enough for two executors to end at the same time.
        more = ["represent.precision=float32", "represent.rows_per_task=250"]
        config = configured(output, chosen, *more)
        pipeline.run(spark, config, TRAINED, last="represent", say=lambda line: None)
    facts = RunFolder(spark, f"{output}/runs", TRAINED).stage_facts("represent") or {}
    spark.stop()
    return float(facts["represent"]["seconds_encode"])


def speedup(args: argparse.Namespace, work: Path) -> dict[str, Any]:
    tweets = read_tweets(args.data, 2 * args.rows)
    write(tweets, work / "feed-speedup")
    write(tweets.head(64), work / "feed-warm")
    times: dict[int, list[float]] = {1: [], 2: []}
    with Cluster(work / "cluster") as master:
        for turn in range(TURNS):
            for cores, own in times.items():
                own.append(encode(master, cores, args, work))
                say(f"turn {turn + 1}, {cores} executors: {own[-1]:.1f} s")
    medians = {cores: statistics.median(own) for cores, own in times.items()}
    return {"seconds_encode": medians, "speedup_2_executors": round(medians[1] / medians[2], 4)}


def trained(spark: Any, args: argparse.Namespace, work: Path) -> Path:
    """Folder of a published run over the first half of the tweets; of two parts the second one finds it."""
    if (work / "trained" / "runs").exists():
        return work / "trained" / "runs"
    tweets = read_tweets(args.data, 2 * args.rows)
    write(tweets.head(args.rows), work / "feed-trained")
    write(tweets.tail(args.rows), work / "feed-new")
    off = ["mine.rules.enabled=false", "report.explain.rows=0", "report.explain.shuffled=0"]
    config = configured(
        work / "trained", work / "feed-trained", f"represent.precision={args.precision}", *off
    )
    pipeline.run(spark, config, TRAINED, say=lambda line: say(f"  {line}"))
    return work / "trained" / "runs"


def one_pass(master: str, args: argparse.Namespace, work: Path) -> dict[str, Any]:
    spark = session(master)
    runs, times = trained(spark, args, work), {"staged": list[float](), "one": list[float]()}
    for turn in range(TURNS + 1):
        for passes, own in times.items():
            # Without the store of the turn before, which knows the texts.
            output = work / f"score-{passes}-{turn}"
            shutil.copytree(runs, output / "runs")
            more = [f"represent.precision={args.precision}", f"score.passes={passes}"]
            config = configured(output, work / "feed-new", *OFF, *more)
            started = time.monotonic()
            manifest = pipeline.score(spark, config, SCORED, say=lambda line: None)
            spent = time.monotonic() - started
            assert manifest["passes"]["used"] == passes, manifest["passes"]
            assert manifest["rows"]["in"] == args.rows
            if turn:
                own.append(round(spent, 3))
            say(f"turn {turn}, {passes}: {spent:.1f} s", manifest["represent"])
            shutil.rmtree(output)
    spark.stop()
    ratio = statistics.median(times["staged"]) / statistics.median(times["one"])
    return {"seconds": times, "score_one_pass_ratio": round(ratio, 4)}


def stream(master: str, args: argparse.Namespace, work: Path) -> dict[str, Any]:
    from fusionspark.stream.streaming import stream as follow

    spark = session(master)
    runs = trained(spark, args, work)
    output, arrivals = work / "streamed", work / "arrivals"
    shutil.copytree(runs, output / "runs")
    arrivals.mkdir()
    more = [f"represent.precision={args.precision}", f"stream.path={arrivals}", "stream.format=parquet"]
    config = configured(output, work / "feed-trained", *more, "stream.trigger_seconds=0")
    fresh = read_tweets(args.data, 2 * args.rows + args.rate * args.seconds).tail(args.rate * args.seconds)
    fresh = fresh.drop(columns="cleaned")
    scored = 0

    def feed() -> None:
        for second in range(args.seconds):
            due = began + second
            time.sleep(max(0.0, due - time.monotonic()))
            part = fresh[second * args.rate : (second + 1) * args.rate]
            part.to_parquet(work / "landing.parquet")
            (work / "landing.parquet").rename(arrivals / f"{second:05d}.parquet")
        until = time.monotonic() + 300
        while scored < len(fresh) and time.monotonic() < until:
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGTERM)

    def note(event: Any) -> None:
        nonlocal scored
        if event["event"] == "batch":
            scored = event["total"]["in"]
            say("  batch", {name: event[name] for name in ("batch", "rows", "seconds", "lag")})

    began = time.monotonic()
    threading.Thread(target=feed, daemon=True).start()
    done = follow(spark, config, say=lambda line: None, note=note)
    spent = time.monotonic() - began
    spark.stop()
    assert done["rows"]["in"] == len(fresh), done
    return {
        "rate": args.rate, "batches": done["batches"], "rows": done["rows"],
        "rows_per_second": round(len(fresh) / spent, 1), "latency": done["latency"],
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--master", choices=("local", "cluster"), default="local")
    parser.add_argument("--sizes", type=int, nargs="+", default=[5_000, 20_000, 80_000])
    parser.add_argument("--precision", default="float32", help="of one_pass and stream")
    for option, default in (("--rows", 2_000), ("--rate", 100), ("--seconds", 60)):
        parser.add_argument(option, type=int, default=default)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    args = parser.parse_args()
    parts = args.part or list(PARTS)
    inputs = {"parts": parts, **{k: v for k, v in vars(args).items() if k not in ("part", "data")}}
    inputs |= {name: version(name) for name in ("pyspark", "torch", "pyarrow", "numpy")}
    say(platform.processor() or platform.machine(), platform.python_version(), inputs)
    found: dict[str, Any] = {}
    measures = {"rows": rows, "one_pass": one_pass, "stream": stream}
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        work = Path(name)
        for part in parts:
            if part == "speedup":
                found[part] = speedup(args, work)
            elif args.master == "cluster":
                with Cluster(work / "cluster") as master:
                    found[part] = measures[part](master, args, work)
            else:
                found[part] = measures[part]("local[2]", args, work)
            say(part, found[part])
    figures = {name: value for part in found.values() for name, value in part.items() if name in FLOORS}
    fine = all(
        value <= FLOORS[name][0] if FLOORS[name][1] else value >= FLOORS[name][0]
        for name, value in figures.items()
    )
    say(json.dumps({"benchmark": "scale", "inputs": inputs, **found, "fine": fine}))
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
