"""What the page and the explanations cost, and whether explanations are right.

    python scripts/bench/report.py [CONF] [--set KEY=VALUE ...] [--rows 24] [--samples 96] [--sizes 1000 ...]

The page: metrics of three algorithms, the map and the page itself, over made-up tables of each size. The
explanations: of linear models and trees on joined blocks, and of the gated network; the two runs of CONF that
train them are made once, below output/bench-report. The last line is JSON.

* ``page``: seconds for the metrics, the map and the HTML, and its bytes, for each number of rows.
* ``explain``: seconds a row for blocks and columns, and for words; the faithfulness ratio; the largest
  distance of a local sum from prediction minus base.
* ``exact``: the largest distance between the Shapley values of the linear model, worked out from its
  weights, and those over all coalitions of its answers.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import functions as F

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
# Workers import the checkout, too.
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
from fusionspark import columns as c  # noqa: E402
from fusionspark.config_file import load  # noqa: E402
from fusionspark.pipeline.explain.asking import mixed_rows  # noqa: E402
from fusionspark.pipeline.explain.by_players import coalition_questions, explain_players  # noqa: E402
from fusionspark.pipeline.explain.explaining import explain  # noqa: E402
from fusionspark.pipeline.explain.predictor import Predictor  # noqa: E402
from fusionspark.pipeline.explain.subject import Asked, held, subject  # noqa: E402
from fusionspark.pipeline.running import run as run_pipeline  # noqa: E402
from fusionspark.report.explain.coalitions import coalitions, shapley  # noqa: E402
from fusionspark.report.map2d import project  # noqa: E402
from fusionspark.report.metrics import evaluate  # noqa: E402
from fusionspark.report.page import render  # noqa: E402
from fusionspark.session import open_session  # noqa: E402
from fusionspark.tables import newest_run  # noqa: E402

LABELS = ["bad", "fair", "good"]
#: Classifiers that are explained, by the method of fusing that they need; the gated network answers itself.
ASKED = {
    "concat": ["logistic_regression", "linear_svc", "random_forest", "xgboost"],
    "gated": ["gated"],
}
#: What the runs need not do for that.
LEAN = (
    "mine.rules.enabled=false", "mine.anomalies.enabled=false", "report.receipt.rows=0",
    "report.explain.rows=0", "report.explain.shuffled=0", "report.map_sample=0",
)  # fmt: skip


def page(spark: Any, rows: int) -> dict[str, float]:
    """Time the parts of the report over made-up tables of ``rows`` rows."""
    ids = spark.range(0, rows, 1, 8).withColumn(c.ROW_ID, F.format_string("%08d", "id"))
    hashed = F.pmod(F.xxhash64(c.ROW_ID), F.lit(1000)) / 1000
    names = F.array(*[F.lit(name) for name in LABELS])
    label = F.element_at(names, (F.floor(hashed * 3) + 1).cast("int"))
    split = F.when(F.pmod("id", F.lit(10)) < 7, c.TRAIN).when(F.pmod("id", F.lit(10)) < 8, c.VALIDATION)
    base = ids.withColumns({c.LABEL: label, c.SPLIT: split.otherwise(c.TEST)}).cache()
    base.count()
    predictions = None
    for k, name in enumerate(("first", "second", "third")):
        noise = [F.rand(k * 3 + i) + (F.col(c.LABEL) == LABELS[i]).cast("double") for i in range(3)]
        total = noise[0] + noise[1] + noise[2]
        scores = F.map_from_arrays(names, F.array(*[one / total for one in noise])).alias(c.SCORES)
        columns = (c.ROW_ID, c.SPLIT, c.LABEL, F.lit(name).alias(c.ALGORITHM))
        said = "map_keys(map_filter(scores, (k, v) -> v = array_max(map_values(scores))))[0]"
        answers = base.select(*columns, scores).withColumn(c.PREDICTION, F.expr(said))
        predictions = answers if predictions is None else predictions.unionByName(answers)
    predictions = predictions.localCheckpoint()
    vector = array_to_vector(F.array(*[F.rand(100 + i) for i in range(64)]))
    features = base.select(c.ROW_ID, vector.alias(c.FEATURES)).localCheckpoint()
    clusters = base.select(c.ROW_ID, F.pmod("id", F.lit(8)).cast("int").alias(c.CLUSTER))
    text = F.repeat(F.concat(F.lit("a review of row "), c.ROW_ID, F.lit(" ")), 8)
    prepared = base.select(c.ROW_ID, c.LABEL, text.alias(c.CLEAN_TEXT))
    found: dict[str, float] = {}
    started = time.perf_counter()
    measured = evaluate(predictions)
    found["seconds_metrics"] = time.perf_counter() - started
    started = time.perf_counter()
    points = project(features, clusters, prepared, sample=2000, seed=42)
    found["seconds_map"] = time.perf_counter() - started
    started = time.perf_counter()
    html = render(
        {
            "title": "made up", "run_date": "2026-01-31", "classify": measured, "best": "first",
            "rows": {"in": rows, "out": rows, "quarantined": 0}, "cluster": {"k": 8, "map": points},
        }
    )  # fmt: skip
    found["seconds_html"] = time.perf_counter() - started
    base.unpersist()
    return {**{key: round(value, 3) for key, value in found.items()}, "bytes": len(html.encode())}


def off(found: dict[str, Any]) -> float:
    """Largest distance of a local sum from prediction minus base, over players and words."""
    apart = [0.0]
    for row in found["rows"]:
        for part, key, value in (("players", "parts", "value"), ("words", "pieces", "shap")):
            if part in row:
                said = row[part]
                apart.append(abs(sum(one[value] for one in said[key]) - (said["score"] - said["base"])))
    return max(apart)


def exactness(asked: Asked) -> float:
    """Largest distance between closed form and enumeration of the margins of a linear model."""
    about = subject(asked, None, [])
    about = replace(about, shuffled=[], chosen=about.chosen[:3])
    rows = held(asked, about).persist()
    explain_players(asked, about, rows)
    linear = asked.predictor.margins or {}
    sets = coalitions(len(asked.predictor.players), 2**10, 0)
    mixed = mixed_rows(asked.predictor, rows, coalition_questions(about, sets))
    fused = asked.predictor.fused(mixed)
    found = fused.select(c.SPLIT, vector_to_array(F.col(c.FEATURES)).alias("v")).toPandas()
    vectors = np.vstack(list(found.sort_values(c.SPLIT)["v"]))
    several, inner = len(about.background), len(sets.masks) - 2
    worst = 0.0
    for one, mine in zip(about.chosen, np.split(vectors[several:], len(about.chosen)), strict=True):
        weights, intercept = linear[one["prediction"]]
        margins = mine @ weights + intercept
        base = float((vectors[:several] @ weights).mean() + intercept)
        between = margins[1:].reshape(inner, several).mean(axis=1)
        values, _ = shapley(sets, np.concatenate([[base, margins[0]], between]))
        closed = np.array([part["value"] for part in one["players"]["parts"]])
        worst = max(worst, float(np.abs(values - closed).max()))
    rows.unpersist()
    return worst


def explained(spark: Any, method: str, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Seconds, faithfulness and exactness for each classifier behind one method of fusing."""
    behind = [name for name in ASKED[method] if name != method] or ["logistic_regression"]
    chosen = [f"fuse.method={method}", f"mine.classify.algorithms=[{','.join(behind)}]"]
    config = load(options.conf, [*LEAN, *chosen, *options.overrides])
    name = f"{Path(options.conf).stem}-{method}"
    config = config.model_copy(update={"output": str(ROOT / "output" / "bench-report" / name)})
    run = newest_run(spark, f"{config.output}/runs", config.table_format)
    if run is None:
        run_pipeline(spark, config, "2026-01-31")
        run = newest_run(spark, f"{config.output}/runs", config.table_format)
    assert run is not None
    manifest, found = run.manifest(), {}
    effort = config.report.explain.model_copy(
        update={"rows": options.rows, "samples": options.samples, "seconds": 3600.0, "shuffled": 0}
    )
    for algorithm in ASKED[method]:
        predictor = Predictor(
            config, run, algorithm, manifest["represent"]["precision"], manifest.get("fuse", {})
        )
        asked = Asked(run, predictor, effort, config.seed)
        told = explain(asked)
        rows = len(told["rows"])
        found[algorithm] = {
            "method": told["rows"][0]["players"]["method"],
            "seconds_a_row_players": round(told["seconds_players"] / rows, 3),
            "seconds_a_row_words": round(told["seconds_words"] / rows, 3),
            "faithfulness": told["faithfulness"],
            "sum_off": off(told),
        }
        if predictor.margins is not None:
            found[algorithm]["exact_off"] = exactness(asked)
        print(algorithm, json.dumps(found[algorithm]), flush=True)
    return found


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("conf", nargs="?", default="conf/demo.yaml")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--rows", type=int, default=24)
    parser.add_argument("--samples", type=int, default=96)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1_000, 20_000, 100_000])
    options = parser.parse_args()
    spark = open_session("bench-report", load(options.conf, options.overrides).spark)
    result: dict[str, Any] = {
        "bench": "report", "conf": options.conf, "rows": options.rows, "samples": options.samples,
        "python": platform.python_version(), "spark": spark.version, "cores": os.cpu_count(),
    }  # fmt: skip
    if options.sizes:
        page(spark, 500)  # the JVM and the Python workers start
        result["page"] = {str(rows): page(spark, rows) for rows in options.sizes}
        print(json.dumps(result["page"], indent=1))
    result["explain"] = {}
    for method in ASKED:
        result["explain"] |= explained(spark, method, options)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
