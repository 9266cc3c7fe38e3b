"""Classification, clustering, and when models are made anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field

from fusionspark.config.section import Section, as_list

Algorithm = Literal["logistic_regression", "linear_svc", "multilayer_perceptron"]


class Classify(Section):
    """The classifiers that are trained side by side."""

    algorithms: Annotated[list[Algorithm], BeforeValidator(as_list)] = list(get_args(Algorithm))
    max_iter: int = Field(100, ge=1)
    regularization: float = Field(0.001, ge=0)
    hidden_layers: list[int] = [64]
    select_by: Literal["macro_f1", "accuracy", "auc"] = "macro_f1"


class Cluster(Section):
    """The clustering of the fused vectors."""

    algorithm: Literal["kmeans", "bisecting_kmeans"] = "kmeans"
    k: int = Field(8, ge=2)
    max_iter: int = Field(20, ge=1)


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
    """Classification and clustering."""

    retrain: Retrain = "always"
    drift_psi: float = Field(0.2, gt=0)
    partitions: int = Field(4, ge=1)
    classify: Classify = Classify()
    cluster: Cluster = Cluster()
