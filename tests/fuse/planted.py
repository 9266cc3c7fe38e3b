"""Joined vectors with a signal that a test has put there: in the text, in the table, or in both together."""

from __future__ import annotations

import numpy as np

#: A text block of two topics as a cloud of 6 values, a table of 3 columns, each with its missing indicator.
LAYOUT = {"text": (0, 7), "table": (7, 11)}
METADATA = {
    "ml_attr": {"num_attrs": 11},
    "layout": [f"{n}:{a}:{b}:1.0" for n, (a, b) in LAYOUT.items()],
}

#: What is planted, the arms of a receipt that must find it, and those that cannot.
FINDS = [
    ("text", ["text", "fused"], ["table", "shuffled"]),
    ("table", ["table", "fused", "shuffled"], ["text"]),
    ("xor", ["fused"], ["text", "table", "shuffled"]),
    ("none", [], ["text", "table", "fused", "shuffled"]),
]


def planted(signal: str, rows: int, seed: int = 1):
    """Return (vectors, labels) of ``rows`` rows; ``signal`` is text, table, xor or none."""
    random = np.random.default_rng(seed)
    topic, column = random.integers(0, 2, rows), random.integers(0, 2, rows)
    text = random.normal(size=(rows, 7)) * 0.3
    text[:, 0] += topic - 0.5
    text[:, 1] -= topic - 0.5
    text[:, 6] = 0
    table = np.column_stack([column - 0.5, random.normal(size=(rows, 2)) * 0.5, np.zeros(rows)])
    label = {"text": topic, "table": column, "xor": topic ^ column, "none": random.integers(0, 2, rows)}[
        signal
    ]
    # One label in twenty is wrong, so that no model is perfect.
    label = np.where(random.random(rows) < 0.05, 1 - label, label)
    return np.hstack([text, table]), label


def frame(spark, signal: str, rows: int, seed: int = 1, name: str = "joined_blocks"):
    """Return the planted rows as a table: row_id, split, label, day and the joined vector with its layout."""
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions as F

    vectors, labels = planted(signal, rows, seed)
    splits = np.array(["train", "train", "validation", "test"])[np.arange(rows) % 4]
    data = [
        (f"r{i:04}", str(splits[i]), "yes" if labels[i] else "no", float(i), [float(v) for v in vectors[i]])
        for i in range(rows)
    ]
    made = spark.createDataFrame(
        data, "row_id string, split string, label string, day double, v array<double>"
    )
    return made.withColumn(name, array_to_vector(F.col("v")).alias(name, metadata=METADATA)).drop("v")
