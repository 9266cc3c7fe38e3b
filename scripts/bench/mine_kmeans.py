"""k-means: ours against MLlib's two solvers and scikit-learn, on one cached table of array<float>.

Each turn fits every one of them in turn, from the same cached table, conversions counted: MLlib's gets its
vectors by `array_to_vector`, scikit-learn its matrix through Arrow on the driver (``transfer_seconds``, part
of its time). Inertia is taken of the last centres of each alike, outside the clock: what MLlib says of itself
is of the centres before its last step. Passes where ``kmeans_ratio`` (to MLlib's faster solver of those run)
is at least 5, inertia at most 1.01 times MLlib's, the time at most twice scikit-learn's, and with
``--growth N`` N times the rows cost at most 1.1 N times as much.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np

from fusionspark.mine.arrow_columns import as_columns, collect_arrow


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3, help="seeds of the inertia, one a turn")
    parser.add_argument("--row-solver", action="store_true", help="time MLlib's solver `row` too")
    parser.add_argument("--growth", type=int, default=0, help="fit so many times the rows too, ours only")
    parser.add_argument("--partitions", type=int, default=8)


def table(spark: Any, rows: int, given: argparse.Namespace) -> Any:
    """Unit vectors around 300 centres, as sentence embeddings are: an array<float> column, cached."""
    import pyarrow as pa

    width, seed = given.width, 7
    centres = np.random.default_rng(seed).normal(size=(300, width)).astype(np.float32)

    def make(batches: Any) -> Any:
        for batch in batches:
            ids = batch.column(0).to_numpy()
            random = np.random.default_rng(int(ids[0]))
            found = centres[random.integers(0, 300, len(ids))]
            found = found + 1.5 * random.normal(size=found.shape).astype(np.float32)
            found /= np.linalg.norm(found, axis=1, keepdims=True)
            offsets = np.arange(0, found.size + 1, width, dtype=np.int32)
            yield pa.RecordBatch.from_arrays(
                [batch.column(0), pa.ListArray.from_arrays(offsets, found.astype(np.float32).ravel())],
                ["id", "embedding"],
            )

    ids = spark.range(0, rows, 1, given.partitions)
    df = ids.mapInArrow(make, "id long, embedding array<float>").cache()
    df.count()
    return df


def measure(spark: Any, given: argparse.Namespace) -> dict[str, Any]:
    df = table(spark, given.rows, given)
    runs: dict[str, list[float]] = {}
    costs: dict[str, list[float]] = {}
    rows = _matrix(df)
    ours: list[dict[str, Any]] = []
    transfer: list[float] = []
    # Workers are started and libraries loaded once before the clock runs, for all alike.
    _ours(df.limit(1000), given, 0, [])
    for turn in range(given.turns):
        fits = {
            "ours": lambda seed: _ours(df, given, seed, ours),
            "block": lambda seed: _mllib(df, given, seed, "block"),
            "sklearn": lambda seed: _sklearn(df, given, seed, transfer),
        }
        if given.row_solver:
            fits["row"] = lambda seed: _mllib(df, given, seed, "row")
        for name, fit in fits.items():
            started = time.perf_counter()
            centres = fit(turn % given.seeds)
            runs.setdefault(name, []).append(round(time.perf_counter() - started, 2))
            cost = inertia(rows, centres)
            costs.setdefault(name, []).append(cost)
            print(f"turn {turn + 1}, {name}: {runs[name][-1]} s, inertia {cost:.1f}", flush=True)
    seconds = {name: statistics.median(times) for name, times in runs.items()}
    mean = {name: statistics.mean(found) for name, found in costs.items()}
    best = min(seconds[name] for name in ("block", "row") if name in seconds)
    found: dict[str, Any] = {
        "seconds": seconds,
        "runs": runs,
        "inertia": {name: round(value, 1) for name, value in mean.items()},
        "kmeans_ratio": round(best / seconds["ours"], 2),
        "inertia_ratio": round(mean["ours"] / mean["block"], 4),
        "sklearn_seconds": seconds["sklearn"],
        "transfer_seconds": statistics.median(transfer),
        "over_sklearn": round(seconds["ours"] / seconds["sklearn"], 2),
        "task": ours[-1],
    }
    df.unpersist()
    if given.growth:
        more = table(spark, given.rows * given.growth, given)
        started = time.perf_counter()
        last: list[dict[str, Any]] = []
        _ours(more, given, 0, last)
        took = time.perf_counter() - started
        found["growth"] = {
            "rows": given.growth,
            "seconds": round(took, 2),
            "times": round(took / seconds["ours"], 2),
            "task": last[-1],
        }
        more.unpersist()
    floors = {
        "kmeans_ratio": found["kmeans_ratio"] >= 5,
        "inertia_ratio": found["inertia_ratio"] <= 1.01,
        "over_sklearn": found["over_sklearn"] <= 2,
    }
    if given.growth:
        floors["growth"] = found["growth"]["times"] <= 1.1 * given.growth
    return {**found, "floors": floors, "passed": all(floors.values())}


def inertia(rows: Any, centres: Any) -> float:
    """Sum of squared distances to the nearest centre."""
    total = 0.0
    for start in range(0, len(rows), 8192):
        part = rows[start : start + 8192].astype(np.float64)
        squared = (part**2).sum(axis=1)[:, None] - 2 * part @ centres.T + (centres**2).sum(axis=1)
        total += float(np.maximum(squared.min(axis=1), 0).sum())
    return total


def _matrix(df: Any) -> Any:
    return as_columns(collect_arrow(df.select("embedding")), vectors="embedding")["embedding"]


def _ours(df: Any, given: argparse.Namespace, seed: int, resources: list[dict[str, Any]]) -> Any:
    from fusionspark.mine.kmeans import KMeans

    estimator = KMeans(
        featuresCol="embedding", k=given.k, maxIter=given.iterations, tol=0.0, seed=seed, numWorkers=2
    )
    model = estimator.fit(df)
    resources.append(estimator.resources)
    if estimator.engine != "executors":
        raise RuntimeError(estimator.why)
    return np.stack(model.clusterCenters())


def _mllib(df: Any, given: argparse.Namespace, seed: int, solver: str) -> Any:
    from pyspark.ml.clustering import KMeans
    from pyspark.ml.functions import array_to_vector

    vectors = df.select(array_to_vector("embedding").alias("features"))
    model = KMeans(k=given.k, maxIter=given.iterations, tol=0.0, seed=seed, solver=solver).fit(vectors)
    return np.stack(model.clusterCenters())


def _sklearn(df: Any, given: argparse.Namespace, seed: int, transfer: list[float]) -> Any:
    from sklearn.cluster import KMeans

    started = time.perf_counter()
    matrix = _matrix(df)
    transfer.append(round(time.perf_counter() - started, 2))
    fitted = KMeans(given.k, max_iter=given.iterations, tol=0.0, n_init=1, random_state=seed).fit(matrix)
    return fitted.cluster_centers_.astype(np.float64)
