"""`KMeans` with MLlib's Params and MLlib's model, fitted in numpy on the executors."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.ml import Estimator
from pyspark.ml.clustering import KMeansModel, _KMeansParams
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as F

from fusionspark.barrier_slots import run_in_barrier, slots, why_no_barrier
from fusionspark.errors import ConfigError, FusionSparkError, LostExecutorsError, nearest
from fusionspark.mine.arrow_columns import as_stored
from fusionspark.mine.kmeans_model import as_model, mllib_kmeans
from fusionspark.mine.kmeans_start import INIT_MODES
from fusionspark.mine.lloyd import Outcome, Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_LOG = logging.getLogger(__name__)

MEASURES = ("euclidean", "cosine")
#: Bytes of rows, by Spark's estimate, that are worth a task of their own.
BYTES_OF_A_TASK = 32 << 20


class KMeans(Estimator["KMeansModel"], _KMeansParams, DefaultParamsReadable, DefaultParamsWritable):
    """K-means whose fit runs in float32 BLAS beside the data; one changed import away from MLlib's.

    Rows go once through Arrow into one matrix a task; the tasks of one barrier stage then iterate among
    themselves, meeting in sums of k centres. All Params of `pyspark.ml.clustering.KMeans` are there
    (``solver`` and ``maxBlockSizeInMB`` matter only where MLlib has to stand in), and the result is a
    `pyspark.ml.clustering.KMeansModel` with its summary: what transforms, saves and scores is MLlib's.

    The result is the same to the last digit for every partitioning and number of tasks: first centres are
    drawn by a hash of the rows themselves, sums are exact, and near ties are settled in float64.

    Parameters
    ----------
    featuresCol : str
        ``vector`` (sparse ones too), ``array<float>`` or ``array<double>``; read as float32.
    k, maxIter, tol, seed, distanceMeasure, weightCol, predictionCol
        As in MLlib. Fewer than ``k`` centres come out only where fewer rows are distinct.
    initMode : {"k-means||", "k-means++", "random"}
        ``k-means++`` works on a sample of 4,096 rows, or 20 a cluster where that is more.
    initSteps : int
        Rounds of ``k-means||``.
    nInit : int
        Starts, each with a seed of its own, of which the cheapest is kept (scikit-learn's ``n_init``); 1 by
        default, as in MLlib. Rows are read once for all of them. With mini-batches the starts are compared
        on the sample.
    numWorkers : int
        Tasks that hold the rows; 0 (the default) takes what the data deserve, at most the free slots.
    batchSize : int
        0 (the default) keeps all rows in memory as float32. Above 0: mini-batches of so many rows (Sculley
        2010) are streamed through, for data larger than memory; ``maxIter`` then counts passes.
    device : {"auto", "cpu"} or a torch device name
        Where products with the centres are computed; ``auto`` takes the GPU that Spark gave the task.

    Attributes
    ----------
    engine : str
        Not saved. ``executors``, or ``mllib`` where MLlib had to stand in, after `fit`.
    resources : dict
        Not saved. Seconds inside the first task and its peak memory, in MiB, after `fit` on executors.
    why : str
        Not saved. Why MLlib stood in: a barrier stage needs a free slot for every task, and executors that
        stay.

    Raises
    ------
    ConfigError
        A Param that cannot be used.
    DataContractError
        No rows; null, NaN or infinite features; rows of unlike width; negative weights; with cosine, rows of
        length zero.
    """

    _input_kwargs: dict[str, Any]

    nInit: Param[int] = Param(
        Params._dummy(), "nInit", "starts of which the cheapest is kept", typeConverter=TypeConverters.toInt
    )
    numWorkers: Param[int] = Param(
        Params._dummy(),
        "numWorkers",
        "tasks that hold the rows; 0: automatic",
        typeConverter=TypeConverters.toInt,
    )
    batchSize: Param[int] = Param(
        Params._dummy(),
        "batchSize",
        "rows of a mini-batch; 0: all rows at once",
        typeConverter=TypeConverters.toInt,
    )
    device: Param[str] = Param(
        Params._dummy(), "device", "auto, cpu or a torch device", typeConverter=TypeConverters.toString
    )

    @keyword_only
    def __init__(
        self,
        *,
        featuresCol: str = "features",
        predictionCol: str = "prediction",
        k: int = 2,
        initMode: str = "k-means||",
        initSteps: int = 2,
        tol: float = 1e-4,
        maxIter: int = 20,
        seed: int = 42,
        distanceMeasure: str = "euclidean",
        weightCol: str | None = None,
        solver: str = "auto",
        maxBlockSizeInMB: float = 0.0,
        nInit: int = 1,
        numWorkers: int = 0,
        batchSize: int = 0,
        device: str = "auto",
    ) -> None:
        super().__init__()
        self.engine, self.why = "", ""
        self.resources: dict[str, Any] = {}
        # MLlib's default seed is a hash that Python salts anew in every process.
        self._setDefault(seed=42, nInit=1, numWorkers=0, batchSize=0, device="auto")
        self._set(**self._input_kwargs)

    @keyword_only
    def setParams(
        self,
        *,
        featuresCol: str | None = None,
        predictionCol: str | None = None,
        k: int | None = None,
        initMode: str | None = None,
        initSteps: int | None = None,
        tol: float | None = None,
        maxIter: int | None = None,
        seed: int | None = None,
        distanceMeasure: str | None = None,
        weightCol: str | None = None,
        solver: str | None = None,
        maxBlockSizeInMB: float | None = None,
        nInit: int | None = None,
        numWorkers: int | None = None,
        batchSize: int | None = None,
        device: str | None = None,
    ) -> KMeans:
        """Set several Params at once; what is left out stays as it is."""
        return self._set(**self._input_kwargs)  # type: ignore[no-any-return]

    def setFeaturesCol(self, value: str) -> KMeans:
        """Set the column of features."""
        return self._set(featuresCol=value)  # type: ignore[no-any-return]

    def setPredictionCol(self, value: str) -> KMeans:
        """Set the column for the number of the cluster."""
        return self._set(predictionCol=value)  # type: ignore[no-any-return]

    def setK(self, value: int) -> KMeans:
        """Set the number of clusters."""
        return self._set(k=value)  # type: ignore[no-any-return]

    def setInitMode(self, value: str) -> KMeans:
        """Set how the first centres are chosen."""
        return self._set(initMode=value)  # type: ignore[no-any-return]

    def setInitSteps(self, value: int) -> KMeans:
        """Set the rounds of k-means||."""
        return self._set(initSteps=value)  # type: ignore[no-any-return]

    def setTol(self, value: float) -> KMeans:
        """Set by how much centres may still move when the fit ends."""
        return self._set(tol=value)  # type: ignore[no-any-return]

    def setMaxIter(self, value: int) -> KMeans:
        """Set the largest number of iterations."""
        return self._set(maxIter=value)  # type: ignore[no-any-return]

    def setSeed(self, value: int) -> KMeans:
        """Set the seed of the first centres."""
        return self._set(seed=value)  # type: ignore[no-any-return]

    def setDistanceMeasure(self, value: str) -> KMeans:
        """Set ``euclidean`` or ``cosine``."""
        return self._set(distanceMeasure=value)  # type: ignore[no-any-return]

    def setWeightCol(self, value: str) -> KMeans:
        """Set the column of row weights."""
        return self._set(weightCol=value)  # type: ignore[no-any-return]

    def setSolver(self, value: str) -> KMeans:
        """Set MLlib's solver, for where MLlib stands in."""
        return self._set(solver=value)  # type: ignore[no-any-return]

    def setMaxBlockSizeInMB(self, value: float) -> KMeans:
        """Set MLlib's block size, for where MLlib stands in."""
        return self._set(maxBlockSizeInMB=value)  # type: ignore[no-any-return]

    def setNInit(self, value: int) -> KMeans:
        """Set the number of starts."""
        return self._set(nInit=value)  # type: ignore[no-any-return]

    def setNumWorkers(self, value: int) -> KMeans:
        """Set the number of tasks; 0 is automatic."""
        return self._set(numWorkers=value)  # type: ignore[no-any-return]

    def setBatchSize(self, value: int) -> KMeans:
        """Set the rows of a mini-batch; 0 keeps all rows in memory."""
        return self._set(batchSize=value)  # type: ignore[no-any-return]

    def setDevice(self, value: str) -> KMeans:
        """Set where products are computed."""
        return self._set(device=value)  # type: ignore[no-any-return]

    def _check(self, dataset: DataFrame) -> None:
        whole = {
            "k": (self.getK(), 2),
            "maxIter": (self.getMaxIter(), 0),
            "initSteps": (self.getInitSteps(), 1),
        }
        whole["nInit"] = (self.getOrDefault(self.nInit), 1)
        whole["numWorkers"] = (self.getOrDefault(self.numWorkers), 0)
        whole["batchSize"] = (self.getOrDefault(self.batchSize), 0)
        for name, (value, least) in whole.items():
            if value < least:
                raise ConfigError(name, f"is {value}", allowed=f"{least} or more")
        words = {
            "initMode": (self.getInitMode(), INIT_MODES),
            "distanceMeasure": (self.getDistanceMeasure(), MEASURES),
        }
        for name, (word, allowed) in words.items():
            if word not in allowed:
                raise ConfigError(
                    name, f"{word!r} is unknown{nearest(word, allowed)}", allowed=", ".join(allowed)
                )
        names = [self.getFeaturesCol()]
        if self.isSet(self.weightCol) and self.getWeightCol():
            names.append(self.getWeightCol())
        for name in names:
            if name not in dataset.columns:
                raise ConfigError(
                    f"column {name!r}",
                    f"missing from the rows{nearest(name, dataset.columns)}",
                    allowed=", ".join(dataset.columns),
                )

    def _settings(self) -> Settings:
        return Settings(
            k=self.getK(),
            n_init=self.getOrDefault(self.nInit),
            max_iter=self.getMaxIter(),
            tol=self.getTol(),
            seed=self.getSeed() % 2**31,
            cosine=self.getDistanceMeasure() == "cosine",
            init_mode=self.getInitMode(),
            init_steps=self.getInitSteps(),
        )

    def _fit(self, dataset: DataFrame) -> KMeansModel:
        self._check(dataset)
        stored = as_stored(dataset, self.getFeaturesCol())
        weight = F.lit(1.0)
        if self.isSet(self.weightCol) and self.getWeightCol():
            weight = F.col(f"`{self.getWeightCol()}`").cast("double")
        rows = dataset.select(stored.alias("features"), weight.alias("weight"))
        workers = self._workers(rows)
        self.engine, self.why = "executors", ""
        if workers > 1:
            self.why = why_no_barrier(dataset.sparkSession, workers)
        if not self.why:
            outcome = self._on_executors(rows, workers)
            if outcome is not None:
                self.resources = outcome.resources
                return as_model(self, dataset, outcome)
        self.engine = "mllib"
        _LOG.warning("k-means: MLlib's stands in, because %s", self.why)
        return mllib_kmeans(self, dataset)

    def _workers(self, rows: DataFrame) -> int:
        asked = self.getOrDefault(self.numWorkers)
        if asked:
            return int(asked)
        size = int(str(rows._jdf.queryExecution().optimizedPlan().stats().sizeInBytes()))
        return max(1, min(slots(rows.sparkSession), -(-size // BYTES_OF_A_TASK)))

    def _on_executors(self, rows: DataFrame, workers: int) -> Outcome | None:
        """Fit in tasks of one stage; None, with the reason in ``why``, where Spark will not schedule it."""
        try:
            return run_in_barrier(
                rows.sparkSession, workers, "k-means", lambda: self._in_tasks(rows, workers)
            )
        except LostExecutorsError:
            # Fewer tasks come to the same result.
            return self._on_executors(rows, min(workers - 1, slots(rows.sparkSession)))
        except FusionSparkError:
            raise
        except Exception as error:
            # Spark checks its own conditions for a barrier stage, and says which one failed.
            for code in ("SPARK-24819", "SPARK-24820", "SPARK-24821", "SPARK-24942"):
                if code in str(error):
                    self.why = f"Spark refused the barrier stage ({code})"
                    return None
            raise

    def _in_tasks(self, rows: DataFrame, workers: int) -> Outcome:
        from fusionspark.mine import kmeans_tasks

        device, size = self.getOrDefault(self.device), self.getOrDefault(self.batchSize)
        if size:
            return kmeans_tasks.in_mini_batches(rows, workers, self._settings(), size=size, device=device)
        return kmeans_tasks.in_memory(rows, workers, self._settings(), device=device)
