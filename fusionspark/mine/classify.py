"""Classifiers behind one table: name -> builder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.ml import PipelineModel
from pyspark.ml.classification import LogisticRegression, MultilayerPerceptronClassifier
from pyspark.ml.feature import StringIndexerModel
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from fusionspark.columns import ALGORITHM, FEATURES, LABEL, PREDICTION, ROW_ID, SCORES, SPLIT, TRAIN
from fusionspark.errors import ConfigError, DataContractError, nearest
from fusionspark.files import Files
from fusionspark.mine.checks import carried, check_columns, feature_facts, finite
from fusionspark.mine.one_vs_rest import LinearSVCOneVsRest
from fusionspark.tables import ordered_for_fit

_INDEX, _RAW, _PREDICTED, _PROBABILITY = "__label", "__raw", "__predicted", "__probability"


@dataclass(frozen=True)
class Hyperparameters:
    """What every builder may read."""

    max_iter: int = 100
    regularization: float = 0.001
    hidden_layers: tuple[int, ...] = (64,)
    seed: int = 42


def _logistic_regression(p: Hyperparameters, width: int, classes: int) -> Any:
    # standardization=True would divide every feature by its deviation before the penalty, and with that
    # take back the weights that fusion gave the blocks.
    return LogisticRegression(
        maxIter=p.max_iter, regParam=p.regularization, standardization=False, probabilityCol=_PROBABILITY
    )


def _linear_svc(p: Hyperparameters, width: int, classes: int) -> Any:
    return LinearSVCOneVsRest(numClasses=classes, maxIter=p.max_iter, regParam=p.regularization)


def _multilayer_perceptron(p: Hyperparameters, width: int, classes: int) -> Any:
    # MLlib's perceptron has sigmoid layers, softmax at the end, and no penalty that regularization could set.
    return MultilayerPerceptronClassifier(
        layers=[width, *p.hidden_layers, classes],
        maxIter=p.max_iter,
        seed=p.seed,
        probabilityCol=_PROBABILITY,
    )


#: Name in the configuration -> builder of an MLlib estimator.
ALGORITHMS: Mapping[str, Callable[[Hyperparameters, int, int], Any]] = {
    "logistic_regression": _logistic_regression,
    "linear_svc": _linear_svc,
    "multilayer_perceptron": _multilayer_perceptron,
}


def label_values(features: DataFrame) -> list[str]:
    """Labels of the training rows: in numeric order if all are numbers, else in alphabetical order."""
    train = features.where((F.col(SPLIT) == TRAIN) & F.col(LABEL).isNotNull())
    values = [row[LABEL] for row in train.select(LABEL).distinct().collect()]
    try:
        return sorted(values, key=lambda value: (float(value), value))
    except ValueError:
        return sorted(values)


def check_labels(labels: Sequence[str]) -> None:
    """Raise where nothing can be learnt.

    Raises
    ------
    DataContractError
        Fewer than two classes among the training rows.
    """
    if len(labels) < 2:
        raise DataContractError(
            "the label",
            f"training rows have {len(labels)} class(es): {', '.join(map(repr, labels)) or 'none'}",
            allowed="at least two classes",
            remedy="check columns.label and source.where, or leave columns.label null to cluster only",
        )


@dataclass(frozen=True)
class Classifier:
    """A trained classifier with the labels it knows.

    Parameters
    ----------
    algorithm : str
        Key of `ALGORITHMS`.
    labels : tuple of str
        Position i is the label that MLlib calls i.
    model : PipelineModel
        One fitted MLlib model.
    """

    algorithm: str
    labels: tuple[str, ...]
    model: PipelineModel

    def predict(self, features: DataFrame) -> DataFrame:
        """Predictions of every row, with the columns of `columns.PREDICTIONS_DDL`; lazy.

        A row whose label was not there in training keeps that label: it counts as an error, as it should.
        ``scores`` has the labels of training as keys. Reading a row without finite features fails with its
        ``row_id``, because every answer to it would be made up.
        """
        return predictions([self], features)

    def answer(self, features: DataFrame, name: str) -> DataFrame:
        """Add the answer to each row as a struct ``name`` of algorithm, prediction and scores; lazy."""
        out = self.model.transform(features)
        names = F.array(*[F.lit(label) for label in self.labels])
        score = _PROBABILITY if _PROBABILITY in out.columns else _RAW
        found = F.struct(
            F.lit(self.algorithm).alias(ALGORITHM),
            F.element_at(names, F.col(_PREDICTED).cast("int") + 1).alias(PREDICTION),
            F.map_from_arrays(names, vector_to_array(F.col(score))).alias(SCORES),
        )
        return out.withColumn(name, found).drop(_RAW, _PREDICTED, _PROBABILITY)

    def save(self, path: str) -> None:
        """Write to a folder: ``classifier.json`` and the MLlib model."""
        self.model.write().overwrite().save(f"{path}/model")
        spark = SparkSession.active()
        facts = {"algorithm": self.algorithm, "labels": list(self.labels)}
        Files(spark).write_text(f"{path}/classifier.json", json.dumps(facts, ensure_ascii=False))

    @classmethod
    def load(cls, path: str) -> Classifier:
        """Read what `save` wrote."""
        facts = json.loads(Files(SparkSession.active()).read_text(f"{path}/classifier.json"))
        return cls(facts["algorithm"], tuple(facts["labels"]), PipelineModel.load(f"{path}/model"))


def predictions(classifiers: Sequence[Classifier], features: DataFrame) -> DataFrame:
    """Predictions of several classifiers, one row each, from one reading of the features; lazy.

    See `Classifier.predict`.
    """
    check_columns(features, [ROW_ID, SPLIT, LABEL], FEATURES)
    broken = F.raise_error(
        F.concat(
            F.lit("features of row "),
            F.col(ROW_ID),
            F.lit(": null, NaN or infinite. Remedy: use FeatureFuser with handleInvalid keep."),
        )
    )
    out = features.withColumn(FEATURES, F.when(finite(FEATURES), F.col(FEATURES)).otherwise(broken))
    names = [f"__answer_{i}" for i in range(len(classifiers))]
    for one, name in zip(classifiers, names, strict=True):
        out = one.answer(out, name)
    each = F.inline(F.array(*[F.col(name) for name in names]))
    return out.select(ROW_ID, SPLIT, LABEL, each)


def _check_classes(indexed: DataFrame, labels: Sequence[str]) -> None:
    counts = {row[LABEL]: row["count"] for row in indexed.groupBy(LABEL).count().collect()}
    for label in sorted(set(counts) - set(labels)):
        raise DataContractError(
            f"label {label!r}",
            f"{counts[label]} training rows have it, but it is not among the labels",
            allowed=", ".join(labels),
            remedy="take the labels from label_values of the same table",
        )
    for label in labels:
        if label not in counts:
            raise DataContractError(
                f"label {label!r}",
                "no training row has it, so it cannot be learnt",
                allowed=", ".join(f"{name} ({count} rows)" for name, count in sorted(counts.items())),
                remedy="take the labels from label_values of the same table",
            )


def train(
    features: DataFrame,
    algorithm: str,
    labels: Sequence[str],
    hyperparameters: Hyperparameters,
    *,
    partitions: int,
) -> Classifier:
    """Train one classifier on the rows of split ``train`` that have a label.

    Parameters
    ----------
    features : DataFrame
        row_id, split, label and features (vector).
    algorithm : str
        Key of `ALGORITHMS`.
    labels : sequence of str
        As `label_values` returns them.
    hyperparameters : Hyperparameters
        For `multilayer_perceptron` the cost grows with width x hidden units x rows.
    partitions : int
        Layout of the rows before the fit; the result depends on it and not on the cluster.

    Raises
    ------
    ConfigError
        Unknown algorithm.
    DataContractError
        Fewer than two classes; a training label that is not in ``labels`` or one of ``labels`` without
        training rows; features that are null, not finite or of unlike width. Counts are in the message.
    """
    if algorithm not in ALGORITHMS:
        raise ConfigError(
            "algorithm",
            f"{algorithm!r} is unknown{nearest(algorithm, ALGORITHMS)}",
            allowed=", ".join(ALGORITHMS),
        )
    check_labels(labels)
    check_columns(features, [ROW_ID, SPLIT, LABEL], FEATURES)
    rows = features.where((F.col(SPLIT) == TRAIN) & F.col(LABEL).isNotNull())
    indexer = StringIndexerModel.from_labels(list(labels), inputCol=LABEL, outputCol=_INDEX)
    indexer.setHandleInvalid("keep")
    indexed = ordered_for_fit(indexer.transform(rows), partitions).select(
        FEATURES, LABEL, _INDEX, *carried(rows)
    )
    indexed = indexed.cache()
    try:
        facts = feature_facts(indexed, FEATURES, f"training {algorithm}")
        _check_classes(indexed, labels)
        # The metadata says how many classes there are, so that MLlib need not run a job to count them.
        nominal = {"ml_attr": {"type": "nominal", "vals": list(labels)}}
        target = indexed.select(FEATURES, F.col(_INDEX).alias(_INDEX, metadata=nominal))
        estimator = ALGORITHMS[algorithm](hyperparameters, facts.width, len(labels))
        for param, value in (
            ("featuresCol", FEATURES), ("labelCol", _INDEX), ("predictionCol", _PREDICTED),
            ("rawPredictionCol", _RAW),
        ):  # fmt: skip
            estimator.set(estimator.getParam(param), value)
        return Classifier(algorithm, tuple(labels), PipelineModel([estimator.fit(target)]))
    finally:
        indexed.unpersist()
