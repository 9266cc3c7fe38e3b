"""Which precision a run encodes with: the configured one if it passes the quality gate, or the fastest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.errors import FusionSparkError
from fusionspark.files import Files
from fusionspark.pipeline.context import Context
from fusionspark.prepare.text_rules import PREPARATION_VERSION
from fusionspark.represent import int8_graph
from fusionspark.represent.autotune import Choice, check_quality, choose_precision
from fusionspark.represent.loading import EngineSettings, clear_cache, effective_digest
from fusionspark.represent.quality import LEAST_TEXTS, QualityFloors, QualityReport
from fusionspark.represent.store.verdicts import Verdicts

#: Precisions whose vectors differ from float32 by more than rounding.
COMPRESSED = ("int8", "static")


@dataclass(frozen=True)
class Decision:
    """The precision of a run, and what was measured to decide on it (for the manifest)."""

    precision: str
    facts: dict[str, Any]


def decide(ctx: Context, settings: EngineSettings, keyed: DataFrame, store: str) -> Decision:
    """Resolve ``auto`` and hold compressed precisions against float32 on a sample of the texts.

    Both are measured in a Spark task, so on a machine that will encode. New rows that meet the models of
    an earlier run are encoded as that run did. A verdict is kept in the store for the runs that ask the same
    of the same model: no model need be loaded for it again, and ``auto`` does not waver between two nights,
    which would encode every text anew.

    Parameters
    ----------
    keyed : DataFrame
        The prepared texts in `columns.CLEAN_TEXT` (null where there is none), and their keys.
    store : str
        Folder of the store.

    Raises
    ------
    ConfigError
        A compressed precision is below a floor; all figures are in the message.
    """
    if ctx.kept:
        trained = ctx.kept.manifest().get("represent") or {}
        precision = settings.precision
        return Decision(trained.get("precision", precision) if precision == "auto" else precision, {})
    if settings.precision not in (*COMPRESSED, "auto"):
        return Decision(settings.precision, {})
    gate = ctx.config.represent.quality
    asked = {
        "model": settings.model_digest, "precision": settings.precision, "max_tokens": settings.max_tokens,
        "long_text": settings.long_text, "preparation": PREPARATION_VERSION, "int8_graph": int8_graph.VERSION,
        **gate.model_dump(),
    }  # fmt: skip
    verdicts = Verdicts(Files(ctx.spark), store)
    kept = verdicts.of(asked)
    if kept is not None:
        return Decision(kept["precision"], {**kept["facts"], "verdict": "kept"})
    decision = _measure(ctx, settings, keyed)
    if decision.facts and decision.facts["sample"] >= LEAST_TEXTS:
        # What was refused for want of texts is measured again once there are more.
        digest = effective_digest(replace(settings, precision=decision.precision))
        verdicts.keep(asked, asdict(decision), digest)
    return decision


def _measure(ctx: Context, settings: EngineSettings, keyed: DataFrame) -> Decision:
    gate = ctx.config.represent.quality
    floors = QualityFloors(gate.mean_cosine, gate.p1_cosine, gate.overlap_at_10)
    # The lowest digests are a random sample that is the same for every layout of the table.
    distinct = keyed.where(F.col(c.KEY).isNotNull()).select(c.KEY, c.CLEAN_TEXT).distinct()
    sample = [row[c.CLEAN_TEXT] for row in distinct.orderBy(c.KEY).limit(gate.sample).collect()]
    if not sample:
        # Nothing will be encoded either.
        return Decision("float32" if settings.precision == "auto" else settings.precision, {})
    if settings.precision == "auto":
        choice: Choice = in_a_task(ctx.spark, lambda: choose_precision(settings, sample, floors))
        trials = [{**asdict(trial), "quality": _figures(trial.quality)} for trial in choice.trials]
        return Decision(choice.precision, {"sample": len(sample), "trials": trials})
    report: QualityReport = in_a_task(ctx.spark, lambda: check_quality(settings, sample, floors))
    return Decision(settings.precision, {"sample": len(sample), "quality": _figures(report)})


def in_a_task(spark: SparkSession, measure: Callable[[], Any]) -> Any:
    """Return what ``measure`` returns in a Spark task, so on a machine that will encode."""

    def task(_: int) -> Any:
        try:
            return measure()
        except FusionSparkError as error:
            # Raised here, Spark would bury it in the trace of a failed task, after trying four times.
            return error
        finally:
            # The models that lost would stay in the worker's memory beside the one that is used.
            clear_cache()

    found = spark.sparkContext.parallelize([0], 1).map(task).collect()[0]
    if isinstance(found, FusionSparkError):
        raise found
    return found


def _figures(report: QualityReport | None) -> dict[str, Any] | None:
    return None if report is None else asdict(report)
