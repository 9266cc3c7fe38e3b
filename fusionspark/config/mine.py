"""Classification, regression, clustering, and when models are made anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from fusionspark.config.section import Section, as_list

Algorithm = Literal[
    "logistic_regression",
    "linear_svc",
    "rbf_svm",
    "multilayer_perceptron",
    "random_forest",
    "gradient_boosted_trees",
    "xgboost",
    "voting",
]
#: Algorithms that may vote.
Voter = Literal["logistic_regression", "random_forest", "xgboost"]
#: Hyper-parameters that a search may draw.
Searchable = Literal[
    "max_iter",
    "regularization",
    "hidden_layers",
    "trees",
    "max_depth",
    "step_size",
    "random_features",
    "gamma",
]


class Range(Section):
    """Numbers that are drawn evenly, or evenly in their logarithm."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> Range:
        if self.low > self.high or (self.log and self.low <= 0):
            raise ValueError(
                f"mine.classify.search.spaces: {self.low:g} to {self.high:g} is no range; low must not be "
                "above high, and with log it must be above 0"
            )
        return self


class Search(Section):
    """Cross-validated random search; with 0 trials there is none."""

    trials: int = Field(0, ge=0)
    folds: int = Field(3, ge=2)
    parallelism: int = Field(2, ge=1)
    spaces: dict[Algorithm, dict[Searchable, list[float] | list[int] | list[list[int]] | Range]] = {}


class Classify(Section):
    """The classifiers that are trained side by side."""

    algorithms: Annotated[list[Algorithm], BeforeValidator(as_list)] = [
        "logistic_regression",
        "linear_svc",
        "multilayer_perceptron",
    ]
    max_iter: int = Field(100, ge=1)
    regularization: float = Field(0.001, ge=0)
    hidden_layers: list[int] = [64]
    trees: int = Field(100, ge=1)
    max_depth: int = Field(6, ge=1, le=30)
    step_size: float = Field(0.1, gt=0, le=1)
    random_features: int = Field(1000, ge=1)
    gamma: float = Field(0.0, ge=0)
    voting: Annotated[list[Voter], Field(min_length=2)] = ["logistic_regression", "random_forest"]
    class_weight: Literal["none", "balanced"] = "none"
    calibration: Literal["margins", "none", "platt", "isotonic", "temperature"] = "margins"
    costs: dict[str, dict[str, float]] = {}
    search: Search = Search()
    select_by: Literal["macro_f1", "accuracy", "auc"] = "macro_f1"


RegressionAlgorithm = Literal["linear_regression", "random_forest", "gradient_boosted_trees", "xgboost"]


class Regress(Section):
    """The regressions that are trained side by side where the label is a number."""

    algorithms: Annotated[list[RegressionAlgorithm], BeforeValidator(as_list)] = [
        "linear_regression",
        "gradient_boosted_trees",
    ]
    max_iter: int = Field(100, ge=1)
    regularization: float = Field(0.001, ge=0)
    trees: int = Field(100, ge=1)
    max_depth: int = Field(5, ge=1, le=30)
    step_size: float = Field(0.1, gt=0, le=1)
    select_by: Literal["rmse", "mae", "r2"] = "rmse"


def _known_k(value: object) -> object:
    """Refuse what is no number of clusters: the branches of a union would each say only what they expect."""
    if value == "auto" or (type(value) is int and value >= 2):
        return value
    raise ValueError(
        f"mine.cluster.k: {value!r} is no number of clusters; allowed are auto and whole numbers from 2 on"
    )


class Cluster(Section):
    """The clustering of the fused vectors."""

    algorithm: Literal["kmeans", "bisecting_kmeans", "gaussian_mixture", "hdbscan"] = "kmeans"
    k: Annotated[int | Literal["auto"], BeforeValidator(_known_k)] = 8
    k_max: int = Field(20, ge=2)
    max_iter: int = Field(20, ge=1)
    n_init: int = Field(4, ge=1)
    batch_size: int = Field(0, ge=0)
    dimensions: int = Field(16, ge=1)
    min_share: float = Field(0.01, gt=0, le=0.5)

    def in_words(self) -> str:
        """The algorithm and the number of clusters, which HDBSCAN finds itself."""
        return self.algorithm if self.algorithm == "hdbscan" else f"{self.algorithm} with k = {self.k}"


class Rules(Section):
    """Association rules across text and table, or within baskets."""

    enabled: bool = True
    min_support: float = Field(0.01, gt=0, le=1)
    min_rows: int = Field(10, ge=1)
    min_confidence: float = Field(0.3, ge=0, le=1)
    max_antecedent: int = Field(3, ge=1)
    max_itemsets: int = Field(50_000, ge=1)
    max_rules: int = Field(500, ge=1)
    correction: Literal["benjamini_hochberg", "holm"] = "benjamini_hochberg"
    alpha: float = Field(0.05, gt=0, le=1)
    bins: int = Field(4, ge=2)
    topics: int = Field(8, ge=0)
    phrases: int = Field(40, ge=0)
    sample: int = Field(200_000, ge=1)


class Anomalies(Section):
    """Rows unlike the others."""

    enabled: bool = True
    share: float = Field(0.01, gt=0, lt=1)
    trees: int = Field(100, ge=1)
    sample: int = Field(20_000, ge=2)
    min_peers: int = Field(20, ge=2)


class Every(Section):
    """Models are made anew when they are so many days old."""

    every: int = Field(ge=1)


def _known_policy(value: object) -> object:
    """Refuse what is no policy here: the branches of a union would each say only what they expect."""
    words = ("always", "never", "on_drift")
    days = value.get("every") if isinstance(value, Mapping) and set(value) == {"every"} else None
    if isinstance(value, Every) or value in words or (type(days) is int and days >= 1):
        return value
    raise ValueError(
        f"mine.retrain: {value!r} is no policy; allowed are {', '.join(words)} and "
        "{every: DAYS} with a whole number of days, 1 or more"
    )


Retrain = Annotated[Literal["always", "never", "on_drift"] | Every, BeforeValidator(_known_policy)]


class Mine(Section):
    """Classification or regression, clustering, association rules and anomalies."""

    retrain: Retrain = "always"
    drift_psi: float = Field(0.2, gt=0)
    partitions: int = Field(0, ge=0)
    classify: Classify = Classify()
    regress: Regress = Regress()
    cluster: Cluster = Cluster()
    rules: Rules = Rules()
    anomalies: Anomalies = Anomalies()
