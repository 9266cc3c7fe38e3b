"""The models of a run, loaded once and applied to any number of tables in one pass each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from pyspark import cloudpickle
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.errors import ConfigError
from fusionspark.fuse.feature_fuser import FeatureFuserModel
from fusionspark.fuse.reducer import BlockReducerModel
from fusionspark.fuse.stacker import StackerModel
from fusionspark.mine.array_scores import scorer_of
from fusionspark.mine.classify import Classifier, predictions_of
from fusionspark.pipeline import learnt_fusion, table_features
from fusionspark.pipeline.context import Context
from fusionspark.pipeline.one_pass.recipe import FOLD, Recipe, partition_scorer
from fusionspark.pipeline.prepare_stage import SCORED
from fusionspark.pipeline.represent_stage import same_model
from fusionspark.pipeline.vector_space import engine_of
from fusionspark.prepare import stages as preparing
from fusionspark.prepare.tfidf_rows import tfidf_of
from fusionspark.represent.autotune import resolve_auto
from fusionspark.represent.gpu_profile import map_in_arrow
from fusionspark.represent.loading import EngineSettings, effective_digest
from fusionspark.represent.monitor import counters_accumulator
from fusionspark.tables import RunFolder


@dataclass(frozen=True)
class OnePass:
    """What scores rows in one pass.

    Attributes
    ----------
    of : RunFolder
        The run that trained the models.
    classifiers : dict of str to Classifier
        Column of raw scores -> classifier.
    own : str
        Column of what the fusion method answers by itself; empty where it does not.
    table : PipelineModel
        What prepare learnt about structured columns.
    stack : StackerModel or None
        Says which fold answers for a row.
    facts : dict
        ``model``, ``model_digest`` and ``precision`` of the language model, None without text; the fusion
        ``method``, the ``labels``, the ``best`` algorithm.
    """

    of: RunFolder
    recipe: Recipe
    function: Callable[..., Any]
    monitor: Any
    classifiers: dict[str, Classifier]
    own: str
    table: PipelineModel
    stack: StackerModel | None
    facts: dict[str, Any]

    @classmethod
    def load(cls, ctx: Context) -> OnePass:
        """Load the models of ``ctx.kept``.

        Raises
        ------
        ConfigError
            They cannot be applied in one pass; the message says which and why.
        ModelMismatchError
            The language model is not the one that the classifiers were trained on.
        """
        run = ctx.kept
        assert run is not None
        trained = run.manifest()
        method = str((run.stage_facts("fuse") or {}).get("method", learnt_fusion.CONCAT))
        _check(ctx, trained)
        classifiers = {
            f"__scores_{i}": Classifier.load(run.model_path(f"classify/{name}"))
            for i, name in enumerate(name for name in trained["classify"] if name != method)
        }
        scorers = {column: scorer_of(one) for column, one in classifiers.items()}
        for column, scorer in scorers.items():
            if scorer is None:
                name = classifiers[column].algorithm
                raise _not_so(run, f"classifier {name!r} is neither linear nor a multilayer perceptron")
        words, table = preparing.parted(PipelineModel.load(run.model_path("prepare")).stages)
        fuser = FeatureFuserModel.load(run.model_path("fuse"))
        learnt = learnt_fusion.load(run, method)
        stack = learnt if method == learnt_fusion.STACK else None
        own = c.ANSWER if method == learnt_fusion.GATED else ""
        embeds = any(block.name == c.EMBEDDING for block in fuser.blocks)
        engine, facts = _engine(ctx, trained) if embeds else (None, None)
        monitor = counters_accumulator(ctx.spark)
        texts = ctx.config.columns.texts_a_row
        steps = preparing.text_steps(ctx.config.prepare, monitor, text_columns=texts)
        recipe = Recipe(
            steps=tuple(step.work() for step in steps),
            tfidf=tfidf_of(words),
            engine=engine,
            window=ctx.config.represent.window,
            blocks=tuple(fuser.blocks),
            scale=fuser.getScale(),
            indicator=bool(fuser.indicators),
            components=_components(run),
            say=learnt.sayer() if learnt else None,
            folds=stack is not None,
            scorers={column: scorer for column, scorer in scorers.items() if scorer},
            own=own,
            classes=len(trained["labels"]),
        )
        packed = ctx.spark.sparkContext.broadcast(cloudpickle.dumps(recipe))
        return cls(
            run,
            recipe,
            partition_scorer(packed, monitor),
            monitor,
            classifiers,
            own,
            PipelineModel(table),
            stack,
            {"represent": facts, "method": method, "labels": trained["labels"], "best": trained["best"]},
        )

    def scored(self, ctx: Context, rows: DataFrame) -> DataFrame:
        """Raw scores of collected rows, as the columns of `Recipe.ddl`; lazy.

        Parameters
        ----------
        rows : DataFrame
            As `fusionspark.collect.collect` returns them.
        """
        # Target encoding asks for the split: of rows that are only scored none was trained on.
        rows = table_features.derive(ctx, rows.withColumn(c.SPLIT, F.lit(SCORED)))
        made = self.table.transform(rows)
        blocks = [c.TABLE_BLOCK] if c.TABLE_BLOCK in made.columns else []
        if self.stack is not None:
            made = made.select("*", *learnt_fusion.fold_columns(ctx, made))
            made = made.withColumn(FOLD, self.stack.fold())
            blocks.append(FOLD)
        sent = made.select(c.ROW_ID, c.LABEL, c.TEXT, *blocks)
        gpus = float(ctx.config.represent.gpu_amount)
        return map_in_arrow(sent, self.function, self.recipe.ddl, gpus)

    def predictions(self, scored: DataFrame) -> DataFrame:
        """Answers of every algorithm to rows that `scored` returned (`columns.PREDICTIONS_DDL`); lazy."""
        good = scored.where(F.col(c.STATUS) != c.FAILED).withColumn(c.SPLIT, F.lit(SCORED))
        answers = [predictions_of(self.classifiers, good)] if self.classifiers else []
        if self.own:
            answers.append(learnt_fusion.answers(good, self.facts["method"], self.facts["labels"]))
        return reduce(DataFrame.unionByName, answers)

    @property
    def algorithms(self) -> int:
        """Rows of predictions that one row becomes."""
        return len(self.classifiers) + bool(self.own)


def _check(ctx: Context, trained: dict[str, Any]) -> None:
    assert ctx.kept is not None
    if ctx.config.columns.image:
        raise _not_so(ctx.kept, "its rows have pictures, which are read, checked and encoded in stages")
    if ctx.config.prepare.text_statistics != "none":
        raise _not_so(ctx.kept, "prepare.text_statistics makes features of its texts, which stages encode")
    if trained.get("regress"):
        raise _not_so(ctx.kept, "it estimates a number, and one pass is for classifiers")
    if not trained.get("classify"):
        raise _not_so(ctx.kept, "it trained no classifier")


def _not_so(run: RunFolder, why: str) -> ConfigError:
    return ConfigError(
        f"models of {run.path}",
        f"cannot be applied in one pass: {why}",
        allowed="linear classifiers and multilayer perceptrons over text and structured columns",
        remedy="score with score.passes: staged, or train such models",
    )


def _components(run: RunFolder) -> Any:
    if (run.stage_facts("fuse") or {}).get("reduction", "none") == "none":
        return None
    return BlockReducerModel.load(run.model_path("fuse_reduction")).components


def _engine(ctx: Context, trained: dict[str, Any]) -> tuple[EngineSettings, dict[str, Any]]:
    """The engine as the staged way would choose it, and what the manifest says of it."""
    engine = engine_of(ctx.config)
    precision = engine.precision
    if precision == "auto":
        precision = (trained.get("represent") or {}).get("precision", precision)
    engine = resolve_auto(replace(engine, precision=precision))
    digest = effective_digest(engine)
    same_model(ctx, digest)
    model = ctx.config.represent.model
    return engine, {"model": model, "model_digest": digest, "precision": engine.precision}
