"""Training and applying one regression: the label is a number to be estimated."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pyspark.ml import PipelineModel
from pyspark.ml.regression import (
    GBTRegressor,
    LinearRegression,
    LinearRegressionModel,
    RandomForestRegressor,
)
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from fusionspark.columns import (
    ALGORITHM,
    ESTIMATE,
    FEATURES,
    LABEL,
    PREDICTION,
    ROW_ID,
    SCORES,
    SPLIT,
    TRAIN,
)
from fusionspark.errors import ConfigError, DataContractError, MissingExtraError, nearest
from fusionspark.files import Files
from fusionspark.mine.algorithms import Hyperparameters
from fusionspark.mine.answers import predictions
from fusionspark.mine.checks import carried, check_columns, feature_facts
from fusionspark.mine.still_columns import without_still_columns
from fusionspark.tables import ordered_for_fit

_TARGET, _PREDICTED = "__target", "__predicted"


class _LinearRegression(LinearRegression):
    """MLlib's, over columns that move."""

    def _fit(self, dataset: DataFrame) -> LinearRegressionModel:
        return super()._fit(without_still_columns(dataset, self.getFeaturesCol(), self.getRegParam()))


def _linear_regression(p: Hyperparameters) -> Any:
    # As in classification, the weights that fusion gave the blocks stay; the label is always standardised.
    return _LinearRegression(maxIter=p.max_iter, regParam=p.regularization, standardization=False)


def _random_forest(p: Hyperparameters) -> Any:
    return RandomForestRegressor(numTrees=p.trees, maxDepth=p.max_depth, seed=p.seed)


def _gradient_boosted_trees(p: Hyperparameters) -> Any:
    return GBTRegressor(maxIter=p.trees, maxDepth=p.max_depth, stepSize=p.step_size, seed=p.seed)


def _xgboost(p: Hyperparameters) -> Any:
    try:
        from xgboost.spark import SparkXGBRegressor
    except ImportError as error:
        raise MissingExtraError("xgboost", "boost", "algorithm 'xgboost'") from error
    # See the classifier of that name.
    return SparkXGBRegressor(
        n_estimators=p.trees, max_depth=p.max_depth, learning_rate=p.step_size, random_state=p.seed,
        tree_method="hist", num_workers=1, missing=0.0, enable_sparse_data_optim=True,
    )  # fmt: skip


#: Name in the configuration -> builder of the estimator.
REGRESSIONS: Mapping[str, Callable[[Hyperparameters], Any]] = {
    "linear_regression": _linear_regression,
    "random_forest": _random_forest,
    "gradient_boosted_trees": _gradient_boosted_trees,
    "xgboost": _xgboost,
}


@dataclass(frozen=True)
class Regressor:
    """A trained regression.

    Parameters
    ----------
    algorithm : str
        Key of `REGRESSIONS`.
    model : PipelineModel
        The fitted estimator, alone.
    facts : dict
        What training has to say for itself.
    """

    algorithm: str
    model: PipelineModel
    facts: Mapping[str, Any] = field(default_factory=dict)

    def predict(self, features: DataFrame) -> DataFrame:
        """Estimates of every row, see `fusionspark.mine.answers.predictions`; lazy."""
        return predictions([self], features)

    def answer(self, features: DataFrame, name: str) -> DataFrame:
        """Add the answer as a struct ``name``: the estimate in ``scores``, its text as prediction; lazy."""
        held = [F.col(f"`{column}`") for column in features.columns]
        value = F.col(_PREDICTED).cast("double")
        found = F.struct(
            F.lit(self.algorithm).alias(ALGORITHM),
            value.cast("string").alias(PREDICTION),
            F.create_map(F.lit(ESTIMATE), value).alias(SCORES),
        )
        return self.model.transform(features).select(*held, found.alias(name))

    def save(self, path: str) -> None:
        """Write to a folder: ``regressor.json`` and the MLlib model."""
        self.model.write().overwrite().save(f"{path}/model")
        facts = {"algorithm": self.algorithm, "facts": dict(self.facts)}
        Files(SparkSession.active()).write_text(f"{path}/regressor.json", json.dumps(facts))

    @classmethod
    def load(cls, path: str) -> Regressor:
        """Read what `save` wrote."""
        facts = json.loads(Files(SparkSession.active()).read_text(f"{path}/regressor.json"))
        return cls(facts["algorithm"], PipelineModel.load(f"{path}/model"), facts["facts"])


def train(
    features: DataFrame, algorithm: str, hyperparameters: Hyperparameters, *, partitions: int
) -> Regressor:
    """Train one regression on the rows of split ``train`` that have a label.

    Parameters
    ----------
    features : DataFrame
        row_id, split, label (a number as string) and features (vector).
    algorithm : str
        Key of `REGRESSIONS`.
    hyperparameters : Hyperparameters
    partitions : int
        Layout of the rows before the fit; the result depends on it and not on the cluster.

    Raises
    ------
    ConfigError
        Unknown algorithm.
    DataContractError
        No training row has a label, all have the same, or one has none that is a number; features that are
        null, not finite or of unlike width.
    """
    if algorithm not in REGRESSIONS:
        raise ConfigError(
            "algorithm",
            f"{algorithm!r} is unknown{nearest(algorithm, REGRESSIONS)}",
            allowed=", ".join(REGRESSIONS),
        )
    check_columns(features, [ROW_ID, SPLIT, LABEL], FEATURES)
    rows = features.where((F.col(SPLIT) == TRAIN) & F.col(LABEL).isNotNull())
    target = F.expr(f"try_cast({LABEL} AS double)").alias(_TARGET)
    numbered = ordered_for_fit(rows, partitions).select(ROW_ID, FEATURES, target, *carried(rows)).cache()
    try:
        spread = _checked(numbered)
        feature_facts(numbered, FEATURES, f"training {algorithm}")
        estimator = REGRESSIONS[algorithm](hyperparameters)
        for name, value in (
            ("labelCol", _TARGET),
            ("featuresCol", FEATURES),
            ("predictionCol", _PREDICTED),
        ):
            estimator.set(estimator.getParam(name), value)
        fitted = estimator.fit(numbered.select(FEATURES, _TARGET))
        return Regressor(algorithm, PipelineModel([fitted]), spread)
    finally:
        numbered.unpersist()


def _checked(numbered: DataFrame) -> dict[str, Any]:
    """Mean and deviation of the label, which must vary."""
    value = F.col(_TARGET)
    row = numbered.agg(
        F.count("*").alias("rows"), F.count(F.when(value.isNull() | F.isnan(value), 1)).alias("bad"),
        F.mean(value).alias("mean"), F.stddev_pop(value).alias("deviation"),
    ).collect()[0]  # fmt: skip
    if row["bad"] or not row["rows"] or not row["deviation"]:
        found = f"{row['bad']} of {row['rows']} training rows have one that is no number"
        if not row["bad"]:
            found = "all training rows have the same" if row["rows"] else "no training row has one"
        raise DataContractError(
            "the label",
            found,
            allowed="numbers that vary",
            remedy="check columns.label and source.where, or leave columns.label null to cluster only",
        )
    return {"label": {"mean": row["mean"], "deviation": row["deviation"]}}
