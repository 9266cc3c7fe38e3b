"""`fusionspark tune`: the language model is adapted to the label, over the tasks of a barrier stage."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark import progress
from fusionspark.barrier_slots import run_in_barrier
from fusionspark.config import Config
from fusionspark.errors import ConfigError, DataContractError
from fusionspark.files import Files
from fusionspark.fuse.folds import FOLD, fold_of
from fusionspark.mine.classify import label_values
from fusionspark.pipeline.learnt_fusion import fold_source
from fusionspark.pipeline.running import run
from fusionspark.represent.model_source import resolve_model
from fusionspark.represent.tune.rows import TARGET, TEXT
from fusionspark.represent.tune.settings import TuneSettings
from fusionspark.represent.tune.tuner import TuneTask, finished, join_folds, run_process, target_of
from fusionspark.run_dates import check_run_date
from fusionspark.tables import RunFolder

#: Most processes where the configuration names no number: beyond, they mostly wait for each other.
MOST_PROCESSES = 8
#: Files that the training rows are written to.
_FILES = 4


def tune(
    spark: SparkSession,
    config: Config,
    run_date: str,
    *,
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr),
) -> dict[str, Any]:
    """Adapt ``represent.model`` to the label of the training rows and return what ``tuned.json`` says.

    The rows are those of the split ``train`` of the run date; validation rows choose the epoch whose weights
    are kept, and no test row is read. The stages up to prepare run first where they are not whole. The model
    lies in ``<output>/tuned/<label>-<fingerprint>``, and the path is under ``folder`` of the result. A
    tuning that was killed goes on when the same command is given again, and one that is done is not repeated.

    With ``tune.cross_fit`` there is one tuning for each of ``fuse.folds``, without its rows, and the model is
    a folder of their encoders. `fusionspark.fuse.stacker.Stacker` then has answers for the training rows that
    no encoder knew by heart.

    Raises
    ------
    ConfigError
        No text or label column; an output that is no folder on a file system of every node; folds of
        time, or a number, with ``tune.cross_fit``.
    DataContractError
        Fewer than two classes among the training rows.
    """
    columns = config.columns
    for name, value in (("columns.text", columns.text), ("columns.label", columns.label)):
        if not value:
            raise ConfigError(name, "is not set, and a model is tuned on texts with a label", remedy="set it")
    column = _fold_source(config) if config.tune.cross_fit else None
    prepared = _prepared(spark, config, run_date, say).where(
        F.col(c.LABEL).isNotNull() & (F.length(c.CLEAN_TEXT) > 0)
    )
    chosen = config.tune.model_dump(exclude={"processes", "cross_fit"})
    settings = TuneSettings(model=config.represent.model, seed=config.seed, **chosen)
    target = _target(prepared, config)
    base = resolve_model(settings.model).digest()
    facts = {"label": columns.label, "run_date": run_date}

    def task_of(seen: str, folder: str | None = None) -> TuneTask:
        fingerprint = settings.fingerprint(base, target.get("labels", []), seen)
        folder = folder or _local(spark, f"{config.output}/tuned/{columns.label}-{fingerprint[:12]}")
        rows, held = f"{folder}.rows/{c.TRAIN}", f"{folder}.rows/{c.VALIDATION}"
        return TuneTask(settings, columns.label_kind, target, rows, held, folder, fingerprint, facts)

    seen = _rows_seen(prepared)
    if column is None:
        task = task_of(seen)
        return {**_tuned(spark, config, task, prepared, say), "folder": task.folder}
    folds = config.fuse.folds
    seen = f"{seen} in {folds} folds by {column}"
    whole = task_of(seen)
    found = finished(whole)
    if found is None:
        numbered = prepared.withColumn(FOLD, fold_of(column, folds, config.seed))
        parts = [task_of(f"{seen} without {f}", f"{whole.folder}.parts/fold-{f}") for f in range(folds)]
        told = []
        for fold, part in enumerate(parts):
            say(f"tune: encoder {fold + 1} of {folds}")
            others = (F.col(FOLD) != fold) | (F.col(c.SPLIT) != c.TRAIN)
            told.append(_tuned(spark, config, part, numbered.where(others), say))
        found = join_folds(told, [part.folder for part in parts], whole, column, config.seed)
        Files(spark).delete(f"{whole.folder}.parts")
    return {**found, "folder": whole.folder}


def _fold_source(config: Config) -> str:
    """The column that the folds of a stack are a hash of; a ConfigError where no stack could use them."""
    if config.columns.number:
        raise ConfigError(
            "tune.cross_fit",
            "is true, and the label is a number, which fuse.method stack does not take",
            allowed="columns.label_kind classes",
            remedy="set tune.cross_fit to false",
        )
    if config.fuse.fold_by == "date":
        raise ConfigError(
            "tune.cross_fit",
            "is true, and fuse.fold_by is 'date': a model of the past answers for more than one fold",
            allowed="fuse.fold_by hash or group",
            remedy="set tune.cross_fit to false, or make folds by a hash",
        )
    return fold_source(config) or c.ROW_ID


def _tuned(
    spark: SparkSession, config: Config, task: TuneTask, rows: DataFrame, say: Callable[[str], None]
) -> dict[str, Any]:
    """What the tuning of ``task`` found, after doing it where it is not done."""
    found = finished(task)
    if found is None:
        Path(task.folder).parent.mkdir(parents=True, exist_ok=True)
        # Written again after a crash as well: the rows and their order are the same.
        for split, path in ((c.TRAIN, task.rows), (c.VALIDATION, task.validation)):
            _write(rows.where(F.col(c.SPLIT) == split), config.seed, path)
        found = _distributed(spark, config, task, say)
        Files(spark).delete(f"{task.folder}.rows")
    return found


def _prepared(spark: SparkSession, config: Config, run_date: str, say: Callable[[str], None]) -> DataFrame:
    """The table `prepared` of the run date, made where it is not there."""
    home = RunFolder(spark, f"{config.output}/runs", check_run_date(run_date), config.table_format)
    published = home.published_attempt()
    if published is not None:
        facts = home.at(published).stage_facts("prepare") or {}
        if facts.get("config_digest") == config.stage_digest("prepare"):
            return home.at(published).read(c.PREPARED)
    run(spark, config, run_date, last="prepare", say=say)
    return home.at(home.attempts()[-1]).read(c.PREPARED)


def _target(prepared: DataFrame, config: Config) -> dict[str, Any]:
    if not config.columns.number:
        return target_of(label_values(prepared), "classes")
    value = F.col(c.LABEL).cast("double")
    train = prepared.where(F.col(c.SPLIT) == c.TRAIN)
    row = train.agg(F.mean(value).alias("mean"), F.stddev_pop(value).alias("deviation")).collect()[0]
    if row["mean"] is None:
        raise DataContractError("the label", "no training row has one", remedy="check columns.label")
    return row.asDict()


def _rows_seen(prepared: DataFrame) -> str:
    """What tells one set of rows from another, from one aggregation."""
    each = F.xxhash64(c.ROW_ID, c.SPLIT, c.LABEL, c.CLEAN_TEXT).cast("decimal(38,0)")
    kept = prepared.where(F.col(c.SPLIT).isin(c.TRAIN, c.VALIDATION))
    row = kept.agg(F.count("*").alias("rows"), F.sum(each).alias("sum")).collect()[0]
    return f"{row['rows']} {row['sum']}"


def _write(rows: DataFrame, seed: int, path: str) -> None:
    """Texts and labels in an order of their own, so that neighbours have nothing in common."""
    place = F.xxhash64(F.lit(seed), c.ROW_ID)
    ordered = rows.repartition(_FILES, c.ROW_ID).sortWithinPartitions(place, c.ROW_ID)
    ordered.select(F.col(c.CLEAN_TEXT).alias(TEXT), F.col(c.LABEL).alias(TARGET)).write.mode(
        "overwrite"
    ).parquet(path)


def _local(spark: SparkSession, path: str) -> str:
    """The path as a process of a task opens it."""
    absolute = Files(spark).absolute(path)
    if not absolute.startswith("/"):
        raise ConfigError(
            f"output {path!r}",
            "is on a file system that the processes of a tuning cannot open as a folder",
            allowed="a folder of this machine, or one that every node has mounted",
            remedy="give --set output=/a/shared/folder for the tuning",
        )
    Path(absolute).parent.mkdir(parents=True, exist_ok=True)
    return absolute


def _distributed(
    spark: SparkSession, config: Config, task: TuneTask, say: Callable[[str], None]
) -> dict[str, Any]:
    from pyspark.ml.torch.distributor import TorchDistributor

    slots = spark.sparkContext.defaultParallelism
    processes = config.tune.processes or min(MOST_PROCESSES, slots)
    if processes > slots and str(spark.sparkContext.master).startswith("local"):
        raise ConfigError(
            "tune.processes",
            f"is {processes}, and all of them must run at once",
            allowed=f"at most the {slots} task slots of this session",
        )
    say(f"tune: {task.settings.model} on {processes} processes, into {task.folder}")
    # This barrier stage has no resource profile of its own: its tasks have GPUs where all tasks have.
    gpu = float(spark.conf.get("spark.task.resource.gpu.amount", "0") or 0) >= 1

    def run_processes() -> dict[str, Any]:
        distributor = TorchDistributor(num_processes=processes, local_mode=False, use_gpu=gpu)
        return dict(distributor.run(run_process, task) or {})

    with progress.stage(spark, "tune"):
        return run_in_barrier(spark, processes, "the tuning", run_processes)
