"""Anomalies of four kinds planted in a real table, found by the run's own table `anomalies`.

``--each`` rows of each kind are planted in a hash sample of the source: *numeric*: one number is moved by 8
to 12 standard deviations; *categorical*: one category is replaced by a value that no other row has; *text*:
the text is replaced by one of another domain (``--foreign``: sentences of financial news, or reviews of
clothing); *mismatch*: the text is replaced by that of a row which differs in every categorical column. Then
the stages collect to mine run as `fusionspark run` does, with one classifier, and ROC-AUC of ``score`` is
taken of each kind against all rows without a plant. Beside it the same for each detector alone, and for an
isolation forest on the structured columns.

Passes where every kind reaches ``--floor``.
"""

from __future__ import annotations

import argparse
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.collect import read_source
from fusionspark.config import Config
from fusionspark.config_file import load
from fusionspark.pipeline.running import run
from fusionspark.tables import RunFolder

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("numeric", "categorical", "text", "mismatch")
DATE = "2026-01-31"
KEY, KIND = "planted_key", "planted_kind"


def sampled(spark: Any, config: Config, rows: int) -> pd.DataFrame:
    """Rows of the source that have a text, by a hash of their content."""
    columns = config.columns
    df = read_source(spark, config.source)
    wanted = [*columns.text, *columns.numeric, *columns.categorical]
    df = df.select(*[F.col(f"`{name}`") for name in wanted], F.col(f"`{columns.label}`"))
    df = df.where(F.col(f"`{columns.text[-1]}`").isNotNull()).dropDuplicates(columns.text)
    order = F.xxhash64(*[F.col(f"`{name}`") for name in wanted])
    found = df.orderBy(order).limit(rows).toPandas()
    for name in columns.numeric:
        found[name] = pd.to_numeric(found[name], errors="coerce").astype(float)
    found[KEY] = [f"row-{i}" for i in range(len(found))]
    return found


def foreign_texts(data: Path, name: str) -> list[str]:
    if name == "news":
        news = data / "financial_phrasebank" / "all-data.csv"
        return pd.read_csv(news, encoding="latin-1", header=None)[1].tolist()
    reviews = pd.read_csv(data / "womens_clothing" / "womens_clothing.csv")
    return reviews["Review Text"].dropna().tolist()


def plant(table: pd.DataFrame, config: Config, foreign: list[str], each: int, seed: int) -> pd.DataFrame:
    """Return the table with the anomalies, and the column of their kinds."""
    columns, rng = config.columns, np.random.default_rng(seed)
    out = table.copy()
    out[KIND] = ""
    chosen = iter(np.array_split(rng.permutation(len(out))[: 4 * each], 4))
    for kind in KINDS:
        for row in next(chosen):
            out.loc[row, KIND] = kind
            if kind == "numeric":
                name = columns.numeric[rng.integers(len(columns.numeric))]
                step = rng.choice([-1, 1]) * rng.uniform(8, 12) * table[name].std()
                out.loc[row, name] = table[name].median() + step
            elif kind == "categorical":
                name = columns.categorical[rng.integers(len(columns.categorical))]
                out.loc[row, name] = f"unheard of {row}"
            else:
                texts = [""] * (len(columns.text) - 1) + [foreign[rng.integers(len(foreign))]]
                if kind == "mismatch":
                    texts = list(table.loc[_stranger(table, columns.categorical, row, rng), columns.text])
                out.loc[row, columns.text] = texts
    return out


def _stranger(table: pd.DataFrame, names: list[str], row: int, rng: np.random.Generator) -> int:
    while True:
        other = int(rng.integers(len(table)))
        if all(table.loc[row, name] != table.loc[other, name] for name in names):
            return other


def table_only(prepared: pd.DataFrame, seed: int) -> Any:
    """Scores of scikit-learn's isolation forest on the structured block."""
    from sklearn.ensemble import IsolationForest

    block = np.stack(prepared[c.TABLE_BLOCK].to_numpy())
    return -IsolationForest(random_state=seed).fit(block).score_samples(block)


def over(given: Config, path: str, output: str) -> Config:
    """The configuration of the set over the planted table, with one quick classifier and no rules."""
    data = given.model_dump()
    # The contract is that of the file, not of a sample with plants in it.
    data |= {"output": output, "source": {"format": "parquet", "path": path}, "contract": {}}
    data["columns"] |= {"key": [KEY], "date": None}
    data["split"]["by"] = data["fuse"]["fold_by"] = "hash"
    data["mine"]["classify"] |= {"algorithms": ["logistic_regression"], "max_iter": 5}
    data["mine"]["rules"]["enabled"] = False
    return Config.model_validate(data)


def areas(kinds: pd.Series, scores: Any) -> dict[str, float]:
    from sklearn.metrics import roc_auc_score

    found = {}
    for kind in KINDS:
        rows = kinds.isin([kind, ""]).to_numpy()
        found[kind] = round(float(roc_auc_score(kinds[rows] == kind, scores[rows])), 4)
    return found


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--conf", default=str(ROOT / "conf" / "clothing.yaml"))
    parser.add_argument("--data", default=str(ROOT.parent / "shared" / "data"))
    parser.add_argument("--foreign", choices=("news", "reviews"), default="news")
    parser.add_argument("--rows", type=int, default=6000)
    parser.add_argument("--each", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--floor", type=float, default=0.95)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")


def measure(spark: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    foreign = foreign_texts(Path(arguments.data), arguments.foreign)
    given = load(arguments.conf, arguments.set)
    planted = plant(sampled(spark, given, arguments.rows), given, foreign, arguments.each, arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/planted.parquet"
        planted.drop(columns=KIND).to_parquet(path)
        config = over(given, path, f"{folder}/out")
        run(spark, config, DATE, last="mine")
        home = RunFolder(spark, f"{folder}/out/runs", DATE)
        found = home.read(c.ANOMALIES).toPandas()
        prepared = home.read(c.PREPARED).select(c.ROW_ID, c.TABLE_BLOCK).toPandas()
        facts = (home.stage_facts("mine") or {})["anomalies"]
    joined = planted.merge(found, left_on=KEY, right_on=c.ROW_ID).merge(prepared, on=c.ROW_ID)
    kinds = joined[KIND]
    joint = areas(kinds, joined["score"].to_numpy())
    detectors = {
        name: areas(kinds, -joined["parts"].map(lambda p, n=name: dict(p).get(n, 1.0)).to_numpy(float))
        for name in facts["detectors"]
    }
    flagged = joined[joined["flagged"]]
    for _, row in flagged.sort_values("score", ascending=False).head(8).iterrows():
        print(f"{row[KIND] or '-':12} {row['score']:.4f}", *row["reasons"], sep=" | ")
    return {
        "conf": Path(arguments.conf).name,
        "rows": len(joined),
        "planted_each": arguments.each,
        "foreign": arguments.foreign,
        "auc": joint,
        "auc_by_detector": detectors,
        "auc_table_only_forest": areas(kinds, table_only(joined, arguments.seed)),
        "flagged": {"rows": len(flagged), "planted": int((flagged[KIND] != "").sum())},
        "seconds": facts["seconds"],
        "floor": arguments.floor,
        "scikit_learn": version("scikit-learn"),
        "passed": min(joint.values()) >= arguments.floor,
    }
