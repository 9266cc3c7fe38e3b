"""Soft voting: the mean of what several classifiers hold probable."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

from pyspark.ml import Estimator, Model
from pyspark.ml.param.shared import (
    HasFeaturesCol,
    HasLabelCol,
    HasPredictionCol,
    HasProbabilityCol,
    HasRawPredictionCol,
    HasWeightCol,
)
from pyspark.ml.util import MLReadable, MLReader, MLWritable, MLWriter

from fusionspark.mine.persist import WrapperReader, WrapperWriter

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class _VotingParams(
    HasFeaturesCol, HasLabelCol, HasPredictionCol, HasProbabilityCol, HasRawPredictionCol, HasWeightCol
):
    """Columns; ``rawPredictionCol`` holds the probabilities as well."""


class SoftVoting(Estimator["SoftVotingModel"], _VotingParams):
    """Fit several classifiers, and answer with the mean of their probabilities.

    What one learner gets wrong by its own nature the others do not, so the mean is seldom worse than the best
    of them and often better (Kittler et al. 1998, "On combining classifiers", the sum rule).

    Parameters
    ----------
    members : list of estimators
        Classifiers of pyspark.ml with ``probabilityCol``. Their columns are set here, their other Params are
        their own.
    """

    def __init__(self, members: list[Any]) -> None:
        super().__init__()
        self.members = list(members)

    def setWeightCol(self, value: str) -> SoftVoting:
        """Set the column with the weight of a row."""
        return self._set(weightCol=value)

    def _fit(self, dataset: DataFrame) -> SoftVotingModel:
        fitted = []
        for i, member in enumerate(self.members):
            learner = member.copy()
            names = {
                "featuresCol": self.getFeaturesCol(),
                "labelCol": self.getLabelCol(),
                "predictionCol": f"{self.uid}__prediction_{i}",
                "rawPredictionCol": f"{self.uid}__raw_{i}",
                "probabilityCol": f"{self.uid}__probability_{i}",
            }
            if self.isSet(self.weightCol):
                names["weightCol"] = self.getWeightCol()
            for name, value in names.items():
                learner.set(learner.getParam(name), value)
            fitted.append(learner.fit(dataset))
        model = SoftVotingModel(fitted)._resetUid(self.uid)
        return self._copyValues(model)

    def copy(self, extra: Any = None) -> SoftVoting:
        """Copy the estimator and its members."""
        copied: SoftVoting = super().copy(extra)
        copied.members = [member.copy() for member in self.members]
        return copied


class SoftVotingModel(Model, _VotingParams, MLReadable["SoftVotingModel"], MLWritable):
    """Fitted classifiers: adds the mean of their probabilities and the class that it is highest for."""

    def __init__(self, models: list[Any] | None = None) -> None:
        super().__init__()
        self.models = list(models or [])

    def _transform(self, dataset: DataFrame) -> DataFrame:
        from pyspark.ml.functions import array_to_vector, vector_to_array
        from pyspark.sql import functions as F

        mean = f"{self.uid}__mean"
        result = reduce(lambda rows, model: model.transform(rows), self.models, dataset)
        each = [vector_to_array(F.col(model.getProbabilityCol())) for model in self.models]
        total = reduce(lambda a, b: F.zip_with(a, b, lambda x, y: x + y), each)
        result = result.withColumn(mean, F.transform(total, lambda x: x / len(self.models)))
        # As SQL: in Spark 3.5 the function takes no column as the value to look for.
        best = F.expr(f"cast(array_position({mean}, array_max({mean})) - 1 as double)")
        wanted = [self.getProbabilityCol(), self.getRawPredictionCol()]
        made = {name: array_to_vector(F.col(mean)) for name in wanted} | {self.getPredictionCol(): best}
        return result.select(
            *[F.col(f"`{name}`") for name in dataset.columns], *[made[name].alias(name) for name in made]
        )

    def copy(self, extra: Any = None) -> SoftVotingModel:
        """Copy the model; the fitted classifiers are shared."""
        copied: SoftVotingModel = super().copy(extra)
        copied.models = list(self.models)
        return copied

    def write(self) -> MLWriter:
        """Return a writer of the model."""
        return WrapperWriter(self, self.models)

    @classmethod
    def read(cls) -> MLReader[SoftVotingModel]:
        """Return a reader of saved models."""
        return WrapperReader(lambda models, _: cls(models))
