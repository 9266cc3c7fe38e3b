"""Weights of the fused blocks and the penalty of a linear SVM, cross-validated on the training rows of a run.

    python scripts/bench/block_weights.py RUN [--weights table=0.25,0.5,1 image=0.5,1] [--penalties ...]

RUN is the folder of a finished run (run.json and the tables beside it) that fused by `concat`. Its fused
vectors are read, the weights that they hold are divided out, and every combination is judged by stratified
cross-validation with scikit-learn's linear SVM (hinge loss, one against the rest; its C is 1 / (penalty x
rows)). Rows of other splits are never read. Centre, scale and vocabulary of the blocks are those of all
training rows; none of them knows a label.

The last line is one JSON object; ``best`` is what belongs into `fuse.weights` and
`mine.classify.regularization`. Of combinations within one standard error of the best accuracy it is the one
with the largest penalty (the one-standard-error rule of Breiman et al., 1984).
"""

from __future__ import annotations

import argparse
import itertools
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np


def read_train(run: Path) -> tuple[np.ndarray, np.ndarray, dict]:
    """Fused vectors and labels of the training rows, and where each block lies in them."""
    import pyarrow.parquet as pq

    told = json.loads((run / "run.json").read_text())
    table = pq.read_table(
        run / told["tables"] / "features",
        columns=["row_id", "label", "features"],
        filters=[("split", "=", "train")],
    ).sort_by("row_id")
    layout = told["features"]
    width = max(block["start"] + block["dimension"] for block in layout.values())
    rows = np.zeros((table.num_rows, width), dtype=np.float32)
    for row, vector in zip(rows, table["features"].to_pylist(), strict=True):
        row[vector["indices"] if vector["indices"] is not None else slice(None)] = vector["values"]
    for block in layout.values():
        rows[:, block["start"] : block["start"] + block["dimension"]] /= block["weight"]
    return rows, np.array(table["label"].to_pylist()), layout


def accuracies(rows: np.ndarray, labels: np.ndarray, penalty: float, folds: int, seed: int) -> list[float]:
    """Accuracy on each fold."""
    import warnings

    from sklearn.model_selection import StratifiedKFold
    from sklearn.svm import LinearSVC

    found = []
    for learn, judge in StratifiedKFold(folds, shuffle=True, random_state=seed).split(rows, labels):
        model = LinearSVC(C=1.0 / (penalty * len(learn)), loss="hinge", random_state=seed)
        with warnings.catch_warnings():
            # After 1,000 passes the dual still moves its last digits; the ranking of combinations does not.
            warnings.simplefilter("ignore")
            model.fit(rows[learn], labels[learn])
        found.append(float(model.score(rows[judge], labels[judge])))
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--weights", nargs="*", default=["table=0.25,0.5,1", "image=0.5,1"])
    parser.add_argument("--penalties", default="0.0008,0.0024,0.008")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=42)
    args = parser.parse_args()
    rows, labels, layout = read_train(args.run)
    tried = {name: [1.0] for name in layout}
    for given in args.weights:
        name, _, values = given.partition("=")
        tried[name] = [float(value) for value in values.split(",")]
    results = []
    for weights in itertools.product(*tried.values()):
        scale = np.zeros(rows.shape[1], dtype=np.float32)
        for weight, block in zip(weights, layout.values(), strict=True):
            scale[block["start"] : block["start"] + block["dimension"]] = weight
        for penalty in (float(value) for value in args.penalties.split(",")):
            found = accuracies(rows * scale, labels, penalty, args.folds, args.seed)
            one = {
                "weights": dict(zip(tried, weights, strict=True)),
                "penalty": penalty,
                "accuracy": round(float(np.mean(found)), 4),
                "standard_error": round(float(np.std(found, ddof=1) / np.sqrt(len(found))), 4),
            }
            print(one, flush=True)
            results.append(one)
    top = max(results, key=lambda one: one["accuracy"])
    near = [one for one in results if one["accuracy"] >= top["accuracy"] - top["standard_error"]]
    best = max(near, key=lambda one: (one["penalty"], one["accuracy"]))
    print(
        json.dumps(
            {
                "bench": "block_weights",
                "rows": len(labels),
                "classes": len(set(labels)),
                "folds": args.folds,
                "versions": {name: version(name) for name in ("scikit-learn", "numpy", "pyarrow")},
                "top": top,
                "best": best,
                "tried": len(results),
            }
        )
    )


if __name__ == "__main__":
    main()
