"""Fusion by stacking: what one model a block says, out of fold, beside the structured columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import (
    HasFeaturesCol,
    HasLabelCol,
    HasOutputCol,
    HasSeed,
    HasValidationIndicatorCol,
)
from pyspark.ml.util import (
    DefaultParamsReadable,
    DefaultParamsReader,
    DefaultParamsWritable,
    DefaultParamsWriter,
    MLReadable,
    MLReader,
    MLWritable,
    MLWriter,
)

from fusionspark.columns import FEATURES, JOINED, LABEL, ROW_ID
from fusionspark.errors import ConfigError
from fusionspark.fuse.block_layout import layout_of
from fusionspark.fuse.cross_fit import BlockModels, StackSays, packed, unpacked
from fusionspark.fuse.folds import fold_column, fold_of_learnt, hash_of, time_bounds
from fusionspark.fuse.labelled_rows import class_column, rows_for_fit
from fusionspark.fuse.shared_params import HasFolds, HasLabels
from fusionspark.fuse.vector_rows import parts, vector_function
from fusionspark.labels import labels_of

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame

#: Rows of one fit at most: all rows of a block meet in one task.
MOST_ROWS = 200_000
_FOLD, _CLASS, _BLOCK, _CHOOSES = "__fold", "__class", "__block", "__chooses"


class _StackParams(
    HasFeaturesCol, HasLabelCol, HasOutputCol, HasSeed, HasValidationIndicatorCol, HasLabels, HasFolds
):
    keptBlocks: Param[list[str]] = Param(
        Params._dummy(),
        "keptBlocks",
        "blocks whose columns go on beside what the models say",
        TypeConverters.toListString,
    )
    foldedBlocks: Param[list[str]] = Param(
        Params._dummy(),
        "foldedBlocks",
        "blocks of numFolds parts, of which part f was made without the rows of fold f",
        TypeConverters.toListString,
    )
    maxRows: Param[int] = Param(
        Params._dummy(), "maxRows", "training rows that are used, by a hash of foldCol", TypeConverters.toInt
    )

    def getKeptBlocks(self) -> list[str]:
        """Return the blocks whose columns go on."""
        return self.getOrDefault(self.keptBlocks)

    def getFoldedBlocks(self) -> list[str]:
        """Return the blocks of one part a fold."""
        return self.getOrDefault(self.foldedBlocks)

    def getMaxRows(self) -> int:
        """Return the number of training rows that are used at most."""
        return self.getOrDefault(self.maxRows)

    def _set_defaults(self) -> None:
        self._setDefault(
            featuresCol=JOINED, labelCol=LABEL, outputCol=FEATURES, seed=42, labels=[], keptBlocks=[],
            foldedBlocks=[], numFolds=5, foldBy="hash", foldCol=ROW_ID, maxRows=MOST_ROWS,
        )  # fmt: skip


class Stacker(Estimator["StackerModel"], _StackParams, DefaultParamsReadable, DefaultParamsWritable):
    """Learn one model a block, and let a second model see what each says of rows it has not seen.

    Stacked generalisation (Wolpert, Neural Networks 5, 1992), with probabilities as what the second level
    reads (Ting & Witten, JAIR 10, 1999). The output holds, for each block, the logarithms of the class
    probabilities, and after them the columns of ``keptBlocks``. Any classifier of vectors is the
    meta-learner: boosted trees find interactions between a text's topic and a column there.

    A row is always answered by the model that has not seen its fold, in training and ever after. So what a
    meta-learner reads of its training rows is made as it is made of new rows, and nothing leaks: the output
    of a row never depends on the row's own label. The price is that each model has seen
    ``1 - 1 / numFolds`` of the rows. With ``foldedBlocks`` the price would be that of a whole encoder, so
    there a row that was not learnt from is answered by the mean of what all models say.

    Parameters
    ----------
    featuresCol : str
        What `fusionspark.fuse.feature_fuser.FeatureFuser` made: its metadata say where each block lies.
    labelCol : str
        Label; rows without one, or with one that is not in ``labels``, are left out of the fit.
    labels : list of str, optional
        The classes in order; by default the labels found, sorted.
    foldedBlocks : list of str, optional
        Blocks that were themselves learnt from labels, fold by fold: ``numFolds`` parts of equal width, part
        f by a model that has not seen the rows of fold f, as `fusionspark tune` with ``tune.cross_fit`` makes
        them, and the indicator of a missing block after them. Model f reads part f alone, so a row is never
        answered by anything that knew its label. All labelled rows of the fit but those that choose count as
        learnt from, and the model remembers them (8 bytes a value of ``foldCol``). Not with
        ``foldBy="time"``.
    foldBy : {"hash", "time"}
        ``hash``: rows of equal ``foldCol`` share a fold, so a group's column keeps groups together.
        ``time``: folds are stretches of ``foldCol`` (a number, date or timestamp) with equal numbers of rows;
        a row is answered by a model of earlier stretches only, and one before all others with the shares of
        the classes.
    validationIndicatorCol : str, optional
        Boolean column; rows where it is true choose the L2 penalty of each block's models, which learn from
        the others. Without it the rows of one fold choose. Rows that an encoder was tuned on are no judges of
        what its vectors say: give rows that it has not seen.

    Raises
    ------
    ConfigError
        A column or a layout is missing, a block has no such parts, or a Param cannot be used.
    DataContractError
        Fewer than two classes.
    """

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        featuresCol: str = JOINED,
        labelCol: str = LABEL,
        outputCol: str = FEATURES,
        labels: list[str] | None = None,
        keptBlocks: list[str] | None = None,
        foldedBlocks: list[str] | None = None,
        numFolds: int = 5,
        foldBy: str = "hash",
        foldCol: str = ROW_ID,
        maxRows: int = MOST_ROWS,
        validationIndicatorCol: str | None = None,
        seed: int = 42,
    ) -> None:
        super().__init__()
        self._set_defaults()
        self._set(**self._input_kwargs)

    @keyword_only
    def setParams(
        self,
        *,
        featuresCol: str = JOINED,
        labelCol: str = LABEL,
        outputCol: str = FEATURES,
        labels: list[str] | None = None,
        keptBlocks: list[str] | None = None,
        foldedBlocks: list[str] | None = None,
        numFolds: int = 5,
        foldBy: str = "hash",
        foldCol: str = ROW_ID,
        maxRows: int = MOST_ROWS,
        validationIndicatorCol: str | None = None,
        seed: int = 42,
    ) -> Stacker:
        """Set Params by keyword."""
        return self._set(**self._input_kwargs)

    def _fit(self, dataset: DataFrame) -> StackerModel:
        from pyspark.sql import functions as F

        self._check_folds()
        folds, by = self.getNumFolds(), self.getFoldBy()
        layout = layout_of(dataset, self.getFeaturesCol())
        for param, named in (("keptBlocks", self.getKeptBlocks()), ("foldedBlocks", self.getFoldedBlocks())):
            unknown = [name for name in named if name not in layout]
            if unknown:
                raise ConfigError(param, f"no block {unknown[0]!r}", allowed=", ".join(layout))
        self._check_parts(layout)
        labels = self.getLabels() or labels_of(dataset, self.getLabelCol())
        key, seed = self.getFoldCol(), self.getSeed()
        rows = rows_for_fit(dataset, self.getLabelCol(), labels, key=key, limit=self.getMaxRows(), seed=seed)
        chooses = F.lit(False)
        if self.isDefined(self.validationIndicatorCol):
            chooses = F.col(f"`{self.getValidationIndicatorCol()}`")
        learnt = np.empty(0, dtype=np.int64)
        if self.getFoldedBlocks():
            # The encoders have learnt from all of them, however many a stack's models are given.
            all_learnt = dataset.where(F.col(f"`{self.getLabelCol()}`").isNotNull() & ~chooses)
            hashes = all_learnt.select(hash_of(key, seed).alias("hash")).distinct().toPandas()
            learnt = np.sort(hashes["hash"].to_numpy(np.int64))
        bounds = time_bounds(rows.where(~chooses), key, folds) if by == "time" else []
        fold = fold_column(by, key, folds, seed, bounds)
        names = list(layout)
        each = F.explode(F.array(*[F.lit(i) for i in range(len(names))])).alias(_BLOCK)
        sent = rows.select(
            F.col(f"`{key}`").cast("string").alias("__key"),
            fold.alias(_FOLD),
            class_column(self.getLabelCol(), labels).alias(_CLASS),
            chooses.alias(_CHOOSES),
            *parts(self.getFeaturesCol()),
            each,
        )
        spans = [(name, *layout[name], name in self.getFoldedBlocks()) for name in names]
        train = _trainer(spans, len(labels), len(bounds) if by == "time" else folds, by == "time")
        found = (
            sent.repartition(2 * len(names), _BLOCK).mapInArrow(train, "block int, models string").collect()
        )
        blocks = [
            BlockModels.from_dict(_json(row["models"])) for row in sorted(found, key=lambda row: row["block"])
        ]
        model = StackerModel(blocks, bounds, {name: layout[name] for name in self.getKeptBlocks()}, learnt)
        model = self._copyValues(model._resetUid(self.uid))
        return model._set(labels=labels)

    def _check_parts(self, layout: dict[str, tuple[int, int]]) -> None:
        """Raise a ConfigError where a block cannot have a part for each fold."""
        folded, folds = self.getFoldedBlocks(), self.getNumFolds()
        if folded and self.getFoldBy() == "time":
            raise ConfigError("foldBy", "is 'time', and blocks have a part for each fold", allowed="hash")
        for name in folded:
            start, end = layout[name]
            # One column may be more: the indicator of `FeatureFuser`.
            if (end - start) % folds > 1:
                raise ConfigError(
                    "foldedBlocks",
                    f"block {name!r} has {end - start} columns",
                    allowed=f"a multiple of the {folds} folds, and an indicator",
                    remedy="make as many folds as the model was tuned with, and do not reduce its vectors",
                )


def _json(text: str) -> dict[str, Any]:
    import json

    return dict(json.loads(text))


def _trainer(spans: list[tuple[str, int, int, bool]], count: int, folds: int, past_only: bool) -> Any:
    """Return what a task does: one block after the other, all its folds."""

    def train(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import json

        import numpy as np
        import pyarrow as pa

        from fusionspark.fuse.cross_fit import cross_fit
        from fusionspark.fuse.vector_rows import columns_of, stacked

        rows, facts = stacked(batches)
        if rows is None:
            return
        numbers = np.array(facts[_BLOCK])
        classes, fold, chooses = (np.array(facts[name]) for name in (_CLASS, _FOLD, _CHOOSES))
        keys = np.array(facts["__key"], dtype=object)
        for number in np.unique(numbers):
            here = np.flatnonzero(numbers == number)
            # Rows of one key keep no order of their own, so their label and fold decide.
            here = here[np.lexsort((classes[here], keys[here].astype(str)))]
            name, start, end, folded = spans[int(number)]
            part = columns_of(rows[here], [(start, end)])
            fitted = cross_fit(
                part, classes[here], fold[here], count, folds,
                past_only=past_only, choosing=chooses[here], folded=folded,
            )  # fmt: skip
            models = BlockModels(name, start, end, *fitted)
            yield pa.RecordBatch.from_pydict(
                {
                    "block": pa.array([int(number)], pa.int32()),
                    "models": pa.array([json.dumps(models.to_dict())]),
                }
            )

    return train


class StackerModel(Model, _StackParams, MLReadable["StackerModel"], MLWritable):
    """Fitted stack: adds what each block's model says; see `Stacker`. Lazy.

    Parameters
    ----------
    blocks : list of BlockModels
    bounds : list of float
        First value of each stretch of time but the first; empty where folds are by hash.
    kept : dict of str to (start, end)
        Slices of the joined vector that go on as they are.
    learnt : array of int64, optional
        With ``foldedBlocks``: sorted hashes (`hash_of`) of the rows that were learnt from.
    """

    def __init__(
        self,
        blocks: list[BlockModels] | None = None,
        bounds: list[float] | None = None,
        kept: dict[str, tuple[int, int]] | None = None,
        learnt: npt.NDArray[np.int64] | None = None,
    ) -> None:
        super().__init__()
        self._set_defaults()
        self.blocks, self.bounds, self.kept = list(blocks or []), list(bounds or []), dict(kept or {})
        self.learnt = np.empty(0, dtype=np.int64) if learnt is None else learnt

    @property
    def layout(self) -> dict[str, tuple[int, int]]:
        """Slice of what each block's model says in the output, and of the kept columns after it."""
        found, at, count = {}, 0, len(self.getLabels())
        for block in self.blocks:
            found[f"{block.block} says"] = (at, at + count)
            at += count
        for name, (start, end) in self.kept.items():
            found[name] = (at, at + end - start)
            at += end - start
        return found

    def fold(self) -> Column:
        """Fold of each row, whose models answer for it; `NEW` where all do."""
        if self.getFoldedBlocks():
            known = fold_of_learnt(self.learnt, self.getNumFolds())
            return known(hash_of(self.getFoldCol(), self.getSeed()))  # type: ignore[no-any-return]
        return fold_column(
            self.getFoldBy(), self.getFoldCol(), self.getNumFolds(), self.getSeed(), self.bounds
        )

    def sayer(self) -> StackSays:
        """Plain function (CSR matrix of joined vectors, folds) -> array of the output."""
        return StackSays(tuple(self.blocks), tuple(self.kept.values()))

    def _transform(self, dataset: DataFrame) -> DataFrame:
        from pyspark.ml.functions import array_to_vector

        said = vector_function(self.sayer())
        size, indices, values = parts(self.getFeaturesCol())
        metadata = {
            "ml_attr": {"num_attrs": max((end for _, end in self.layout.values()), default=0)},
            "layout": [f"{name}:{start}:{end}:1.0" for name, (start, end) in self.layout.items()],
        }
        return dataset.withColumn(
            self.getOutputCol(),
            array_to_vector(said(size, indices, values, self.fold())).alias(
                self.getOutputCol(), metadata=metadata
            ),
        )

    def write(self) -> MLWriter:
        """Return a writer of the model: one JSON file."""
        return _StackerWriter(self)

    @classmethod
    def read(cls) -> MLReader[StackerModel]:
        """Return a reader of saved models."""
        return _StackerReader()


class _StackerWriter(MLWriter):
    def __init__(self, instance: StackerModel) -> None:
        super().__init__()
        self.instance = instance

    def saveImpl(self, path: str) -> None:
        extra = {
            "blocks": [block.to_dict() for block in self.instance.blocks],
            "bounds": self.instance.bounds,
            "kept": {name: list(span) for name, span in self.instance.kept.items()},
            "learnt": packed(self.instance.learnt),
        }
        DefaultParamsWriter.saveMetadata(self.instance, path, self.sc, extraMetadata=extra)


class _StackerReader(MLReader["StackerModel"]):
    def load(self, path: str) -> StackerModel:
        metadata = DefaultParamsReader.loadMetadata(path, self.sc)
        kept = {name: (span[0], span[1]) for name, span in metadata["kept"].items()}
        blocks = [BlockModels.from_dict(block) for block in metadata["blocks"]]
        learnt = unpacked(metadata.get("learnt", ""), np.int64)
        model = StackerModel(blocks, metadata["bounds"], kept, learnt)
        model._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(model, metadata)
        return model
