"""Training and applying one classifier of the table in `algorithms`."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.feature import StringIndexerModel
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from fusionspark.columns import (
    ALGORITHM,
    FEATURES,
    LABEL,
    PREDICTION,
    ROW_ID,
    SCORES,
    SPLIT,
    TRAIN,
    VALIDATION,
)
from fusionspark.errors import ConfigError, DataContractError, nearest
from fusionspark.files import Files
from fusionspark.labels import labels_of
from fusionspark.mine import calibration as calibrating
from fusionspark.mine import search as searching
from fusionspark.mine.algorithms import ALGORITHMS, PROBABILITY, Hyperparameters
from fusionspark.mine.answers import predictions, spread
from fusionspark.mine.checks import carried, check_columns, feature_facts
from fusionspark.tables import ordered_for_fit

logger = logging.getLogger(__name__)

_INDEX, _RAW, _PREDICTED, _WEIGHT = "__label", "__raw", "__predicted", "__weight"
#: Algorithms whose scores are margins until they are calibrated.
MARGINS = ("linear_svc", "rbf_svm", "gradient_boosted_trees")
#: Held-out rows that a calibration is learnt from, chosen by a hash of row_id.
CALIBRATION_ROWS = 20_000


def label_values(features: DataFrame) -> list[str]:
    """Labels of the training rows: in numeric order if all are numbers, else in alphabetical order."""
    return labels_of(features.where(F.col(SPLIT) == TRAIN), LABEL)


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
        The fitted stages.
    calibration : Calibration, optional
        What makes probabilities of the scores.
    costs : list of list of float, optional
        Cost of answering column j where the truth is row i; the prediction is then the cheapest answer.
    facts : dict
        What training has to say for itself: weights, search, calibration.
    """

    algorithm: str
    labels: tuple[str, ...]
    model: PipelineModel
    calibration: calibrating.Calibration | None = None
    costs: Sequence[Sequence[float]] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def probabilistic(self) -> bool:
        """Whether the scores of a row are probabilities, which add up to 1."""
        return self.calibration is not None or self.algorithm not in MARGINS

    def predict(self, features: DataFrame) -> DataFrame:
        """Predictions of every row, with the columns of `columns.PREDICTIONS_DDL`; lazy.

        A row whose label was not there in training keeps that label: it counts as an error, as it should.
        ``scores`` has the labels of training as keys. Reading a row without finite features fails with its
        ``row_id``, because every answer to it would be made up.
        """
        return predictions([self], features)

    def answer(self, features: DataFrame, name: str) -> DataFrame:
        """Add the answer to each row as a struct ``name`` of algorithm, prediction and scores; lazy."""
        held = [F.col(f"`{column}`") for column in features.columns]
        return self.answer_to(self._scored(features), _RAW, name).select(*held, name)

    def answer_to(self, scored: DataFrame, raw: str, name: str) -> DataFrame:
        """Add the answer to rows that have their raw scores already; see `answer`.

        Parameters
        ----------
        raw : str
            Array of one score a class: probabilities where the algorithm has some, else margins.
        """
        names, scores = F.array(*[F.lit(label) for label in self.labels]), F.col(raw)
        if self.calibration is not None:
            scored = scored.withColumn(raw, self.calibration.apply(scores, self.algorithm not in MARGINS))
        # As SQL: the function takes no column as value before Spark 4.
        place = F.expr(f"cast(array_position({raw}, array_max({raw})) as int)")
        if self.costs is not None:
            place = calibrating.cheapest(scores, self.costs) + 1
        found = F.struct(
            F.lit(self.algorithm).alias(ALGORITHM),
            F.element_at(names, place).alias(PREDICTION),
            F.map_from_arrays(names, scores).alias(SCORES),
        )
        return scored.withColumn(name, found)

    def _scored(self, features: DataFrame) -> DataFrame:
        """The rows with the array of raw scores, probabilities where the algorithm has some."""
        out = self.model.transform(features)
        score = PROBABILITY if PROBABILITY in out.columns else _RAW
        return out.withColumn(_RAW, vector_to_array(F.col(score)))

    def calibrated(self, features: DataFrame, method: str) -> Classifier:
        """The same classifier with a calibration learnt from the rows of split ``validation``.

        Where these hold fewer than two classes the classifier stays as it is, and its facts say why.
        """
        place = {label: i for i, label in enumerate(self.labels)}
        held = features.where((F.col(SPLIT) == VALIDATION) & F.col(LABEL).isin(*self.labels))
        chosen = held.orderBy(F.xxhash64(ROW_ID), ROW_ID).limit(CALIBRATION_ROWS)
        rows = self._scored(chosen).select(LABEL, _RAW).collect()
        found = None
        if rows:
            scores = np.array([row[_RAW] for row in rows])
            known = np.array([place[row[LABEL]] for row in rows])
            found = calibrating.fit(method, scores, known, self.algorithm not in MARGINS)
        if found is None:
            logger.warning("%s: not calibrated, validation rows hold fewer than two classes", self.algorithm)
            return replace(self, facts={**self.facts, "calibration": "none: too few validation rows"})
        said = {"calibration": {"method": method, "rows": len(rows)}}
        return replace(self, calibration=found, facts={**self.facts, **said})

    def decided(self, costs: Mapping[str, Mapping[str, float]]) -> Classifier:
        """The same classifier with the cheapest answer as its prediction.

        Raises
        ------
        ConfigError
            A cost of a label that training rows do not have; scores that are no probabilities.
        """
        for name in {*costs, *(answer for row in costs.values() for answer in row)}:
            if name not in self.labels:
                raise ConfigError(
                    "mine.classify.costs",
                    f"no training row has the label {name!r}{nearest(name, self.labels)}",
                    allowed=", ".join(self.labels),
                )
        if not self.probabilistic:
            raise ConfigError(
                "mine.classify.costs",
                f"the scores of {self.algorithm} are margins, of which no cost can be expected",
                remedy="hold out validation rows (split.validation), on which they are calibrated",
            )
        matrix = calibrating.cost_matrix({k: dict(v) for k, v in costs.items()}, self.labels)
        limit = calibrating.threshold(matrix)
        said = {} if limit is None else {"threshold": {"of": self.labels[1], "at": round(limit, 6)}}
        return replace(self, costs=matrix, facts={**self.facts, "costs": matrix, **said})

    def save(self, path: str) -> None:
        """Write to a folder: ``classifier.json`` and the MLlib model."""
        self.model.write().overwrite().save(f"{path}/model")
        spark = SparkSession.active()
        facts = {
            "algorithm": self.algorithm,
            "labels": list(self.labels),
            "calibration": None if self.calibration is None else vars(self.calibration),
            "costs": self.costs,
            "facts": dict(self.facts),
        }
        Files(spark).write_text(f"{path}/classifier.json", json.dumps(facts, ensure_ascii=False))

    @classmethod
    def load(cls, path: str) -> Classifier:
        """Read what `save` wrote."""
        facts = json.loads(Files(SparkSession.active()).read_text(f"{path}/classifier.json"))
        # Classifiers saved by version 0.1 have none of the later fields.
        found = facts.get("calibration")
        return cls(
            facts["algorithm"],
            tuple(facts["labels"]),
            PipelineModel.load(f"{path}/model"),
            calibrating.Calibration(**found) if found else None,
            facts.get("costs"),
            facts.get("facts", {}),
        )


def predictions_of(classifiers: Mapping[str, Classifier], scored: DataFrame) -> DataFrame:
    """What `predictions` returns, of rows that have the raw scores of each classifier; lazy.

    Parameters
    ----------
    classifiers : mapping of str to Classifier
        Column of raw scores -> classifier.
    scored : DataFrame
        row_id, split, label and those columns.
    """
    names = [f"__answer_{i}" for i in range(len(classifiers))]
    for (raw, one), name in zip(classifiers.items(), names, strict=True):
        scored = one.answer_to(scored, raw, name)
    return spread(scored, names)


def _check_classes(indexed: DataFrame, labels: Sequence[str]) -> dict[str, int]:
    """Rows of each label, which must be those of ``labels``."""
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
    return counts


def train(
    features: DataFrame,
    algorithm: str,
    labels: Sequence[str],
    hyperparameters: Hyperparameters,
    *,
    partitions: int,
    class_weight: str = "none",
    search: searching.Search | None = None,
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
    class_weight : {"none", "balanced"}
        ``balanced`` weighs a row by rows / (classes * rows of its class), as scikit-learn does. The
        multilayer perceptron of MLlib knows no weights and is trained without; its facts say so.
    search : Search, optional
        Hyper-parameters are searched for by cross-validation on the training rows.

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
        ROW_ID, FEATURES, LABEL, _INDEX, *carried(rows)
    )
    indexed = indexed.cache()
    try:
        facts = feature_facts(indexed, FEATURES, f"training {algorithm}")
        counts = _check_classes(indexed, labels)
        # The metadata says how many classes there are, so that MLlib need not run a job to count them.
        nominal = {"ml_attr": {"type": "nominal", "vals": list(labels)}}
        target = indexed.select(ROW_ID, FEATURES, F.col(_INDEX).alias(_INDEX, metadata=nominal))
        said: dict[str, Any] = {}

        def build(chosen: Hyperparameters) -> Pipeline:
            stages = ALGORITHMS[algorithm](chosen, facts.width, len(labels))
            _name_columns(stages[-1], weighted="weight" in said)
            return Pipeline(stages=stages)

        if class_weight == "balanced":
            if algorithm == "multilayer_perceptron":
                said["class_weight"] = "none: this algorithm knows no weights"
            else:
                weights = {label: facts.rows / (len(labels) * counts[label]) for label in labels}
                said["weight"] = {label: round(weight, 6) for label, weight in weights.items()}
                each = F.array(*[F.lit(weights[label]) for label in labels])
                target = target.withColumn(_WEIGHT, each[F.col(_INDEX).cast("int")])
        if search is None:
            model = build(hyperparameters).fit(target.drop(ROW_ID))
        else:
            model, said["search"] = searching.search(
                target,
                algorithm,
                build,
                start=hyperparameters,
                how=search,
                columns=(_INDEX, _PREDICTED, _RAW, len(labels)),
                partitions=partitions,
            )
        return Classifier(algorithm, tuple(labels), model, facts=said)
    finally:
        indexed.unpersist()


def _name_columns(estimator: Any, *, weighted: bool) -> None:
    names = {"labelCol": _INDEX, "predictionCol": _PREDICTED, "rawPredictionCol": _RAW}
    if not estimator.isSet("featuresCol"):
        names["featuresCol"] = FEATURES
    if weighted:
        names["weightCol"] = _WEIGHT
    for name, value in names.items():
        estimator.set(estimator.getParam(name), value)
