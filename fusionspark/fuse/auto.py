"""Which fusion method suits these rows: cross-validation on training rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from pyspark.ml import Estimator, Model
from pyspark.ml.param.shared import HasFeaturesCol, HasLabelCol, HasOutputCol, HasSeed
from pyspark.ml.util import (
    DefaultParamsReader,
    DefaultParamsWriter,
    MLReadable,
    MLReader,
    MLWritable,
    MLWriter,
)

from fusionspark.columns import ANSWER, FEATURES, JOINED, LABEL, ROW_ID
from fusionspark.errors import DataContractError
from fusionspark.fuse.folds import FOLD, fold_column, time_bounds
from fusionspark.fuse.labelled_rows import class_column, rows_for_fit
from fusionspark.fuse.shared_params import HasFolds, HasLabels
from fusionspark.fuse.vector_rows import parts, stacked
from fusionspark.labels import labels_of

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame

CONCAT = "concat"
#: Rows that methods are compared on at most.
MOST_ROWS = 20_000
_CLASS = "__class"


@dataclass(frozen=True)
class Choice:
    """The method with the least loss, and the mean loss of each over the folds."""

    method: str
    losses: Mapping[str, float]

    def facts(self) -> dict[str, Any]:
        """Return the choice as JSON values."""
        return {"chosen": self.method, "log_loss": {n: round(v, 6) for n, v in self.losses.items()}}


class _AutoParams(HasFeaturesCol, HasLabelCol, HasOutputCol, HasSeed, HasLabels, HasFolds):
    def _set_defaults(self) -> None:
        self._setDefault(
            featuresCol=JOINED, labelCol=LABEL, outputCol=FEATURES, labels=[], numFolds=3, foldBy="hash",
            foldCol=ROW_ID, seed=42,
        )  # fmt: skip


class AutoFuser(Estimator["AutoFuserModel"], _AutoParams):
    """Fit the fusion method that has the least log loss on held-out folds of the rows.

    A method that only makes features is judged through a logistic regression on them; one with an answer of
    its own by that answer. At most `MOST_ROWS` rows take part in the comparison, drawn by a hash of
    ``row_id``; the chosen method is then fitted on all.

    Parameters
    ----------
    estimators : dict of str to Estimator
        Method -> estimator from ``featuresCol`` to ``outputCol``. The method ``concat``, which leaves the
        joined blocks as they are, is always compared as well.
    numFolds : int
        Folds that are held out, each once.
    foldBy : {"hash", "time"}
        ``hash``: rows of equal ``foldCol`` are held out together, and the others are learnt from. ``time``:
        stretches of ``foldCol`` are held out, and only earlier rows are learnt from.

    Raises
    ------
    ConfigError
        A column is missing, or a Param cannot be used.
    DataContractError
        Fewer than two classes; no fold whose other (earlier) rows have two.
    """

    def __init__(
        self,
        estimators: Mapping[str, Any],
        *,
        featuresCol: str = JOINED,
        labelCol: str = LABEL,
        outputCol: str = FEATURES,
        labels: Sequence[str] = (),
        numFolds: int = 3,
        foldBy: str = "hash",
        foldCol: str = ROW_ID,
        seed: int = 42,
    ) -> None:
        super().__init__()
        self._set_defaults()
        self.estimators = dict(estimators)
        self._set(
            featuresCol=featuresCol, labelCol=labelCol, outputCol=outputCol, labels=list(labels),
            numFolds=numFolds, foldBy=foldBy, foldCol=foldCol, seed=seed,
        )  # fmt: skip

    def _fit(self, dataset: DataFrame) -> AutoFuserModel:
        self._set(labels=self.getLabels() or labels_of(dataset, self.getLabelCol()))
        choice = self.choose(dataset)
        chosen = self.estimators.get(choice.method)
        model = AutoFuserModel(choice, chosen.fit(dataset) if chosen is not None else None)
        return self._copyValues(model._resetUid(self.uid))

    def choose(self, train: DataFrame) -> Choice:
        """Fit each method on all folds but one, for each fold, and name the best; runs Spark jobs."""
        from pyspark.sql import functions as F

        self._check_folds()
        labels, seed = self.getLabels(), self.getSeed()
        rows = rows_for_fit(train, self.getLabelCol(), labels, key=ROW_ID, limit=MOST_ROWS, seed=seed)
        past_only = self.getFoldBy() == "time"
        rows = rows.withColumn(FOLD, self._fold(rows)).persist()
        losses: dict[str, list[float]] = {name: [] for name in (CONCAT, *self.estimators)}
        try:
            for fold in self._folds_to_judge(rows, past_only):
                seen = rows.where(F.col(FOLD) <= fold) if past_only else rows
                others = seen.where(F.col(FOLD) != fold)
                for name, found in losses.items():
                    estimator = self.estimators.get(name)
                    fused = estimator.fit(others).transform(seen) if estimator is not None else seen
                    column = self.getOutputCol() if estimator is not None else self.getFeaturesCol()
                    found.append(self._loss(fused, column, fold))
        finally:
            rows.unpersist()
        means = {name: float(np.mean(values)) for name, values in losses.items()}
        return Choice(min(means, key=lambda name: (means[name], list(means).index(name))), means)

    def _fold(self, rows: DataFrame) -> Column:
        by, key, folds = self.getFoldBy(), self.getFoldCol(), self.getNumFolds()
        # By time the first stretch has nothing before it and is only learnt from.
        bounds = time_bounds(rows, key, folds + 1) if by == "time" else []
        # Other folds than those that a method may make inside.
        return fold_column(by, key, folds, self.getSeed() + 1, bounds)

    def _folds_to_judge(self, rows: DataFrame, past_only: bool) -> list[int]:
        """The folds that have rows, and two classes among the rows that are learnt from."""
        place = class_column(self.getLabelCol(), self.getLabels()).alias(_CLASS)
        pairs = [(row[FOLD], row[_CLASS]) for row in rows.select(FOLD, place).distinct().collect()]
        folds = sorted({fold for fold, _ in pairs})
        usable = [
            fold
            for fold in folds
            if len({label for f, label in pairs if (f < fold if past_only else f != fold)}) > 1
        ]
        if not usable:
            raise DataContractError(
                f"folds by {self.getFoldCol()!r}",
                f"{len(folds)} have rows, and of none the rows to learn from have two classes",
                remedy="make folds by a hash of row_id, or name the fusion method",
            )
        return usable

    def _loss(self, fused: DataFrame, column: str, fold: int) -> float:
        from pyspark.sql import functions as F

        place = class_column(self.getLabelCol(), self.getLabels())
        if ANSWER in fused.columns:
            right = F.element_at(F.col(ANSWER), place + 1)
            held = fused.where(F.col(FOLD) == fold)
            return float(held.agg(F.avg(-F.log(F.greatest(right, F.lit(1e-9))))).collect()[0][0])
        sent = fused.select(ROW_ID, FOLD, place.alias(_CLASS), *parts(column)).repartition(1)
        judge = _judge(fold, len(self.getLabels()))
        return float(sent.mapInArrow(judge, "loss double").collect()[0][0])


def _judge(fold: int, count: int) -> Any:
    """Return what the task does: a logistic regression on the other folds, judged on this one."""

    def judge(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        from fusionspark.fuse.softmax import fit_best, log_loss
        from fusionspark.fuse.vector_rows import columns_of

        rows, facts = stacked(batches)
        order = np.argsort(np.array(facts[ROW_ID], dtype=object))
        rows = columns_of(rows[order], [(0, rows.shape[1])])
        classes, folds = np.array(facts[_CLASS])[order], np.array(facts[FOLD])[order]
        here, others = folds == fold, folds != fold
        # The penalty is chosen on every fifth of the other rows, never on those that judge.
        inner = others & (np.arange(len(folds)) % 5 == 0)
        learn = others & ~inner
        _, model = fit_best(rows[learn], classes[learn], (rows[inner], classes[inner]), count)
        loss = log_loss(model.log_probabilities(rows[here]), classes[here])
        yield pa.RecordBatch.from_pydict({"loss": pa.array([loss], pa.float64())})

    return judge


class AutoFuserModel(Model, _AutoParams, MLReadable["AutoFuserModel"], MLWritable):
    """The chosen method's model; see `AutoFuser`.

    Parameters
    ----------
    choice : Choice
    inner : Model or None
        None for ``concat``: the joined blocks are the features.
    """

    def __init__(self, choice: Choice | None = None, inner: Any = None) -> None:
        super().__init__()
        self._set_defaults()
        self.choice, self.inner = choice, inner

    def _transform(self, dataset: DataFrame) -> DataFrame:
        from pyspark.sql import functions as F

        if self.inner is not None:
            fused: DataFrame = self.inner.transform(dataset)
            return fused
        name, out = self.getFeaturesCol(), self.getOutputCol()
        return dataset.withColumn(out, F.col(f"`{name}`").alias(out, metadata=dataset.schema[name].metadata))

    def write(self) -> MLWriter:
        """Return a writer of the model: the choice as JSON, the method's own model beside it."""
        return _AutoWriter(self)

    @classmethod
    def read(cls) -> MLReader[AutoFuserModel]:
        """Return a reader of saved models."""
        return _AutoReader()


class _AutoWriter(MLWriter):
    def __init__(self, instance: AutoFuserModel) -> None:
        super().__init__()
        self.instance = instance

    def saveImpl(self, path: str) -> None:
        assert self.instance.choice is not None
        extra = {
            "choice": {"method": self.instance.choice.method, "losses": dict(self.instance.choice.losses)}
        }
        DefaultParamsWriter.saveMetadata(self.instance, path, self.sc, extraMetadata=extra)
        if self.instance.inner is not None:
            self.instance.inner.write().save(f"{path}/chosen")


class _AutoReader(MLReader["AutoFuserModel"]):
    def load(self, path: str) -> AutoFuserModel:
        metadata = DefaultParamsReader.loadMetadata(path, self.sc)
        choice, inner = Choice(**metadata["choice"]), cast(Any, None)
        if choice.method != CONCAT:
            inner = DefaultParamsReader.loadParamsInstance(f"{path}/chosen", self.sc)
        model = AutoFuserModel(choice, inner)
        model._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(model, metadata)
        return model
