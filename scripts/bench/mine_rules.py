"""FP-growth rules of real baskets beside those of an independent implementation (mlxtend), rule for rule.

Both get the baskets of the groceries as a set of items each. mlxtend mines a one-hot table with its own
FP-growth and makes its own rules, with consequents of every size. Compared are the sets of rules, both ways,
and support, confidence, lift, leverage and conviction of each. Both ask for a confidence 1e-9 lower, since
mlxtend divides two shares, and of a rule at the very threshold (10 of 100) its quotient may fall below.
Passes where each rule is on both sides and no figure differs by more than 1e-9.
"""

from __future__ import annotations

import argparse
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from pyspark.sql import functions as F

from fusionspark.mine.itemsets import frequent_itemsets
from fusionspark.mine.rules import association_rules

ROOT = Path(__file__).resolve().parents[2]
Rules = dict[Any, tuple[float, ...]]
MEASURES = ("support", "confidence", "lift", "leverage", "conviction")
TOLERANCE = 1e-9


def by_mlxtend(lines: pd.DataFrame, min_support: float, min_confidence: float) -> Rules:
    from mlxtend.frequent_patterns import association_rules as rules_of
    from mlxtend.frequent_patterns import fpgrowth

    onehot = pd.crosstab(lines["Person"], lines["item"]).astype(bool)
    itemsets = fpgrowth(onehot, min_support=min_support, use_colnames=True)
    found = rules_of(itemsets, metric="confidence", min_threshold=min_confidence)
    return {
        (tuple(sorted(row.antecedents)), tuple(sorted(row.consequents))): tuple(
            float(getattr(row, name)) for name in MEASURES
        )
        for row in found.itertuples()
    }


def by_spark(spark: Any, path: Path, min_support: float, min_confidence: float) -> Rules:
    lines = spark.read.option("header", True).csv(str(path))
    baskets = lines.groupBy("Person").agg(F.collect_set("item").alias("items")).cache()
    itemsets = frequent_itemsets(baskets, min_support=min_support, min_rows=1, most=10_000_000)
    found = association_rules(
        itemsets,
        min_confidence=min_confidence,
        max_antecedent=100,
        max_consequent=100,
        alpha=1.0,
        prune=False,
    )
    return {
        (rule.antecedent, rule.consequent): tuple(getattr(rule, name) for name in MEASURES)
        for rule in found.rules
    }


def differences(ours: Rules, theirs: Rules) -> dict[str, float]:
    """Largest difference of each measure over the rules of both; equal infinities differ by nothing."""
    common = ours.keys() & theirs.keys()
    return {
        name: max((abs(ours[r][i] - theirs[r][i]) for r in common if ours[r][i] != theirs[r][i]), default=0.0)
        for i, name in enumerate(MEASURES)
    }


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", default=str(ROOT.parent / "shared" / "data"))
    parser.add_argument("--min-support", type=float, default=0.001)
    parser.add_argument("--min-confidence", type=float, default=0.1)


def measure(spark: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    least = arguments.min_confidence - TOLERANCE
    path = Path(arguments.data) / "groceries" / "groceries.csv"
    lines = pd.read_csv(path, dtype=str)
    started = time.monotonic()
    theirs = by_mlxtend(lines, arguments.min_support, least)
    seconds_theirs = time.monotonic() - started
    spark.range(1).count()
    started = time.monotonic()
    ours = by_spark(spark, path, arguments.min_support, least)
    seconds_ours = time.monotonic() - started
    found = differences(ours, theirs)
    return {
        "lines": len(lines),
        "baskets": int(lines["Person"].nunique()),
        "min_support": arguments.min_support,
        "min_confidence": arguments.min_confidence,
        "rules": len(ours),
        "only_ours": len(ours.keys() - theirs.keys()),
        "only_theirs": len(theirs.keys() - ours.keys()),
        "largest_difference": found,
        "seconds": {"fusionspark": round(seconds_ours, 2), "mlxtend": round(seconds_theirs, 2)},
        "mlxtend": version("mlxtend"),
        "passed": ours.keys() == theirs.keys() and max(found.values()) <= TOLERANCE,
    }
