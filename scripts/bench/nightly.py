"""What a night costs where most of the feed is that of the night before.

    python scripts/bench/nightly.py [--rows 50000] [--ten-of 20000] [--repeats 3] [--data ../shared/data]

``conf/stock.yaml`` over StockNet tweets with distinct texts, the packaged model in float32, one session,
whose start is left out. Night 1 does everything and trains. Night 2 gets 1% of the texts changed and 1% new
rows, and applies the models of night 1. Night 3 gets the rows of night 2 again. What has to be encoded is
counted here, from the texts that were changed, and never read from the run.

Then a night of ``--ten-of`` rows, 1% changed and 1% new, is held against one with the same changes in a table
and a store ten times as large, of which only collect, prepare and represent run: interleaved, medians of
``--repeats`` turns. The other rows of the large table are tweets with a word added; what the two stores hold
already is noise in the store's own form, to save the time of encoding it. Last, the vectors of night 1 as the
store keeps them in float16, and in Spark's own Parquet.

The last line is one JSON object. Ends with 1 where a floor is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import functions as F

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
# Workers import the checkout, too.
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
from fusionspark import columns as c  # noqa: E402
from fusionspark.config_file import load  # noqa: E402
from fusionspark.files import Files  # noqa: E402
from fusionspark.pipeline.running import run  # noqa: E402
from fusionspark.pipeline.vector_space import engine_of, store_of  # noqa: E402
from fusionspark.prepare.text_rules import clean  # noqa: E402
from fusionspark.represent.arrow_arrays import float_lists  # noqa: E402
from fusionspark.represent.store.embedding_store import WRITE_OPTIONS, buckets_for  # noqa: E402
from fusionspark.represent.store.partition import pack  # noqa: E402
from fusionspark.represent.store.segments import Seal, new_number  # noqa: E402
from fusionspark.session import open_session  # noqa: E402
from fusionspark.tables import RunFolder  # noqa: E402

CORES = 2
DATES = ("2026-01-29", "2026-01-30", "2026-01-31")
COPY = "copy-"
#: What the store makes its rows of.
WIDE = (c.KEY, c.CLEAN_TEXT, c.EMBEDDING, c.N_TOKENS, c.TRUNCATED, c.STATUS)
#: Figure -> the largest value that is claimed.
FLOORS = {"represent_ratio": 0.05, "run_ratio": 0.25, "append_ratio_10x": 1.2, "store_bytes_ratio": 0.55}
#: What the stages up to represent need of the configuration.
TEXT_ONLY = [f"columns.{part}" for part in ("numeric=[]", "categorical=[]", "label=null", "date=null")]
TEXT_ONLY += ["split.by=hash", "fuse.fold_by=hash", "prepare.tfidf_features=0"]
#: No figure here is of the stage report, and explanations take a minute a night.
NO_REPORT = [
    "report.map_sample=0",
    "report.receipt.rows=0",
    "report.explain.rows=0",
    "report.explain.shuffled=0",
]


def say(*parts: object) -> None:
    print(*parts, flush=True)


def read_tweets(data: Path, wanted: int) -> pd.DataFrame:
    """Rows whose texts stay unlike when they are cleaned, in a fixed random order."""
    tweets = pd.read_csv(data / "stocknet" / "tweets_flat.csv.gz").dropna(subset=["text"])
    tweets = tweets.drop_duplicates("text").sample(frac=1.0, random_state=1)
    tweets["cleaned"] = tweets["text"].map(clean)
    tweets = tweets.dropna(subset=["cleaned"]).drop_duplicates("cleaned").head(wanted)
    if len(tweets) < wanted:
        raise SystemExit(f"--rows needs {wanted} distinct texts, and {len(tweets)} are there")
    return tweets.drop(columns="next_mv").assign(id=[f"tweet-{i}" for i in range(wanted)])


def two_nights(tweets: pd.DataFrame, rows: int) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """The rows of night 1 and of night 2, and the rows of the second with texts that the first has not."""
    few = rows // 100
    first, spare, new = tweets[:rows], tweets[rows : rows + few], tweets[rows + few : rows + 2 * few]
    changed = np.random.default_rng(2).choice(rows, few, replace=False)
    second = pd.concat([first, new])
    for name in ("text", "cleaned"):
        second.loc[first.index[changed], name] = spare[name].to_numpy()
    unlike = second[~second["cleaned"].isin(first["cleaned"])]
    assert unlike["cleaned"].is_unique
    return first, second, list(unlike["id"])


def with_copies(table: pd.DataFrame, rows: int) -> pd.DataFrame:
    """The table, and copies of its rows up to so many, each with a text of its own."""
    place = np.arange(max(0, rows - len(table)))
    extra = table.iloc[place % len(table)].copy()
    extra["text"] += [f" copy{turn}" for turn in place // len(table)]
    extra["id"] = [f"{COPY}{i}" for i in place]
    return pd.concat([table, extra])


def write(table: pd.DataFrame, folder: Path) -> None:
    folder.mkdir(parents=True)
    for core in range(CORES):
        table[core::CORES].drop(columns="cleaned").to_parquet(folder / f"part-{core}.parquet")


def configured(output: Path, feed: Path, *more: str) -> Any:
    parts = [f"output={output}", f"source.path={feed}/{{run_date}}", "source.format=parquet"]
    kept = ["columns.key=id", "mine.retrain=never", "represent.precision=float32", "store.dtype=float32"]
    return load(ROOT / "conf" / "stock.yaml", [*parts, *kept, *NO_REPORT, *more])


def night(spark: Any, config: Any, date: str) -> dict[str, Any]:
    manifest = run(spark, config, date, say=lambda line: say(f"  {date} {line}"))
    assert manifest is not None
    say(date, manifest["represent"], manifest["models"])
    return manifest


def stage_seconds(manifest: dict[str, Any]) -> dict[str, float]:
    """Seconds of each stage, and as ``scored`` those from collect to fuse and of applying the models."""
    seconds = {stage["name"]: stage["seconds"] for stage in manifest["stages"]}
    mine = next(stage for stage in manifest["stages"] if stage["name"] == "mine")
    # Where nothing is trained, the whole stage counts: opening the models, too.
    applied = mine["seconds_predict" if manifest["models"]["retrained"] else "seconds"]
    stages = ("collect", "prepare", "represent", "fuse")
    return {**seconds, "scored": round(sum(seconds[name] for name in stages) + applied, 3)}


class Side:
    """A table, and a store that holds all of its texts but the changes of night 2."""

    def __init__(self, spark: Any, name: str, table: pd.DataFrame, new: list[str], work: Path) -> None:
        self.spark, self.output = spark, work / name
        write(table, work / f"feed-{name}" / DATES[1])
        self.config = configured(self.output, work / f"feed-{name}", *TEXT_ONLY)
        self.folder = RunFolder(spark, f"{self.output}/runs", DATES[1])
        run(spark, self.config, DATES[1], last="prepare", say=lambda line: say(f"  {name} {line}"))
        held = self.folder.read(c.PREPARED).join(
            spark.createDataFrame([(one,) for one in new], f"{c.ROW_ID} string"), c.ROW_ID, "left_anti"
        )
        keyed = held.select(F.unhex(F.sha2(c.CLEAN_TEXT, 256)).alias(c.KEY)).distinct()
        store, rows = self.store(), keyed.count()
        buckets = buckets_for(rows, self.config.represent.rows_per_task)
        segment = store.folder.segment(new_number())
        laid_out = keyed.repartition(buckets, c.KEY).sortWithinPartitions(c.KEY)
        laid_out.mapInArrow(noise, c.STORED_DDL).write.options(**WRITE_OPTIONS).parquet(segment.path)
        store.folder.seal(segment, Seal(files=0, bytes=0, rows=rows, buckets=buckets))
        # The canaries are encoded when a store gets its first texts.
        self.turn()

    def store(self) -> Any:
        store = store_of(self.spark, self.config, engine_of(self.config))
        store.open()
        return store

    def turn(self) -> dict[str, Any]:
        """Run the stage represent, and take away again what it appended."""
        before = len(self.store().segments)
        run(self.spark, self.config, DATES[1], first="represent", last="represent", say=lambda line: None)
        store = self.store()
        for segment in store.segments[before:]:
            store.folder.delete(segment)
        return dict((self.folder.stage_facts("represent") or {})["represent"])


def noise(batches):
    """Stored rows of random vectors."""
    for batch in batches:
        rows = batch.num_rows
        vectors = np.random.default_rng(3).standard_normal((rows, 384), dtype=np.float32)
        lists = float_lists(vectors, np.zeros(rows, dtype=bool))
        rest = [pa.array([20] * rows, pa.int32()), pa.array([False] * rows), pa.array([c.OK] * rows)]
        key = batch.column(0)
        yield pack(pa.RecordBatch.from_arrays([key, key, lists, *rest], list(WIDE)), "float32")


def append_ratio(sides: dict[str, Side], repeats: int, expected: int) -> float:
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats):
        # Workers that idled for a minute are gone with their models: an untimed turn brings them back.
        sides["one"].turn()
        for name, side in sides.items():
            found = side.turn()
            assert found["encoded"] == expected, (name, found["encoded"], expected)
            times[name].append(found["seconds_encode"])
            say(f"turn {turn + 1}, {name}:", found)
    return statistics.median(times["ten"]) / statistics.median(times["one"])


def store_bytes_ratio(spark: Any, config: Any, folder: Path) -> float:
    """Bytes of the vectors of night 1 in the store's float16 form, over those of ``array<float>``."""
    table = RunFolder(spark, f"{config.output}/runs", DATES[0]).read(c.EMBEDDINGS)
    keyed = table.withColumn(c.KEY, F.unhex(F.sha2(c.ROW_ID, 256))).withColumn(c.CLEAN_TEXT, F.lit(""))
    # The other columns are in both, in as many files.
    laid_out = keyed.select(*WIDE).repartition(buckets_for(table.count(), 2000), c.KEY)
    laid_out.drop(c.CLEAN_TEXT).write.parquet(f"{folder}/plain")
    laid_out.mapInArrow(as_float16, c.STORED_DDL).write.options(**WRITE_OPTIONS).parquet(f"{folder}/half")
    sizes = {name: Files(spark).measure(f"{folder}/{name}")[1] for name in ("plain", "half")}
    say("bytes:", sizes)
    return sizes["half"] / sizes["plain"]


def as_float16(batches):
    for batch in batches:
        yield pack(batch, "float16")


def measure(spark: Any, args: argparse.Namespace, work: Path, tweets: pd.DataFrame) -> dict[str, Any]:
    first, second, new = two_nights(tweets, args.rows)
    for date, table in zip(DATES, (first, second, second), strict=True):
        write(table, work / "feed" / date)
    config = configured(work / "out", work / "feed")
    nights = [night(spark, config, date) for date in DATES]
    seconds = [stage_seconds(manifest) for manifest in nights]
    _, small, few = two_nights(tweets, args.ten_of)
    large = with_copies(small, 10 * len(small))
    sides = {name: Side(spark, name, table, few, work) for name, table in (("one", small), ("ten", large))}
    return {
        "seconds": seconds,
        "expected_encoded": len(new),
        "encoded": nights[1]["represent"]["encoded"],
        "represent_ratio": round(seconds[1]["represent"] / seconds[0]["represent"], 4),
        "run_ratio": round(seconds[1]["scored"] / seconds[0]["scored"], 4),
        "kept": not nights[1]["models"]["retrained"],
        "night_3": {name: nights[2]["represent"][name] for name in ("encoded", "model_loads")},
        "append_rows": [len(small), len(large)],
        "append_ratio_10x": round(append_ratio(sides, args.repeats, len(few)), 4),
        "store_bytes_ratio": round(store_bytes_ratio(spark, config, work), 4),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for option, default in (("--rows", 50_000), ("--ten-of", 20_000), ("--repeats", 3)):
        parser.add_argument(option, type=int, default=default)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    args = parser.parse_args()
    inputs = {
        "rows": args.rows,
        "ten_of": args.ten_of,
        "repeats": args.repeats,
        "cores": CORES,
        "conf": "conf/stock.yaml",
    }
    inputs |= {name: version(name) for name in ("pyspark", "torch", "pyarrow", "numpy")}
    say(platform.processor() or platform.machine(), platform.python_version(), inputs)
    tweets = read_tweets(args.data, max(rows + 2 * (rows // 100) for rows in (args.rows, args.ten_of)))
    with tempfile.TemporaryDirectory(prefix="nightly-") as name:
        spark = open_session("bench-nightly", {"spark.master": f"local[{CORES}]"})
        found = measure(spark, args, Path(name), tweets)
        spark.stop()
    fine = found["encoded"] == found["expected_encoded"] and not any(found["night_3"].values())
    fine = fine and found["kept"] and all(found[name] <= most for name, most in FLOORS.items())
    say(json.dumps({"benchmark": "nightly", "inputs": inputs, **found, "fine": fine}))
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
