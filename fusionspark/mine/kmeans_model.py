"""MLlib's own KMeansModel around centres that were found elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.ml.clustering import KMeans as MLlibKMeans
from pyspark.ml.clustering import KMeansModel
from pyspark.ml.functions import array_to_vector
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from fusionspark.mine.exact_rows import Floats
    from fusionspark.mine.kmeans import KMeans
    from fusionspark.mine.lloyd import Outcome


def readable(dataset: DataFrame, column: str) -> DataFrame:
    """Return the rows with a column that MLlib takes: of arrays it refuses those whose type allows nulls."""
    kind = dataset.schema[column].dataType
    if isinstance(kind, ArrayType) and kind.containsNull:
        return dataset.withColumn(column, array_to_vector(F.col(f"`{column}`")))
    return dataset


def _java_centres(spark: SparkSession, centres: Floats) -> Any:
    """Copy the centres into an array of Java vectors; as bytes, not number by number."""
    jvm: Any = spark._jvm
    gateway: Any = spark.sparkContext._gateway
    vectors = gateway.new_array(jvm.org.apache.spark.mllib.linalg.Vector, len(centres))
    for i, centre in enumerate(centres):
        numbers = gateway.new_array(jvm.double, len(centre))
        # Big-endian is what a ByteBuffer reads; `get` fills the array inside the JVM.
        packed = jvm.java.nio.ByteBuffer.wrap(centre.astype(">f8").tobytes())
        packed.asDoubleBuffer().get(numbers)
        vectors[i] = jvm.org.apache.spark.mllib.linalg.DenseVector(numbers)
    return vectors


def as_model(estimator: KMeans, dataset: DataFrame, outcome: Outcome) -> KMeansModel:
    """Return a `KMeansModel` with the estimator's uid and Params, and a summary over ``dataset``."""
    spark = dataset.sparkSession
    jvm: Any = spark._jvm
    inner = jvm.org.apache.spark.mllib.clustering.KMeansModel(
        _java_centres(spark, outcome.centres),
        estimator.getDistanceMeasure(),
        float(outcome.cost),
        int(outcome.iterations),
    )
    java = jvm.org.apache.spark.ml.clustering.KMeansModel(estimator.uid, inner)
    model = KMeansModel(java)
    model._resetUid(estimator.uid)
    # k-means++ is no word that MLlib's Params know; how the centres were found changes nothing from here on.
    known = estimator.getInitMode() == "random"
    estimator._copyValues(model, {estimator.initMode: "random" if known else "k-means||"})
    predictions = model.transform(readable(dataset, estimator.getFeaturesCol()))
    summary = jvm.org.apache.spark.ml.clustering.KMeansSummary(
        predictions._jdf,
        estimator.getPredictionCol(),
        estimator.getFeaturesCol(),
        len(outcome.centres),
        int(outcome.iterations),
        float(outcome.cost),
    )
    java.setSummary(jvm.scala.Option.apply(summary))
    return model


def mllib_kmeans(estimator: KMeans, dataset: DataFrame) -> KMeansModel:
    """Fit MLlib's k-means with the same Params, over rows in an order that no partitioning changes.

    MLlib knows one start a fit; of ``nInit`` fits the cheapest is kept.
    """
    name = estimator.getFeaturesCol()
    standin = MLlibKMeans()
    for param in estimator.extractParamMap():
        if standin.hasParam(param.name) and param.name != "initMode":
            standin._set(**{param.name: estimator.getOrDefault(param)})
    standin.setInitMode("random" if estimator.getInitMode() == "random" else "k-means||")
    standin._resetUid(estimator.uid)
    rows = readable(dataset, name)
    content = F.xxhash64(F.col(f"`{name}`"))
    count = max(1, dataset.sparkSession.sparkContext.defaultParallelism)
    laid = rows.repartition(count, content).sortWithinPartitions(content).persist()
    try:
        seeds = range(estimator.getSeed(), estimator.getSeed() + estimator.getOrDefault(estimator.nInit))
        fitted = [standin.copy({standin.seed: seed}).fit(laid) for seed in seeds]
    finally:
        laid.unpersist()
    return min(fitted, key=lambda model: model.summary.trainingCost)
