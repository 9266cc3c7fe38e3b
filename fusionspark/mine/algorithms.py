"""Classifiers behind one table: name -> builder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.ml.classification import (
    LogisticRegression,
    LogisticRegressionModel,
    MultilayerPerceptronClassifier,
    RandomForestClassifier,
)
from pyspark.sql import DataFrame

from fusionspark.columns import FEATURES
from fusionspark.errors import MissingExtraError
from fusionspark.mine.one_vs_rest import GBTOneVsRest, LinearSVCOneVsRest
from fusionspark.mine.random_features import RandomFourierFeatures
from fusionspark.mine.still_columns import without_still_columns
from fusionspark.mine.voting import SoftVoting

PROBABILITY = "__probability"
_RANDOM = "__random_features"


@dataclass(frozen=True)
class Hyperparameters:
    """What every builder may read; see `conf/base.yaml`, section ``mine.classify``."""

    max_iter: int = 100
    regularization: float = 0.001
    hidden_layers: tuple[int, ...] = (64,)
    trees: int = 100
    max_depth: int = 6
    step_size: float = 0.1
    random_features: int = 1000
    gamma: float = 0.0
    voting: tuple[str, ...] = ("logistic_regression", "random_forest")
    seed: int = 42


class _LogisticRegression(LogisticRegression):
    """MLlib's, over columns that move."""

    def _fit(self, dataset: DataFrame) -> LogisticRegressionModel:
        return super()._fit(without_still_columns(dataset, self.getFeaturesCol(), self.getRegParam()))


def _logistic_regression(p: Hyperparameters, width: int, classes: int) -> list[Any]:
    # standardization=True would divide every feature by its deviation before the penalty, and with that
    # take back the weights that fusion gave the blocks.
    return [
        _LogisticRegression(
            maxIter=p.max_iter, regParam=p.regularization, standardization=False, probabilityCol=PROBABILITY
        )
    ]


def _linear_svc(p: Hyperparameters, width: int, classes: int) -> list[Any]:
    return [LinearSVCOneVsRest(numClasses=classes, maxIter=p.max_iter, regParam=p.regularization)]


def _rbf_svm(p: Hyperparameters, width: int, classes: int) -> list[Any]:
    features = RandomFourierFeatures(
        inputCol=FEATURES, outputCol=_RANDOM, numFeatures=p.random_features, gamma=p.gamma, seed=p.seed
    )
    svc = LinearSVCOneVsRest(
        numClasses=classes, maxIter=p.max_iter, regParam=p.regularization, featuresCol=_RANDOM
    )
    return [features, svc]


def _multilayer_perceptron(p: Hyperparameters, width: int, classes: int) -> list[Any]:
    # MLlib's perceptron has sigmoid layers, softmax at the end, and no penalty that regularization could set.
    return [
        MultilayerPerceptronClassifier(
            layers=[width, *p.hidden_layers, classes],
            maxIter=p.max_iter,
            seed=p.seed,
            probabilityCol=PROBABILITY,
        )
    ]


def _random_forest(p: Hyperparameters, width: int, classes: int) -> list[Any]:
    return [
        RandomForestClassifier(
            numTrees=p.trees, maxDepth=p.max_depth, seed=p.seed, probabilityCol=PROBABILITY
        )
    ]


def _gradient_boosted_trees(p: Hyperparameters, width: int, classes: int) -> list[Any]:
    return [
        GBTOneVsRest(
            numClasses=classes, maxIter=p.trees, maxDepth=p.max_depth, stepSize=p.step_size, seed=p.seed
        )
    ]


def _xgboost(p: Hyperparameters, width: int, classes: int) -> list[Any]:
    try:
        from xgboost.spark import SparkXGBClassifier
    except ImportError as error:
        raise MissingExtraError("xgboost", "boost", "algorithm 'xgboost'") from error
    # One worker: its barrier stage then needs one free slot, and the trees do not depend on the cluster.
    return [
        SparkXGBClassifier(
            n_estimators=p.trees, max_depth=p.max_depth, learning_rate=p.step_size, random_state=p.seed,
            tree_method="hist", num_workers=1, probability_col=PROBABILITY,
            # Zeros of sparse blocks are not spelt out; a tree then learns a side for them.
            missing=0.0, enable_sparse_data_optim=True,
        )
    ]  # fmt: skip


def _voting(p: Hyperparameters, width: int, classes: int) -> list[Any]:
    return [SoftVoting([VOTERS[name](p, width, classes)[-1] for name in p.voting])]


#: Those that answer with probabilities as they are, of one stage each, and know weights of rows.
VOTERS: Mapping[str, Callable[[Hyperparameters, int, int], list[Any]]] = {
    "logistic_regression": _logistic_regression,
    "random_forest": _random_forest,
    "xgboost": _xgboost,
}
#: Name in the configuration -> builder of the stages, of which the last one classifies.
ALGORITHMS: Mapping[str, Callable[[Hyperparameters, int, int], list[Any]]] = {
    "logistic_regression": _logistic_regression,
    "linear_svc": _linear_svc,
    "rbf_svm": _rbf_svm,
    "multilayer_perceptron": _multilayer_perceptron,
    "random_forest": _random_forest,
    "gradient_boosted_trees": _gradient_boosted_trees,
    "xgboost": _xgboost,
    "voting": _voting,
}
