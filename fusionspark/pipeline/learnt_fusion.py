"""Fusion methods that learn from the label, inside the stage fuse."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark import progress
from fusionspark.config import Config
from fusionspark.errors import ConfigError
from fusionspark.fuse.auto import AutoFuser
from fusionspark.fuse.gated import GatedFuser, GatedFuserModel
from fusionspark.fuse.stacker import Stacker, StackerModel
from fusionspark.mine.classify import check_labels, label_values
from fusionspark.pipeline.context import Context
from fusionspark.pipeline.receipt import NARROW
from fusionspark.represent.model_source import resolve_model
from fusionspark.tables import RunFolder

CONCAT, STACK, GATED, AUTO = "concat", "stack", "gated", "auto"
#: Folds in which methods are compared at most: each is fitted once a fold.
AUTO_FOLDS = 3
#: Scratch column that folds are made by.
FOLD_KEY = "__fold_key"
#: Scratch column of the rows that choose a penalty.
_CHOOSES = "__chooses"
_MODELS: dict[str, Any] = {STACK: StackerModel, GATED: GatedFuserModel}


def fold_columns(ctx: Context, prepared: DataFrame) -> list[Column]:
    """Return the column that folds are made by, where it is not row_id and tonight's models are trained."""
    name = fold_source(ctx.config)
    return [F.col(f"`{name}`").alias(FOLD_KEY)] if name and name in prepared.columns else []


def fold_source(config: Config) -> str | None:
    """Return the column of the source that folds are made by; None where it is row_id."""
    fuse = config.fuse
    return {"group": fuse.group, "date": config.columns.date}.get(fuse.fold_by)


def load(models: RunFolder, method: str) -> Any:
    """Return what a method learnt in the run ``models``; None for concatenation, which learns no labels."""
    return None if method == CONCAT else _MODELS[method].load(models.model_path("fuse_learnt"))


def wanted(ctx: Context) -> bool:
    """Whether the run's models fuse by more than concatenation."""
    return _method(ctx) != CONCAT


def _method(ctx: Context) -> str:
    """The method of the models that are applied; of those that are trained, as configured."""
    if ctx.kept is None:
        return ctx.config.fuse.method
    return str((ctx.kept.stage_facts("fuse") or {}).get("method", CONCAT))


def check(config: Config) -> None:
    """Fail before the first stage, not after all texts were encoded, where the method cannot take the model.

    Raises
    ------
    ConfigError
        See `_tuned_by_fold`.
    """
    if config.columns.text and config.fuse.method in (STACK, AUTO):
        _tuned_by_fold(config)


def learn(ctx: Context, joined: DataFrame, names: dict[str, str]) -> tuple[DataFrame, dict[str, Any]]:
    """Fit where tonight's models are trained, apply, and return the rows with ``features`` and the facts.

    Parameters
    ----------
    joined : DataFrame
        row_id, split, label and the joined blocks.
    names : dict of str to str
        Column of a block -> its name in the configuration.
    """
    method, facts = _method(ctx), dict[str, Any]()
    started = time.monotonic()
    if ctx.kept is None:
        labels = label_values(joined)
        check_labels(labels)
        labelled = joined.where(F.col(c.LABEL).isNotNull())
        train = labelled.where(F.col(c.SPLIT) == c.TRAIN)
        with progress.stage(ctx.spark, f"fuse: {method}"):
            if method == AUTO:
                others = {name: build(ctx, name, labels, names) for name in (STACK, GATED)}
                folds = {**_folds(ctx), "numFolds": min(AUTO_FOLDS, ctx.config.fuse.folds)}
                auto = AutoFuser(others, labels=labels, seed=ctx.config.seed, **folds).fit(train)
                assert auto.choice is not None
                method, facts["auto"], model = auto.choice.method, auto.choice.facts(), auto.inner
            elif method == STACK:
                chooses = (F.col(c.SPLIT) == c.VALIDATION).alias(_CHOOSES)
                both = labelled.where(F.col(c.SPLIT).isin(c.TRAIN, c.VALIDATION)).select("*", chooses)
                stacker = build(ctx, method, labels, names).setParams(validationIndicatorCol=_CHOOSES)
                model = stacker.fit(both)
            else:
                model = build(ctx, method, labels, names).fit(train)
            if method != CONCAT:
                model.write().overwrite().save(ctx.run.model_path("fuse_learnt"))
                facts["labels"] = labels
    facts |= {"method": method, "seconds_fit": round(time.monotonic() - started, 3)}
    if method == CONCAT:
        return joined.withColumnRenamed(c.JOINED, c.FEATURES), facts
    if ctx.kept is not None:
        facts["labels"] = (ctx.kept.stage_facts("fuse") or {})["labels"]
    model = load(ctx.models, method)
    layout = {}
    for part, (start, end) in model.layout.items():
        column = part.removesuffix(" says")
        shown = part.replace(column, names.get(column, column), 1)
        layout[shown] = {"dimension": end - start, "weight": 1.0, "start": start}
    if method == GATED:
        facts["network"] = model.facts
    return model.transform(joined), {**facts, "features": layout}


def build(ctx: Context, method: str, labels: list[str], names: dict[str, str]) -> Any:
    """Return the unfitted estimator of a method."""
    fuse, seed = ctx.config.fuse, ctx.config.seed
    if method == GATED:
        return GatedFuser(
            labels=labels,
            encoderUnits=fuse.gated.encoder_units,
            hiddenUnits=fuse.gated.hidden_units,
            maxIter=fuse.gated.max_epochs,
            numTasks=fuse.gated.tasks,
            localMode=fuse.gated.local,
            rowsDir=ctx.run.table_path("rows_of_gated"),
            seed=seed,
        )
    folded = c.EMBEDDING in names and _tuned_by_fold(ctx.config)
    return Stacker(
        labels=labels,
        keptBlocks=[column for column, name in names.items() if name in NARROW],
        foldedBlocks=[c.EMBEDDING] if folded else [],
        seed=seed,
        **_folds(ctx),
    )


def _tuned_by_fold(config: Config) -> bool:
    """Return whether the text's model holds an encoder for each fold, tuned without its rows.

    Raises
    ------
    ConfigError
        Their folds are not those of the stack, or methods were to be compared on rows that they know.
    """
    tuned = resolve_model(config.represent.model).folds()
    if tuned is None:
        return False
    fuse = config.fuse
    if fuse.method == AUTO:
        raise ConfigError(
            "fuse.method",
            "is 'auto', which compares on training rows, and encoders tuned fold by fold know those by heart",
            allowed=STACK,
            remedy=f"set fuse.method: {STACK}, which alone reads them part by part",
        )
    theirs = {"folds": len(tuned.parts), "column": tuned.column, "seed": tuned.seed}
    ours = {"folds": fuse.folds, "column": fold_source(config) or c.ROW_ID, "seed": config.seed}
    if ours != theirs or fuse.fold_by == "date" or fuse.reduction != "none":
        raise ConfigError(
            "fuse",
            f"has folds {ours}, fold_by {fuse.fold_by!r} and reduction {fuse.reduction!r}",
            allowed=f"{theirs}, by a hash and without reduction, as represent.model was tuned",
            remedy="set fuse.folds, fuse.fold_by and seed as for `fusionspark tune`, or tune anew",
        )
    return True


def _folds(ctx: Context) -> dict[str, Any]:
    """The Params of folds as `fuse` has them."""
    fuse = ctx.config.fuse
    return {
        "numFolds": fuse.folds,
        "foldBy": "time" if fuse.fold_by == "date" else "hash",
        "foldCol": c.ROW_ID if fuse.fold_by == "hash" else FOLD_KEY,
    }


def for_shape(features: DataFrame) -> DataFrame:
    """Return the rows with the joined blocks as features: what may not know the label works on these."""
    if c.JOINED not in features.columns:
        return features
    return features.drop(c.FEATURES).withColumnRenamed(c.JOINED, c.FEATURES)


def own_answers(ctx: Context, features: DataFrame) -> DataFrame | None:
    """Return the predictions of a method that answers by itself, as `columns.PREDICTIONS_DDL`; else None."""
    if c.ANSWER not in features.columns:
        return None
    return answers(features, ctx.facts["fuse"]["method"], ctx.facts["fuse"]["labels"])


def answers(features: DataFrame, method: str, labels: Sequence[str]) -> DataFrame:
    """Return the predictions of rows with an answer of the method's own, as `columns.PREDICTIONS_DDL`."""
    known = F.array(*[F.lit(label) for label in labels])
    said = F.col(c.ANSWER)
    # As SQL: the function takes no column as value before Spark 4.
    likeliest = F.expr(f"array_position({c.ANSWER}, array_max({c.ANSWER}))")
    return features.select(
        c.ROW_ID,
        c.SPLIT,
        c.LABEL,
        F.lit(method).alias(c.ALGORITHM),
        F.element_at(known, likeliest.cast("int")).alias(c.PREDICTION),
        F.map_from_arrays(known, said).alias(c.SCORES),
    )
