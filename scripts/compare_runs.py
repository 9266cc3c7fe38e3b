"""Compare two outputs table by table: the same rows, the same values, vectors within a tolerance.

    python scripts/compare_runs.py OUTPUT_A/runs/DATE OUTPUT_B/runs/DATE [--tolerance 1e-5]

Either is the folder of a run or of a score, of a stream (all its batches) or of tuned models (their weights).

Strings, integers, booleans and dates must be equal; floats, and the numbers inside arrays, maps and MLlib
vectors, may differ by the tolerance (absolute below 1, relative above). From the JSON file the counts, the
model and the figures of classify and cluster are compared; seconds, model loads, worker processes, what
was encoded or reused and the number of the attempt differ by nature. Prints one line a table, with the
first differences, and ends with 1 where there are any. Needs no Spark.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

# A table without any of these is compared as a bag of rows.
KEYS = ("row_id", "algorithm", "stage", "reason")
# What says what is in an output: of a run or score, of a stream, of tuned models.
MANIFESTS = ("run.json", "batches/*/batch.json", "*/tuned.json")
WEIGHTS = "model.safetensors"
# What of run.json says how the run went rather than what came out.
RUN_JSON_IGNORED = frozenset(
    {
        "seconds", "seconds_compute", "seconds_tokenize", "spark_version", "config_digest", "model_loads",
        "token_budget", "out_of_memory", "workers", "output", "started", "ended", "tables",
        "encoded", "reused", "tokens",
        "seconds_saved", "seconds_lookup", "seconds_encode", "seconds_join", "seconds_predict", "path",
        "seconds_players", "seconds_words", "seconds_fit", "seconds_score",
        "bytes", "files", "distance", "canary", "segments", "represent_seconds", "spark", "log",
    }
)  # fmt: skip
SHOWN = 3

Row = dict[str, Any]


def read(folder: Path) -> pa.Table:
    """Read a folder of Parquet files as Spark writes it, leaving its `_SUCCESS` and hidden files out."""
    return ds.dataset(str(folder), format="parquet", partitioning="hive").to_table()


def as_vector(value: Row) -> tuple[int, dict[int, float]]:
    """MLlib's vector struct as (size, non-zero entries): dense and sparse forms of one vector are equal."""
    if value["type"] == 1:
        entries: Iterator[tuple[int, float]] = enumerate(value["values"])
        size = len(value["values"])
    else:
        entries = zip(value["indices"], value["values"], strict=True)
        size = value["size"]
    return size, {index: number for index, number in entries if number != 0}


def is_vector(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"type", "size", "indices", "values"}


def close(a: float, b: float, tolerance: float) -> bool:
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    if math.isinf(a) or math.isinf(b):
        return a == b
    return abs(a - b) <= tolerance * max(1.0, abs(a), abs(b))


def same(a: Any, b: Any, tolerance: float) -> bool:
    """Tell whether two values agree; numbers that are not whole may differ by ``tolerance``."""
    if isinstance(a, float) and isinstance(b, float):
        return close(a, b, tolerance)
    if is_vector(a) and is_vector(b):
        (size_a, entries_a), (size_b, entries_b) = as_vector(a), as_vector(b)
        return size_a == size_b and all(
            close(entries_a.get(i, 0.0), entries_b.get(i, 0.0), tolerance)
            for i in entries_a.keys() | entries_b
        )
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key], tolerance) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(x, y, tolerance) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and a == b


def keyed(table: pa.Table) -> dict[tuple[str, ...], Row]:
    """Rows by key; rows that share one are numbered in the order of their content."""
    keys = [name for name in KEYS if name in table.column_names]
    if "row_id" not in keys:
        keys = []
    # A map arrives as a list of pairs, in no promised order.
    maps = {field.name for field in table.schema if pa.types.is_map(field.type)}
    seen: Counter[tuple[str, ...]] = Counter()
    rows: dict[tuple[str, ...], Row] = {}
    for raw in sorted(table.to_pylist(), key=repr):
        row = {name: dict(value) if name in maps and value else value for name, value in raw.items()}
        key = tuple(str(row[name]) for name in keys)
        seen[key] += 1
        rows[(*key, str(seen[key]))] = row
    return rows


def shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def table_differences(a: pa.Table, b: pa.Table, tolerance: float) -> list[str]:
    """Say in sentences how two tables differ; an empty list where they agree."""
    if set(a.column_names) != set(b.column_names):
        return [f"columns differ: {sorted(set(a.column_names) ^ set(b.column_names))} are in one only"]
    types = [name for name in a.column_names if a.schema.field(name).type != b.schema.field(name).type]
    if types:
        return [
            f"column {name!r}: {a.schema.field(name).type} and {b.schema.field(name).type}" for name in types
        ]
    rows_a, rows_b = keyed(a), keyed(b)
    found = [f"row {key[:-1]} is in the first only" for key in rows_a.keys() - rows_b.keys()]
    found += [f"row {key[:-1]} is in the second only" for key in rows_b.keys() - rows_a.keys()]
    found.sort()
    for key in sorted(rows_a.keys() & rows_b.keys()):
        for name in a.column_names:
            left, right = rows_a[key][name], rows_b[key][name]
            if not same(left, right, tolerance):
                found.append(f"row {key[:-1]}, column {name!r}: {shorten(left)} and {shorten(right)}")
    return found


def json_differences(a: Any, b: Any, tolerance: float, path: str = "run.json") -> list[str]:
    """Say in sentences how two JSON values differ, leaving out what differs by nature."""
    if isinstance(a, dict) and isinstance(b, dict):
        found = []
        for key in sorted((a.keys() | b.keys()) - RUN_JSON_IGNORED):
            if key not in a or key not in b:
                found.append(f"{path}.{key}: in one only")
            else:
                found += json_differences(a[key], b[key], tolerance, f"{path}.{key}")
        return found
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [
            line
            for index, (x, y) in enumerate(zip(a, b, strict=True))
            for line in json_differences(x, y, tolerance, f"{path}[{index}]")
        ]
    return [] if same(a, b, tolerance) else [f"{path}: {shorten(a)} and {shorten(b)}"]


def tables_of(run: Path) -> set[str]:
    """Names of the tables in a run folder: folders with Parquet files, directly or one partition down."""
    return {
        folder.name
        for folder in run.iterdir()
        # Saved models lie deeper (models/NAME/data/*.parquet).
        if folder.is_dir() and (any(folder.glob("*.parquet")) or any(folder.glob("*=*/*.parquet")))
    }


def say(name: str, summary: str, found: list[str]) -> bool:
    print(f"{name:<12} {summary}: {'equal' if not found else f'{len(found)} differences'}")
    for line in found[:SHOWN]:
        print(f"    {line}")
    return not found


def manifests(output: Path) -> list[Path]:
    """JSON files that say what is in an output, relative to it."""
    for pattern in MANIFESTS:
        if found := sorted(path.relative_to(output) for path in output.glob(pattern)):
            return found
    raise SystemExit(
        f"{output}: nothing there to compare. Allowed: a folder with {', '.join(MANIFESTS)}: "
        "OUTPUT/runs/DATE, OUTPUT/scores/DATE, OUTPUT/stream, OUTPUT/tuned."
    )


def weight_differences(a: Path, b: Path, tolerance: float) -> list[str]:
    """Say in sentences how the weights of two models differ."""
    from safetensors.numpy import load_file

    left, right = load_file(a), load_file(b)
    found = [f"{name}: in one model only" for name in sorted(left.keys() ^ right.keys())]
    for name in sorted(left.keys() & right.keys()):
        if left[name].shape != right[name].shape:
            found.append(f"{name}: {left[name].shape} and {right[name].shape}")
        elif not np.allclose(left[name], right[name], rtol=tolerance, atol=tolerance):
            found.append(f"{name}: up to {np.abs(left[name] - right[name]).max():.2g} apart")
    return found


def compare_tables(a: Path, b: Path, tolerance: float) -> bool:
    """Compare the tables of two folders."""
    names_a, names_b = tables_of(a), tables_of(b)
    fine = True
    if names_a != names_b:
        fine = say("tables", "names", [f"{name}: in one run only" for name in sorted(names_a ^ names_b)])
    if not names_a & names_b:
        fine = say("tables", "names", [f"{a} and {b} have no table in common"])
    for name in sorted(names_a & names_b):
        left, right = read(a / name), read(b / name)
        found = table_differences(left, right, tolerance)
        fine = say(name, f"{left.num_rows} and {right.num_rows} rows", found) and fine
    return fine


def compare_one(a: Path, b: Path, tolerance: float) -> bool:
    """Compare what two JSON files say, and the tables or weights beside them."""
    left, right = (json.loads(path.read_text(encoding="utf-8")) for path in (a, b))
    if a.name == "tuned.json":
        weights = weight_differences(a.with_name(WEIGHTS), b.with_name(WEIGHTS), tolerance)
        fine = say(WEIGHTS, "weights", weights)
    else:
        # The manifest of a run names the attempt that it is of.
        fine = compare_tables(
            a.parent / left.get("tables", ""), b.parent / right.get("tables", ""), tolerance
        )
    found = json_differences(left, right, tolerance, a.name)
    return say(a.name, "counts and figures", found) and fine


def compare(a: Path, b: Path, tolerance: float) -> bool:
    """Compare two outputs, print what was found, and tell whether they agree."""
    names_a, names_b = manifests(a), manifests(b)
    if names_a != names_b:
        odd = sorted(set(names_a) ^ set(names_b))
        return say("output", "parts", [f"{name}: in one only" for name in odd])
    # Each is looked at, whatever the one before says.
    return not [name for name in names_a if not compare_one(a / name, b / name, tolerance)]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--tolerance", type=float, default=1e-5)
    options = parser.parse_args(arguments)
    return 0 if compare(options.first, options.second, options.tolerance) else 1


if __name__ == "__main__":
    sys.exit(main())
