"""Fusion by a gated network, as a pyspark.ml Estimator and Model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasFeaturesCol, HasLabelCol, HasMaxIter, HasOutputCol, HasSeed
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

from fusionspark.barrier_slots import run_in_barrier
from fusionspark.columns import ANSWER, FEATURES, JOINED, LABEL, ROW_ID
from fusionspark.errors import ConfigError, MissingExtraError
from fusionspark.files import Files
from fusionspark.fuse.block_layout import layout_of
from fusionspark.fuse.gated_network import NetworkSays, NetworkSpec
from fusionspark.fuse.labelled_rows import class_column, rows_for_fit
from fusionspark.fuse.row_files import CLASS, HELD_OUT, shares
from fusionspark.fuse.shared_params import HasLabels
from fusionspark.fuse.vector_rows import parts, vector_function
from fusionspark.labels import labels_of
from fusionspark.tables import ordered_for_fit

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Share of the training rows that only say when to stop.
STOPPING_SHARE = 0.15


class _GatedParams(HasFeaturesCol, HasLabelCol, HasOutputCol, HasMaxIter, HasSeed, HasLabels):
    answerCol: Param[str] = Param(
        Params._dummy(), "answerCol", "probability of each class", TypeConverters.toString
    )
    encoderUnits: Param[int] = Param(
        Params._dummy(), "encoderUnits", "units of each modality's encoder", TypeConverters.toInt
    )
    hiddenUnits: Param[int] = Param(
        Params._dummy(), "hiddenUnits", "units of the ReLU layer", TypeConverters.toInt
    )
    numTasks: Param[int] = Param(Params._dummy(), "numTasks", "processes that train", TypeConverters.toInt)
    localMode: Param[bool] = Param(
        Params._dummy(),
        "localMode",
        "train beside the driver, not on executors",
        TypeConverters.toBoolean,
    )
    rowsDir: Param[str] = Param(
        Params._dummy(),
        "rowsDir",
        "folder of the training rows during the fit",
        TypeConverters.toString,
    )

    def getAnswerCol(self) -> str:
        """Return the column of probabilities."""
        return self.getOrDefault(self.answerCol)

    def getEncoderUnits(self) -> int:
        """Return the units of each encoder."""
        return self.getOrDefault(self.encoderUnits)

    def getHiddenUnits(self) -> int:
        """Return the units of the ReLU layer."""
        return self.getOrDefault(self.hiddenUnits)

    def getNumTasks(self) -> int:
        """Return the number of processes."""
        return self.getOrDefault(self.numTasks)

    def getLocalMode(self) -> bool:
        """Return whether the driver's machine trains."""
        return self.getOrDefault(self.localMode)

    def getRowsDir(self) -> str:
        """Return the folder for the training rows."""
        return self.getOrDefault(self.rowsDir)

    def _set_defaults(self) -> None:
        self._setDefault(
            featuresCol=JOINED, labelCol=LABEL, outputCol=FEATURES, answerCol=ANSWER, maxIter=60, seed=42,
            labels=[], encoderUnits=64, hiddenUnits=64, numTasks=2, localMode=True, rowsDir="",
        )  # fmt: skip


class GatedFuser(Estimator["GatedFuserModel"], _GatedParams, DefaultParamsReadable, DefaultParamsWritable):
    """Learn a network with one encoder a block, and gates that say how far each is to be believed in a row.

    The network is that of `fusionspark.fuse.gated_network.build`: encoders, gates that also see which blocks
    are missing, a ReLU layer, softmax. It is trained with Adam by ``numTasks`` processes that pyspark's
    ``TorchDistributor`` starts, beside the driver or on executors (one barrier stage). They stream their own
    Parquet files of ``rowsDir``; no row passes through the driver. A seventh of the rows, drawn by a hash of
    ``row_id``, only say when to stop.

    The model adds the hidden layer, as features for other learners, and the network's own probabilities.

    Parameters
    ----------
    featuresCol : str
        What `fusionspark.fuse.feature_fuser.FeatureFuser` made with ``handleInvalid`` keep: its metadata say
        where each block lies, and the last value of each block that it is missing.
    numTasks : int
        Results depend on it, and not on the cluster.
    rowsDir : str
        Folder that driver and training processes see under one path, plain or as a URI that pyarrow knows.
        Its content is deleted after the fit.

    Raises
    ------
    ConfigError
        A column, a layout or ``rowsDir`` is missing.
    DataContractError
        Fewer than two classes.
    MissingExtraError
        torch or safetensors is not installed.
    """

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        featuresCol: str = JOINED,
        labelCol: str = LABEL,
        outputCol: str = FEATURES,
        answerCol: str = ANSWER,
        labels: list[str] | None = None,
        encoderUnits: int = 64,
        hiddenUnits: int = 64,
        maxIter: int = 60,
        numTasks: int = 2,
        localMode: bool = True,
        rowsDir: str = "",
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
        answerCol: str = ANSWER,
        labels: list[str] | None = None,
        encoderUnits: int = 64,
        hiddenUnits: int = 64,
        maxIter: int = 60,
        numTasks: int = 2,
        localMode: bool = True,
        rowsDir: str = "",
        seed: int = 42,
    ) -> GatedFuser:
        """Set Params by keyword."""
        return self._set(**self._input_kwargs)

    def _fit(self, dataset: DataFrame) -> GatedFuserModel:
        try:
            import safetensors  # noqa: F401
            import torch  # noqa: F401
        except ImportError as error:
            raise MissingExtraError(str(error.name), "torch", "GatedFuser") from error
        if not self.getRowsDir():
            raise ConfigError("rowsDir", "is not set", remedy="name a folder that all training processes see")
        layout = layout_of(dataset, self.getFeaturesCol())
        labels = self.getLabels() or labels_of(dataset, self.getLabelCol())
        spec = NetworkSpec(
            tuple(layout.values()), len(labels), self.getEncoderUnits(), self.getHiddenUnits(),
            max_epochs=self.getMaxIter(), seed=self.getSeed(),
        )  # fmt: skip
        files, tasks, local = self._write(dataset, labels), self.getNumTasks(), self.getLocalMode()

        def fitted() -> dict[str, Any]:
            return fit_network(spec, files, tasks, local=local)

        try:
            # On executors the processes are tasks that must all run at once.
            spark = dataset.sparkSession
            found = fitted() if local else run_in_barrier(spark, tasks, "the gated network", fitted)
        finally:
            Files(dataset.sparkSession).delete(self.getRowsDir())
        model = GatedFuserModel(spec, found.pop("weights"), found)
        model = self._copyValues(model._resetUid(self.uid))
        return model._set(labels=labels)

    def _write(self, dataset: DataFrame, labels: list[str]) -> list[tuple[str, int]]:
        """Write the training rows, two files a process, and return (path, rows) of each file."""
        from pyspark.sql import functions as F

        spark, folder = dataset.sparkSession, self.getRowsDir()
        key = ROW_ID if ROW_ID in dataset.columns else self.getLabelCol()
        rows = rows_for_fit(dataset, self.getLabelCol(), labels, key=key, limit=1 << 62, seed=self.getSeed())
        if key == ROW_ID:
            rows = ordered_for_fit(rows, 2 * self.getNumTasks())
            draw = F.pmod(F.xxhash64(F.lit(self.getSeed()), F.lit("stop"), F.col(ROW_ID)), F.lit(1000))
        else:
            draw = F.pmod(F.monotonically_increasing_id(), F.lit(1000))
        rows.select(
            class_column(self.getLabelCol(), labels).alias(CLASS),
            (draw < int(1000 * STOPPING_SHARE)).alias(HELD_OUT),
            *parts(self.getFeaturesCol()),
        ).write.mode("overwrite").parquet(folder)
        held = Files(spark)
        paths = [f"{held.absolute(folder)}/{name}" for name in held.sizes(folder)]
        counted = spark.read.parquet(folder).groupBy(F.input_file_name().alias("file")).count().collect()
        rows_of = {row["file"].rpartition("/")[2]: row["count"] for row in counted}
        # Names of files differ from run to run; the number of the partition in them does not.
        return [(path, rows_of.get(path.rpartition("/")[2], 0)) for path in sorted(paths, key=_part_number)]


def _part_number(path: str) -> str:
    return path.rpartition("/")[2][:10]


def fit_network(
    spec: NetworkSpec, files: Sequence[tuple[str, int]], tasks: int, *, local: bool
) -> dict[str, Any]:
    """Train over ``tasks`` processes; a single local one is the driver's own."""
    given = [[path for path, _ in own] for own in shares(files, tasks)]
    most = max(sum(n for _, n in own) for own in shares(files, tasks))
    steps = max(1, -(-most // spec.batch))
    if tasks == 1 and local:
        return _train_share(spec.to_dict(), given, steps)
    from pyspark.ml.torch.distributor import TorchDistributor

    distributor = TorchDistributor(num_processes=tasks, local_mode=local, use_gpu=False)
    found: Any = distributor.run(_train_share, spec.to_dict(), given, steps)
    return dict(found)


def _train_share(spec: dict[str, Any], given: list[list[str]], steps: int) -> dict[str, Any]:
    """What one training process does; the first one's result is returned."""
    import torch

    from fusionspark.fuse.gated_network import NetworkSpec, train
    from fusionspark.fuse.row_files import RowFiles

    shape, rank, grouped = NetworkSpec.from_dict(spec), 0, len(given) > 1
    if grouped:
        torch.distributed.init_process_group("gloo")
        rank = torch.distributed.get_rank()
    threads = torch.get_num_threads()
    # One thread a process: sums then do not depend on the machine.
    torch.set_num_threads(1)
    try:
        own = given[rank]
        learn = RowFiles(own, False, shape.batch, 65_536, shape.seed)
        judge = RowFiles(own, True, 1024, 65_536, shape.seed)
        return train(shape, learn, judge, steps)
    finally:
        torch.set_num_threads(threads)
        if grouped:
            torch.distributed.destroy_process_group()


class GatedFuserModel(Model, _GatedParams, MLReadable["GatedFuserModel"], MLWritable):
    """Fitted network: adds the hidden layer and the probability of each class, lazily; see `GatedFuser`."""

    def __init__(
        self, spec: NetworkSpec | None = None, weights: bytes = b"", facts: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        self._set_defaults()
        self.spec, self.weights, self.facts = spec, weights, dict(facts or {})

    @property
    def layout(self) -> dict[str, tuple[int, int]]:
        """Slice of the hidden layer in the output: all of it."""
        return {"hidden layer": (0, self.spec.hidden if self.spec else 0)}

    def sayer(self) -> NetworkSays:
        """Plain function (CSR matrix of joined vectors) -> array of probabilities, then hidden units."""
        assert self.spec is not None
        return NetworkSays(self.spec, self.weights)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        from pyspark.ml.functions import array_to_vector
        from pyspark.sql import functions as F

        spec = self.spec
        assert spec is not None
        said, both = vector_function(self.sayer()), f"{self.uid}__both"
        metadata = {
            "ml_attr": {"num_attrs": spec.hidden},
            "layout": [f"hidden layer:0:{spec.hidden}:1.0"],
        }
        hidden = array_to_vector(F.slice(F.col(both), spec.classes + 1, spec.hidden))
        return (
            dataset.withColumn(both, said(*parts(self.getFeaturesCol())))
            .withColumn(self.getAnswerCol(), F.slice(F.col(both), 1, spec.classes))
            .withColumn(self.getOutputCol(), hidden.alias(self.getOutputCol(), metadata=metadata))
            .drop(both)
        )

    def write(self) -> MLWriter:
        """Return a writer of the model: Params and shape as JSON, weights as safetensors."""
        return _GatedWriter(self)

    @classmethod
    def read(cls) -> MLReader[GatedFuserModel]:
        """Return a reader of saved models."""
        return _GatedReader()


class _GatedWriter(MLWriter):
    def __init__(self, instance: GatedFuserModel) -> None:
        super().__init__()
        self.instance = instance

    def saveImpl(self, path: str) -> None:
        assert self.instance.spec is not None
        extra = {"spec": self.instance.spec.to_dict(), "facts": json.loads(json.dumps(self.instance.facts))}
        DefaultParamsWriter.saveMetadata(self.instance, path, self.sc, extraMetadata=extra)
        Files(self.sparkSession).write_bytes(f"{path}/network.safetensors", self.instance.weights)


class _GatedReader(MLReader["GatedFuserModel"]):
    def load(self, path: str) -> GatedFuserModel:
        metadata = DefaultParamsReader.loadMetadata(path, self.sc)
        weights = Files(self.sparkSession).read_end(f"{path}/network.safetensors", 0)
        model = GatedFuserModel(NetworkSpec.from_dict(metadata["spec"]), weights, metadata["facts"])
        model._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(model, metadata)
        return model
