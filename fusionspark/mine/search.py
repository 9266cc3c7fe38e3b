"""Search for hyper-parameters: seeded random draws, compared by cross-validation on the training rows.

Bergstra and Bengio 2012, "Random search for hyper-parameter optimization": of many parameters few matter,
and random draws try more values of those than a grid of the same size.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.evaluation import BinaryClassificationEvaluator, Evaluator
from pyspark.ml.functions import vector_to_array
from pyspark.ml.tuning import CrossValidator
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from fusionspark.columns import ROW_ID
from fusionspark.mine.algorithms import Hyperparameters
from fusionspark.tables import ordered_for_fit

logger = logging.getLogger(__name__)

_FOLD = "__fold"
_REGULARIZATION = {"regularization": {"low": 1e-5, "high": 0.1, "log": True}}
_TREES = {
    "trees": [50, 100, 200],
    "max_depth": [3, 5, 8],
    "step_size": {"low": 0.03, "high": 0.3, "log": True},
}
#: What is drawn from where the configuration names no space: a list of values, or a range of numbers.
SPACES: Mapping[str, Mapping[str, Any]] = {
    "logistic_regression": _REGULARIZATION,
    "linear_svc": _REGULARIZATION,
    "rbf_svm": {**_REGULARIZATION, "random_features": [500, 1000, 2000]},
    "multilayer_perceptron": {"hidden_layers": [[32], [64], [128]], "max_iter": [50, 100, 200]},
    "random_forest": {"trees": [50, 100, 200], "max_depth": [4, 8, 12]},
    "gradient_boosted_trees": _TREES,
    "xgboost": _TREES,
    "voting": {**_REGULARIZATION, **_TREES},
}


@dataclass(frozen=True)
class Search:
    """How long and where to search.

    Attributes
    ----------
    trials : int
        Settings that are tried, the configured one included.
    folds : int
        Parts of the training rows that are held out in turn; every class is spread over all of them.
    parallelism : int
        Fits at a time.
    select_by : {"macro_f1", "accuracy", "auc"}
        The measure that decides.
    spaces : dict
        By algorithm and hyper-parameter, in place of `SPACES`.
    """

    trials: int
    folds: int = 3
    parallelism: int = 2
    select_by: str = "macro_f1"
    spaces: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def draw(space: Mapping[str, Any], start: Hyperparameters, trials: int, name: str) -> list[Hyperparameters]:
    """The configured hyper-parameters, then random ones; a pure function of its arguments.

    >>> space = {"trees": [10, 20], "step_size": {"low": 0.1, "high": 0.2}}
    >>> found = draw(space, Hyperparameters(), 4, "xgboost")
    >>> found[0] == Hyperparameters(), {p.trees for p in found[1:]} <= {10, 20}
    (True, True)
    """
    found = [start]
    for trial in range(1, trials):
        chosen: dict[str, Any] = {}
        for key in sorted(space):
            seed = hashlib.sha256(f"{start.seed}\0{name}\0{key}\0{trial}".encode()).digest()
            rng = np.random.default_rng(int.from_bytes(seed[:8], "big"))
            chosen[key] = _value(space[key], rng)
        found.append(replace(start, **chosen))
    return found


def _value(choices: Any, rng: np.random.Generator) -> Any:
    if not isinstance(choices, Mapping):
        value = choices[int(rng.integers(len(choices)))]
        return tuple(value) if isinstance(value, list) else value
    low, high = choices["low"], choices["high"]
    if choices.get("log"):
        return float(math.exp(rng.uniform(math.log(low), math.log(high))))
    return float(rng.uniform(low, high))


class Measure(Evaluator):
    """Macro-F1, accuracy or one-vs-rest AUC of a table of predictions, as the report defines them."""

    def __init__(self, measure: str, label: str, prediction: str, raw: str, classes: int) -> None:
        super().__init__()
        self.measure, self.label, self.prediction, self.raw = measure, label, prediction, raw
        self.classes = classes

    def _evaluate(self, dataset: DataFrame) -> float:
        if self.measure == "auc":
            return self._auc(dataset)
        pairs = dataset.groupBy(self.label, self.prediction).count().collect()
        rows, right = Counter[float](), Counter[float]()
        answers = Counter[float]()
        for label, prediction, count in pairs:
            rows[label] += count
            answers[prediction] += count
            right[label] += count if label == prediction else 0
        if self.measure == "accuracy":
            return sum(right.values()) / max(1, sum(rows.values()))
        each = [2 * right[k] / (rows[k] + answers[k]) for k in {*rows, *answers}]
        return sum(each) / max(1, len(each))

    def _auc(self, dataset: DataFrame) -> float:
        scores = vector_to_array(F.col(self.raw))
        found = []
        for k in range(self.classes):
            one = dataset.select(
                (F.col(self.label) == float(k)).cast("double").alias("label"), scores[k].alias("score")
            ).cache()
            try:
                if one.select("label").distinct().count() == 2:
                    evaluator = BinaryClassificationEvaluator(rawPredictionCol="score", labelCol="label")
                    found.append(float(evaluator.evaluate(one)))
            finally:
                one.unpersist()
        return sum(found) / len(found) if found else 0.0


def search(
    target: DataFrame,
    algorithm: str,
    build: Callable[[Hyperparameters], Pipeline],
    *,
    start: Hyperparameters,
    how: Search,
    columns: Sequence[Any],
    partitions: int,
) -> tuple[PipelineModel, dict[str, Any]]:
    """Try `Search.trials` settings and return the best one's model of all rows, with what was found.

    Parameters
    ----------
    target : DataFrame
        ``row_id``, features and the class index.
    build : callable
        Stages for given hyper-parameters.
    columns : sequence
        Names of class index, prediction and raw scores, and the number of classes.
    """
    label = columns[0]
    tried = draw(how.spaces.get(algorithm, SPACES[algorithm]), start, how.trials, algorithm)
    fewest = target.groupBy(label).count().agg(F.min("count")).collect()[0][0]
    if fewest < how.folds:
        # It is then in no held-out part of some folds, which measure the other classes.
        logger.warning("%s: a class has %d rows, fewer than the %d folds", algorithm, fewest, how.folds)
    within = Window.partitionBy(label).orderBy(F.xxhash64(F.lit(start.seed), ROW_ID), ROW_ID)
    folded = target.withColumn(_FOLD, ((F.row_number().over(within) - 1) % how.folds).cast("int"))
    folded = ordered_for_fit(folded, partitions).cache()
    try:
        pipeline = Pipeline(stages=[])
        stages: Any = [{pipeline.stages: build(one).getStages()} for one in tried]
        validator = CrossValidator(
            estimator=pipeline,
            estimatorParamMaps=stages,
            evaluator=Measure(how.select_by, *columns),
            numFolds=how.folds,
            foldCol=_FOLD,
            parallelism=how.parallelism,
        )
        fitted = validator.fit(folded)
    finally:
        folded.unpersist()
    scores = [round(float(score), 6) for score in fitted.avgMetrics]
    first = asdict(start)
    trials = [
        {**{k: v for k, v in asdict(one).items() if v != first[k]}, how.select_by: score}
        for one, score in zip(tried, scores, strict=True)
    ]
    best = int(np.argmax(fitted.avgMetrics))
    return fitted.bestModel, {"trials": trials, "best": best, "folds": how.folds, "fewest_rows": int(fewest)}  # type: ignore[return-value]
