"""What each way of fusing is worth on real sets, and what its training takes.

    python scripts/bench/fusion.py --set clothing|weibo|phrasebank|stocknet [--folds 5] [--rows N]
                                   [--methods concat,stack,gated]
                                   [--metas logistic_regression,xgboost,voting]
                                   [--precision float32]
                                   [--tune lora|all] [--cross-fit] [--mixing 1.0] [--learning-rate 0]
                                   [--epochs 3] [--stack-folds 5] [--work DIR] [--data ../shared/data]

Protocols are those stated beside the data: clothing in 5 folds of 10,000 rows (one-vs-rest macro AUC), Weibo
2,400 rows to train and 987 to test (one split a fold), PhraseBank in 5 folds from text alone, StockNet by
date. The rows go through the stages of the project: collect, prepare and represent once, then for each fold
what is learnt from training rows (TF-IDF, encoding), the stage fuse with each method, and a classifier. One
training row in twenty is held out for choosing the way of a fold, which then learns from all training rows
(``fused``); test rows are used for nothing but the figures. With --tune each fold's encoder is first adapted
to the label of its training rows, as `fusionspark tune` does; the rows that choose the method also choose the
epoch, and as the only ones that the encoder has not learnt from they stay apart to the end. With --cross-fit
there is an encoder for each fold of the stack, tuned without its rows, as with ``tune.cross_fit``. With
--work what was encoded, and folds that are done, stay there for the next call.

The last line is one JSON object. Ends with 1 where a floor is missed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
# Workers import the checkout, too.
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
from fusionspark import columns as c  # noqa: E402
from fusionspark.config import Config  # noqa: E402
from fusionspark.config_file import load  # noqa: E402
from fusionspark.fuse.folds import FOLD, fold_of  # noqa: E402
from fusionspark.mine import classify  # noqa: E402
from fusionspark.mine.algorithms import Hyperparameters  # noqa: E402
from fusionspark.pipeline import learnt_fusion, receipt  # noqa: E402
from fusionspark.pipeline.context import Context  # noqa: E402
from fusionspark.pipeline.fuse_stage import fuse  # noqa: E402
from fusionspark.pipeline.represent_stage import represent  # noqa: E402
from fusionspark.pipeline.running import run  # noqa: E402
from fusionspark.prepare.stages import drop_scratch, feature_pipeline  # noqa: E402
from fusionspark.report.metrics import evaluate  # noqa: E402
from fusionspark.represent.tune.settings import TuneSettings  # noqa: E402
from fusionspark.represent.tune.tuner import TuneTask, finished, join_folds, tune_encoder  # noqa: E402
from fusionspark.session import open_session  # noqa: E402
from fusionspark.tables import RunFolder, ordered_for_fit  # noqa: E402

DATE = "2026-01-31"
#: Parts that rows are dealt into, each held out once; with --folds only the first ones are measured.
FOLDS = 5
#: Share of the training rows that choose the method of a fold.
CHOOSING = 0.05
#: Words and pairs of words; base.yaml's 2,000 words are for small tables.
TFIDF = ["prepare.tfidf_features=20000", "prepare.tfidf_ngrams=2", "prepare.tfidf_min_rows=3"]
#: Depth of boosted trees over what the models of a stack say: few, nearly independent columns.
META_DEPTH = 3
MEASURES = ("accuracy", "macro_f1", "auc")
#: Set -> figure of the way chosen on validation rows -> least value.
FLOORS = {
    "clothing": {"auc": 0.9},
    "weibo": {"accuracy": 0.9, "auc": 0.96},
    "phrasebank": {"accuracy": 0.84},
    "stocknet": {},
}
#: The same where the encoder is tuned.
TUNED_FLOORS = {**FLOORS, "clothing": {"auc": 0.9068}}
#: Set -> most by which the accuracy on training rows may be above that on test rows.
LARGEST_GAP = {"phrasebank": 0.06}


def say(*parts: object) -> None:
    print(*parts, flush=True)


def configured(name: str, data: Path, work: Path, rows: int | None, settings: list[str]) -> Config:
    """The set's configuration, over a copy of the rows that its protocol asks for."""
    feed = work / "feed.csv"
    common = ["source.format=csv", f"source.path={feed}", f"output={work}/out", *TFIDF, *settings]
    if name == "clothing":
        table = pd.read_csv(data / "womens_clothing" / "womens_clothing.csv", index_col=0)
        table.sample(min(rows or 10_000, 10_000), random_state=0).to_csv(feed)
        # The contract is of the whole file; the protocol takes 10,000 rows of it.
        return load(ROOT / "conf" / "clothing.yaml", [*common, "contract.rows.min=1"])
    if name == "weibo":
        table = pd.read_csv(data / "weibo_rumor_ced" / "ced_flat.csv", dtype=str, keep_default_na=False)
        table.to_csv(feed, index=False)
        return load(ROOT / "conf" / "rumor.yaml", common)
    if name == "phrasebank":
        path = data / "financial_phrasebank" / "all-data.csv"
        table = pd.read_csv(path, header=None, encoding="latin-1", names=["label", "text"])
        table.rename_axis("id").to_csv(feed)
        plain = work / "phrasebank.yaml"
        plain.write_text("columns: {key: id, text: text, label: label}\n")
        return load(plain, common)
    table = pd.read_csv(data / "stocknet" / "tweets_flat.csv.gz", dtype=str, keep_default_na=False)
    table.sample(min(rows or 20_000, len(table)), random_state=0).to_csv(feed, index=False)
    return load(ROOT / "conf" / "stock.yaml", common)


def folds_of(name: str, prepared: DataFrame, wanted: int) -> list[pd.DataFrame]:
    """For each fold a table of row_id and split."""
    rows = prepared.select(c.ROW_ID, c.LABEL, c.SPLIT).orderBy(c.ROW_ID).toPandas()
    if name == "stocknet":
        return [rows[[c.ROW_ID, c.SPLIT]]]
    made = []
    for fold in range(wanted):
        random = np.random.default_rng(fold if name == "weibo" else 0)
        order = random.permutation(len(rows))
        if name == "weibo":
            test = order[2400:]
        else:
            # Stratified: the rows of each label are dealt out one after the other.
            dealt = rows.iloc[order].groupby(c.LABEL).cumcount().reindex(rows.index)
            test = np.flatnonzero(dealt % FOLDS == fold)
        split = np.full(len(rows), c.TRAIN, dtype=object)
        split[np.random.default_rng(fold + 1).random(len(rows)) < CHOOSING] = c.VALIDATION
        split[test] = c.TEST
        made.append(pd.DataFrame({c.ROW_ID: rows[c.ROW_ID], c.SPLIT: split}))
    return made


def fold_context(
    base: Context, prepared: DataFrame, split: pd.DataFrame, number: int, tune: str | None
) -> Context:
    """A run folder whose training rows are those of one fold, prepared anew from them alone."""
    folder = RunFolder(base.spark, f"{base.run.root}-folds", f"fold-{number}").at("attempts/1")
    parted = prepared.drop(c.SPLIT).join(base.spark.createDataFrame(split), c.ROW_ID)
    train = ordered_for_fit(parted.where(F.col(c.SPLIT) == c.TRAIN), base.partitions)
    model = feature_pipeline(base.config.columns, base.config.prepare).fit(train)
    written = folder.write(drop_scratch(model.transform(parted)), c.PREPARED)
    counts = {row[c.SPLIT]: row["count"] for row in written.groupBy(c.SPLIT).count().collect()}
    facts = {**base.facts, "prepare": {"rows": sum(counts.values()), "splits": counts}}
    if tune is not None:
        # Rows whose embedding fails go there beside those of the base run.
        take_over(base.run, folder, c.QUARANTINE)
        encoder = tuned(base.config, written, tune, f"{base.run.root}-folds/tuned-{number}")
        changed = base.config.represent.model_copy(update={"model": encoder})
        config = base.config.model_copy(update={"represent": changed})
        ctx = Context(base.spark, config, folder, facts=facts)
        started = time.monotonic()
        ctx.facts["represent"] = {**represent(ctx), "seconds": round(time.monotonic() - started, 3)}
        return ctx
    take_over(base.run, folder, c.EMBEDDINGS)
    return Context(base.spark, base.config, folder, facts=facts)


def take_over(run: RunFolder, folder: RunFolder, table: str) -> None:
    """Copy a table of ``run``, in place of one that an earlier call left in ``folder``."""
    folder.files.delete(folder.table_path(table))
    folder.files.copy(run.table_path(table), folder.table_path(table))


def tuned(config: Config, prepared: DataFrame, method: str, folder: str) -> str:
    """The folder of the encoder, or of one for each fold of the stack, tuned to the training rows."""
    number = fold_of(c.ROW_ID, config.fuse.folds, config.seed).alias(FOLD)
    rows = prepared.where(F.col(c.SPLIT) != c.TEST).select(c.ROW_ID, c.SPLIT, c.LABEL, c.CLEAN_TEXT, number)
    table = rows.dropna().orderBy(F.xxhash64(c.ROW_ID), c.ROW_ID).toPandas()
    how = config.tune.model_dump(exclude={"processes", "method", "cross_fit"})
    settings = TuneSettings(model=config.represent.model, seed=config.seed, method=method, **how)
    if not config.tune.cross_fit:
        tuned_on(table, folder, settings, os.cpu_count() or 1)
        return folder
    parts = {f"{folder}-without-{f}": table[table[FOLD] != f] for f in range(config.fuse.folds)}
    validation = table[table[c.SPLIT] == c.VALIDATION]
    given = [pd.concat([rest[rest[c.SPLIT] == c.TRAIN], validation]) for rest in parts.values()]
    # Side by side with one thread each: two threads do a step of a small network in 1.5 times less, not in 2.
    with ProcessPoolExecutor(len(parts), multiprocessing.get_context("spawn")) as pool:
        told = list(pool.map(tuned_on, given, parts, [settings] * len(parts), [1] * len(parts)))
    fingerprint = " ".join(part["fingerprint"] for part in told)
    whole = TuneTask(settings, "classes", {}, "", "", folder, fingerprint, {})
    if finished(whole) is None:
        join_folds(told, list(parts), whole, c.ROW_ID, config.seed)
    return folder


def tuned_on(table: pd.DataFrame, folder: str, settings: TuneSettings, threads: int) -> dict[str, Any]:
    """Tune one encoder to the training rows of ``table``; returns what ``tuned.json`` says."""
    name = Path(folder).name
    learnt, held = (table[table[c.SPLIT] == split] for split in (c.TRAIN, c.VALIDATION))
    facts = tune_encoder(
        learnt[c.CLEAN_TEXT].tolist(),
        learnt[c.LABEL].tolist(),
        folder,
        settings,
        validation=(held[c.CLEAN_TEXT].tolist(), held[c.LABEL].tolist()),
        threads=threads,
        say=lambda line: say(f"{name}: {line}"),
    )
    say(
        f"{name}:",
        json.dumps({key: facts[key] for key in ("epochs", "rows", "steps", "seconds", "scores")}),
    )
    return facts


def with_method(ctx: Context, method: str) -> Context:
    changed = ctx.config.fuse.model_copy(update={"method": method})
    config = ctx.config.model_copy(update={"fuse": changed})
    return Context(ctx.spark, config, ctx.run, facts=dict(ctx.facts))


def figures(predictions: DataFrame) -> dict[str, dict[str, float]]:
    """split -> measure -> value of the only algorithm in the predictions."""
    (measured,) = evaluate(predictions).values()
    return {split: {m: found[m] for m in MEASURES} for split, found in measured.items()}


def measure(ctx: Context, method: str, metas: Sequence[str]) -> tuple[dict[str, dict[str, Any]], Context]:
    """Fuse, train and apply; for each way its figures on each split, and the seconds of its training.

    A method that answers by itself is one way; concatenation is read by logistic regression; what the models
    of a stack say is read by each of ``metas``.
    """
    ctx = with_method(ctx, method)
    started = time.monotonic()
    ctx.facts["fuse"] = fuse(ctx)
    fused = time.monotonic() - started
    features = ctx.run.read(c.FEATURE_TABLE)
    answers = learnt_fusion.own_answers(ctx, features)
    if answers is not None:
        return {method: {"seconds": round(fused, 1), **figures(answers)}}, ctx
    settings, labels = ctx.config.mine.classify, classify.label_values(features)
    parameters = Hyperparameters(
        max_iter=settings.max_iter,
        regularization=settings.regularization,
        max_depth=META_DEPTH,
        voting=("logistic_regression", "xgboost"),
        seed=ctx.config.seed,
    )
    found = {}
    for algorithm in metas if method == learnt_fusion.STACK else ["logistic_regression"]:
        started = time.monotonic()
        trained = classify.train(features, algorithm, labels, parameters, partitions=ctx.partitions)
        measured = figures(trained.predict(features))
        seconds = fused + time.monotonic() - started
        name = method if algorithm == "logistic_regression" else f"{method} + {algorithm}"
        found[name] = {"seconds": round(seconds, 1), **measured}
    return found, ctx


def refitted(ctx: Context, prepared: DataFrame, split: pd.DataFrame, number: int, way: str) -> Any:
    """Figures of the chosen way, of training rows that are all learnt from."""
    method, _, meta = way.partition(" + ")
    whole = split.assign(**{c.SPLIT: split[c.SPLIT].replace(c.VALIDATION, c.TRAIN)})
    again = fold_context(ctx, prepared, whole, number, None)
    measured, _ = measure(again, method, [meta or "logistic_regression"])
    return measured[way]


def measured_fold(ctx: Context, methods: list[str], metas: list[str], name: str) -> dict[str, Any]:
    """Figures of each way in one fold, the way that its validation rows choose, and the receipt."""
    found: dict[str, Any] = {}
    for method in methods:
        ways, used = measure(ctx, method, metas)
        for way, measured in ways.items():
            say(f"{way}: {json.dumps(measured)}")
        found |= ways
    by = "auc" if name in ("clothing", "stocknet") else "accuracy"
    shape = learnt_fusion.for_shape(used.run.read(c.FEATURE_TABLE))
    made = receipt.make(used, shape, classify.label_values(shape))
    return {
        "chosen": max(found, key=lambda way: found[way][c.VALIDATION][by]),
        "figures": found,
        "receipt": made,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", required=True, choices=list(FLOORS), dest="name")
    parser.add_argument("--folds", type=int, default=FOLDS)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--methods", default="concat,stack,gated")
    parser.add_argument("--metas", default="logistic_regression,xgboost,voting")
    parser.add_argument("--precision", default="float32", help="of the encoder: represent.precision")
    parser.add_argument("--tune", choices=["lora", "all"])
    parser.add_argument("--mixing", type=float, default=1.0, help="tune.mixing")
    parser.add_argument("--cross-fit", action="store_true", help="tune.cross_fit")
    parser.add_argument("--learning-rate", type=float, default=0.0, help="tune.learning_rate")
    parser.add_argument("--epochs", type=int, default=3, help="tune.epochs")
    parser.add_argument("--stack-folds", type=int, default=5, help="fuse.folds")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    options = parser.parse_args()
    methods, metas = options.methods.split(","), options.metas.split(",")
    with tempfile.TemporaryDirectory() as folder:
        work = (options.work or Path(folder)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        settings = [
            f"represent.precision={options.precision}",
            f"tune.mixing={options.mixing}",
            f"tune.cross_fit={str(options.cross_fit).lower()}",
            f"tune.learning_rate={options.learning_rate}",
            f"tune.epochs={options.epochs}",
            f"fuse.folds={options.stack_folds}",
        ]
        config = configured(options.name, options.data, work, options.rows, settings)
        spark = open_session("fusionspark-bench-fusion", config.spark)
        run(spark, config, DATE, last="represent", say=say)
        base_run = RunFolder(spark, f"{config.output}/runs", DATE)
        facts = {stage: base_run.stage_facts(stage) or {} for stage in ("collect", "represent")}
        base = Context(spark, config, base_run, facts=facts)
        made = [*c.tfidf_blocks(len(config.columns.text)), c.TABLE_BLOCK]
        prepared = base_run.read(c.PREPARED).drop(*made).persist()
        folds: list[dict[str, Any]] = []
        for number, split in enumerate(folds_of(options.name, prepared, options.folds)):
            way = f"{options.tune}-{options.mixing:g}" if options.tune else "frozen"
            way += f"-{options.learning_rate:g}-{options.epochs}-{options.stack_folds}"
            way += "-cross" * options.cross_fit
            done = work / f"fold-{number}-{'-'.join([*methods, *metas, way])}.json"
            if done.exists():
                fold = json.loads(done.read_text())
            else:
                ctx = fold_context(base, prepared, split, number, options.tune)
                fold = measured_fold(ctx, methods, metas, options.name)
                fold["fused"] = fold["figures"][fold["chosen"]]
                if options.tune is None:
                    # With a tuned encoder the rows that choose stay apart: it has seen all the others.
                    fold["fused"] = refitted(ctx, prepared, split, number, fold["chosen"])
                done.write_text(json.dumps(fold))
            say(f"fold {number}: {fold['chosen']}", json.dumps(fold["fused"]))
            folds.append(fold)
        rows = prepared.count()
        spark.stop()
    result = summary(options.name, folds, tuned=options.tune is not None)
    result |= {
        "set": options.name,
        "rows": rows,
        "folds": len(folds),
        "encoder": config.represent.model if options.tune is None else f"tuned ({options.tune})",
        "precision": options.precision,
        "tune": config.tune.model_dump(include={"cross_fit", "epochs", "learning_rate", "mixing"}),
        "stack_folds": options.stack_folds,
        "seconds_represent": facts["represent"]["seconds"],
        "tfidf": TFIDF,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {name: version(name) for name in ("pyspark", "scikit-learn", "torch")},
    }
    say(json.dumps(result))
    return 0 if all(result["floors"].values()) else 1


def summary(name: str, folds: list[dict[str, Any]], *, tuned: bool) -> dict[str, Any]:
    """Means over the folds of each way, and of the one that was chosen in each fold and refitted."""

    def mean(values: list[float]) -> float:
        return round(float(np.mean(values)), 4)

    figures = [fold["figures"] for fold in folds]
    by_method = {
        method: {
            **{f"{m}_test": mean([fold[method][c.TEST][m] for fold in figures]) for m in MEASURES},
            **{f"{m}_train": mean([fold[method][c.TRAIN][m] for fold in figures]) for m in MEASURES},
            "seconds_training": mean([fold[method]["seconds"] for fold in figures]),
        }
        for method in figures[0]
    }
    fused = {m: mean([fold["fused"][c.TEST][m] for fold in folds]) for m in MEASURES}
    gap = round(mean([fold["fused"][c.TRAIN]["accuracy"] for fold in folds]) - fused["accuracy"], 4)
    least = (TUNED_FLOORS if tuned else FLOORS)[name]
    floors = {f"{m} >= {value}": fused[m] >= value for m, value in least.items()}
    if name in LARGEST_GAP:
        floors[f"train_minus_test <= {LARGEST_GAP[name]}"] = gap <= LARGEST_GAP[name]
    kept = (
        "text_pays",
        "fusion_pays",
        "text",
        "fusion",
        "shuffled",
        "arms",
        "rows",
        "best_block",
        "cost",
        "why",
    )
    return {
        "methods": by_method,
        "chosen": [fold["chosen"] for fold in folds],
        **{f"{m}_fused": value for m, value in fused.items()},
        "train_minus_test": gap,
        "receipts": [{key: fold["receipt"].get(key) for key in kept[:2]} for fold in folds],
        "receipt": {key: folds[0]["receipt"][key] for key in kept if key in folds[0]["receipt"]},
        "floors": floors,
    }


if __name__ == "__main__":
    sys.exit(main())
