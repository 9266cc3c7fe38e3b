"""Classifiers behind one table: name -> builder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.ml.classification import (
    LogisticRegression,
    MultilayerPerceptronClassifier,
    RandomForestClassifier,
)

from fusionspark.columns import FEATURES
from fusionspark.errors import MissingExtraError
from fusionspark.mine.one_vs_rest import GBTOneVsRest, LinearSVCOneVsRest
from fusionspark.mine.random_features import RandomFourierFeatures

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
    seed: int = 42


def _logistic_regression(p: Hyperparameters, width: int, classes: int) -> list[Any]:
    # standardization=True would divide every feature by its deviation before the penalty, and with that
    # take back the weights that fusion gave the blocks.
    return [
        LogisticRegression(
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


#: Name in the configuration -> builder of the stages, of which the last one classifies.
ALGORITHMS: Mapping[str, Callable[[Hyperparameters, int, int], list[Any]]] = {
    "logistic_regression": _logistic_regression,
    "linear_svc": _linear_svc,
    "rbf_svm": _rbf_svm,
    "multilayer_perceptron": _multilayer_perceptron,
    "random_forest": _random_forest,
    "gradient_boosted_trees": _gradient_boosted_trees,
    "xgboost": _xgboost,
}
