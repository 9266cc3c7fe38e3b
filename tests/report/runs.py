"""A run.json as a real run writes it, with rows that mean harm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fusionspark.report.scores import confusion_metrics, constant_answer

SCRIPT = "<script>window.broken = true</script>"
IMAGE = '"><img src=x onerror="window.broken = true">'
BIDI = "invoice\u202egpj.exe"
CLASSES = ["negative", "neutral", "positive"]
TERMS = [
    ["weight", "pounds", "appetite", "lost", "diet", "topamax", "hungry", "eat"],
    ["anxiety", "panic", "attacks", "calm", "xanax", "sleep", "social", "nervous"],
    ["period", "bleeding", "birth", "control", "cramps", "pill", "acne", "months"],
    ["pain", "surgery", "relief", "back", "tramadol", "doctor", "hours", "dose"],
    ["skin", "face", "cream", "dry", "red", "peeling", "clear", "week"],
]
TEXTS = [
    "I have been on it for three months and lost 24 pounds. No cravings, but my mouth is dry.",
    "Took the edge off my panic attacks within a week. The first nights I could not sleep, that went away.",
    "Bleeding for five weeks straight, cramps worse than before. Going back to the old pill.",
    "Works for about four hours, then the pain is back. Better than nothing after the surgery.",
    "My face peeled and burned for two weeks, then it cleared up completely. Worth the wait.",
]


def _split(rows: int, right: float) -> dict[str, Any]:
    shares = np.array([0.22, 0.14, 0.64])
    support = np.round(shares * rows).astype(int)
    matrix = np.zeros((3, 3), dtype=int)
    for i, n in enumerate(support):
        hit = round(n * min(0.99, right * (0.75, 0.55, 1.14)[i]))
        matrix[i] = (n - hit) // 2
        matrix[i, i] = 0
        matrix[i, i] = n - matrix[i].sum()
    found = confusion_metrics(CLASSES, matrix)
    found["unlabelled"] = 0
    found["roc"] = {}
    for i, name in enumerate(CLASSES):
        lift = right * 4 + i * 0.4
        steps = np.linspace(0, 1, 60)
        found["roc"][name] = [[round(float(x), 4), round(float(1 - (1 - x) ** lift), 4)] for x in steps]
        found["classes"][name]["auc"] = round(lift / (1 + lift), 4)
        found["classes"][name]["average_precision"] = 0.7 + i / 10
    found["pr"] = {name: [[0.2, 1.0], [0.6, 0.9 - i / 10], [1.0, 0.4]] for i, name in enumerate(CLASSES)}
    found["calibration"] = {name: [[0.1, 0.05, 60], [0.5, 0.6, 70], [0.9, 0.8, 69]] for name in CLASSES}
    found["calibration_error"] = 0.08
    found["macro_f1_interval"], found["auc_interval"] = [0.61, 0.74], [0.7, 0.81]
    found["auc"] = float(np.mean([found["classes"][name]["auc"] for name in CLASSES]))
    found["majority"] = constant_answer(CLASSES, [int(n) for n in support], "positive")
    return found


def _explained() -> dict[str, Any]:
    """Explanations of two rows, one of them without text."""
    words = TEXTS[0].split(" ")
    pieces = [
        {"text": f"{word} ", "shap": math.sin(i) / 9, "error": 0.002, "lime": math.sin(i) / 12}
        for i, word in enumerate(words)
    ]
    players = ["embedding", "tfidf_block", "usefulCount", "condition"]
    parts = [
        {"player": player, "value": value, "error": 0.0}
        for player, value in zip(players, (0.9, 0.4, -0.2, 0.05), strict=True)
    ]
    linear = {"method": "linear", "exact": True, "base": 0.5, "score": 1.65, "parts": parts}
    sampled = {**linear, "method": "kernel", "exact": False}
    row = {"values": {"usefulCount": "12.0", "condition": "Obesity"}, "score": 0.91}
    return {
        "algorithm": "logistic_regression",
        "players": players,
        "importance": {
            "rows": 199, "repeats": 2, "macro_f1": 0.68,
            "players": [
                {"player": player, "drop": drop, "deviation": 0.01, "classes": dict.fromkeys(CLASSES, drop)}
                for player, drop in zip(players, (0.2, 0.05, 0.01, -0.004), strict=True)
            ],
        },
        "rows": [
            {**row, "row_id": "r7", "rule": "wrong", "label": "neutral", "prediction": "positive",
             "text": TEXTS[0], "players": linear,
             "words": {"exact": False, "base": 0.3, "score": 0.91, "texts": 50, "pieces": pieces}},
            {**row, "row_id": "r8", "rule": "confident", "label": None, "prediction": "positive",
             "text": None, "players": sampled},
        ],
        "faithfulness": {"rows": 1, "top": 0.31, "random": 0.05, "ratio": 6.2, "wins": 1.0},
        "stopped": None,
        "seconds": 5.1,
    }  # fmt: skip


def _receipt() -> dict[str, Any]:
    """A receipt in which the text pays and fusing does not."""
    values = {"text": 0.88, "tfidf": 0.85, "table": 0.71, "fused": 0.885, "shuffled": 0.70}
    arms = {
        name: {
            "learner": "boosted_trees" if name == "table" else "logistic_regression",
            **{metric: auc - less for metric, less in (("auc", 0.0), ("macro_f1", 0.1), ("accuracy", 0.05))},
            **{f"{metric}_interval": [auc - 0.2, auc + 0.02] for metric in ("auc", "macro_f1", "accuracy")},
        }
        for name, auc in values.items()
    }

    def compared(second: str, better: bool) -> dict[str, Any]:
        gain = values["fused"] - values[second]
        tested = {"only_first": 20, "only_second": 12, "p": 0.215}
        low = gain - (0.5 * gain if better else 0.05)
        return {
            "first": "fused", "second": second, "metric": "auc", "difference": gain,
            "interval": [low, gain + 0.05], "p": 0.01, "mcnemar": tested, "better": better,
        }  # fmt: skip

    return {
        "metric": "auc", "samples": 1000, "rows": {"test": 199, "validation": 160}, "labels": 3, "arms": arms,
        "best_block": "text", "chosen_on": "validation", "fusion": compared("text", False),
        "text": compared("table", True), "shuffled": compared("shuffled", True), "fusion_pays": False,
        "text_pays": True, "of": "2026-03-14", "sample": {}, "seconds": 9.1,
        "cost": {"seconds": 31.6, "seconds_saved": 0.0},
    }  # fmt: skip


def realistic(points: int = 800) -> dict[str, Any]:
    """Return a run over 979 drug reviews with three algorithms and five clusters."""
    random = np.random.default_rng(5)
    accuracies = {
        "logistic_regression": (0.86, 0.765, 0.77),
        "linear_svm": (0.83, 0.75, 0.76),
        "multilayer_perceptron": (0.97, 0.74, 0.72),
    }
    classify = {
        name: {
            split: _split(rows, right)
            for split, rows, right in zip(
                ("train", "validation", "test"), (620, 160, 199), rights, strict=True
            )
        }
        for name, rights in accuracies.items()
    }
    centres = random.normal(scale=4, size=(5, 2))
    clusters, dots = [], []
    sizes = [303, 241, 198, 142, 95]
    for i, size in enumerate(sizes):
        clusters.append(
            {
                "id": i,
                "rows": size,
                "share": size / sum(sizes),
                "terms": [{"term": term, "weight": 0.1} for term in TERMS[i]],
                "name": ", ".join(TERMS[i][:3]),
                "nearest": [{"row_id": f"r{i}{j}", "text": TEXTS[i]} for j in range(3)],
                "typical": [{"row_id": f"t{i}", "text": TEXTS[i]}],
                "lifts": [{"column": "drug", "value": f"d{i}", "share": 0.5, "overall": 0.2, "lift": 2.5}],
                "shifts": [{"column": "useful", "mean": 3.0, "overall": 8.0, "shift": -0.4}],
                "labels": {
                    "positive": int(size * 0.6),
                    "negative": int(size * 0.25),
                    "neutral": int(size * 0.15),
                },
            }
        )
    for n in range(points):
        i = n % 5
        x, y = centres[i] + random.normal(size=2) * (1 + 0.2 * i)
        dots.append(
            {
                "row_id": f"r{n:05d}",
                "x": float(x),
                "y": float(y),
                "cluster": i,
                "label": CLASSES[n % 3],
                "text": TEXTS[i],
            }
        )
    return {
        "title": "Drug reviews",
        "run_date": "2026-03-14",
        "seconds": 96.4,
        "spark_version": "4.1.4",
        "config_digest": "b1946ac92492d2347c6235b4d2611184",
        "rows": {"in": 979, "out": 975, "quarantined": 4},
        "stages": [
            {"name": "collect", "seconds": 5.1, "rows": 975},
            {"name": "prepare", "seconds": 9.8, "rows": 975},
            {"name": "represent", "seconds": 31.6, "rows": 975},
            {"name": "fuse", "seconds": 6.2, "rows": 975},
            {"name": "mine", "seconds": 38.9, "rows": 975},
            {"name": "report", "seconds": 4.8, "rows": 975},
        ],
        "represent": {
            "texts": 975, "distinct": 969, "encoded": 969, "reused": 6, "tokens": 108_243, "truncated": 61,
            "model": "all-MiniLM-L6-v2", "model_digest": "sha256:53aa51172d142c89d9012cce15ae4d6c",
            "model_loads": 2,
        },
        "classify": classify,
        "explain": _explained(),
        "best": "logistic_regression",
        "receipt": _receipt(),
        "cluster": {
            "k": 5,
            "silhouette": 0.118,
            "sizes": sizes,
            "clusters": clusters,
            "map": dots,
            "since": {
                "run_date": "2026-03-13",
                "by": "rows",
                "kept": [0, 1, 2, 3],
                "born": [4],
                "died": [{"id": 9, "name": "cough, syrup", "rows": 31}],
                "merged": [{"into": 2, "of": [2, 9], "rows": {"2": 150, "9": 30}}],
                "split": [{"of": 0, "into": [0, 4], "rows": {"0": 300, "4": 80}}],
                "moved": 110,
                "shared": 960,
                "stability": 0.81,
            },
            "chosen": {
                "k": 5,
                "elbow": 4,
                "rows": 979,
                "curve": [{"k": k, "cost": 9 / k, "silhouette": 0.2 - abs(k - 5) / 50} for k in range(2, 9)],
            },
        },
        "rules": {
            "rows": 975, "items": 91, "itemsets": 8094, "min_rows": 15, "asked_rows": 10, "tested": 22774,
            "redundant": 3959, "found": 7098, "crossing": 4034, "correction": "holm", "of": "2026-03-01",
            "top": [
                {
                    "antecedent": ["topic: pill, period"], "consequent": ["condition = Birth Control"],
                    "rows": 97, "support": 0.1, "confidence": 1.0, "lift": 3.5, "leverage": 0.07,
                    "conviction": None, "q_value": 7e-42, "crosses": True,
                }
            ],
        },
        "anomalies": {
            "rows": 975, "flagged": 9, "share": 0.01,
            "top": [
                {"row_id": "r9", "score": 0.9987, "reasons": ["usefulCount = 900 is odd"], "text": "Well."}
            ],
        },
        "quarantine": {
            "reasons": [
                {"stage": stage, "reason": reason, "rows": len(examples), "examples": examples}
                for stage, reason, examples in (
                    ("collect", "duplicate row_id", ["130425", "131777"]),
                    ("collect", "rating is not a number: 'ten'", ["9001"]),
                    ("prepare", "text is longer than 1 MB", ["777"]),
                )
            ]
        },
        "labels": CLASSES,
        "features": {
            "embedding": {"dimension": 384, "weight": 1.0},
            "tfidf_block": {"dimension": 4096, "weight": 0.5},
            "table_block": {"dimension": 212, "weight": 1.0},
        },
        "config": {
            "collect": {"format": "parquet", "path": "data/drugreview.parquet", "label": "rating"},
            "prepare": {"text": "review", "numbers": ["usefulCount"], "categories": ["condition"]},
            "represent": {"model": "minilm", "precision": "float32", "max_tokens": 256},
            "fuse": {"weights": {"embedding": 1.0, "tfidf": 0.5, "table": 1.0}},
            "mine": {"classifiers": list(accuracies), "clusters": 5, "seed": 7},
            "report": {"language": "en"},
        },
        "versions": {"fusionspark": "0.1.0", "python": "3.11.2", "pyspark": "4.1.4", "java": "17.0.12"},
    }  # fmt: skip


def hostile() -> dict[str, Any]:
    """Return the same run after someone wrote into every text that reaches the page."""
    run = realistic(points=60)
    run["title"] = SCRIPT
    run["run_date"] = IMAGE
    names = {"negative": SCRIPT, "neutral": BIDI, "positive": "@accent"}
    for splits in run["classify"].values():
        for entry in splits.values():
            entry["classes"] = {names[name]: found for name, found in entry["classes"].items()}
            entry["roc"] = {names[name]: found for name, found in entry["roc"].items()}
            entry["confusion"]["labels"] = [names[name] for name in entry["confusion"]["labels"]]
            entry["majority"]["label"] = SCRIPT
            entry["pr"] = {names[name]: found for name, found in entry["pr"].items()}
            entry["calibration"] = {names[name]: found for name, found in entry["calibration"].items()}
    run["classify"][IMAGE] = run["classify"].pop("logistic_regression")
    run["best"] = IMAGE
    run["receipt"]["arms"][SCRIPT] = run["receipt"]["arms"].pop("table")
    run["receipt"]["text"]["second"] = SCRIPT
    run["receipt"]["of"] = BIDI
    explained = run["explain"]
    explained["algorithm"] = IMAGE
    explained["importance"]["players"][0] |= {"player": SCRIPT, "classes": {IMAGE: 0.1}}
    for row in explained["rows"]:
        row |= {"row_id": SCRIPT, "label": IMAGE, "prediction": BIDI, "rule": SCRIPT}
        row["players"]["parts"][0]["player"] = IMAGE
        row["values"] = {"usefulCount": SCRIPT, IMAGE: BIDI}
    for piece in explained["rows"][0]["words"]["pieces"]:
        piece["text"] = f"{SCRIPT} {BIDI}"
    for point in run["cluster"]["map"]:
        point["text"] = f"{SCRIPT} {BIDI} <b>not bold</b>"
        point["row_id"] = IMAGE
    run["cluster"]["since"]["died"][0]["name"] = SCRIPT
    for cluster in run["cluster"]["clusters"]:
        cluster["terms"] = [SCRIPT, BIDI]
        cluster["labels"] = {SCRIPT: 1}
        cluster["name"] = f"{SCRIPT} {BIDI}"
        cluster["nearest"] = cluster["typical"] = [{"row_id": IMAGE, "text": f"{SCRIPT}\x00\ud800"}]
        cluster["lifts"][0] |= {"column": SCRIPT, "value": IMAGE}
        cluster["shifts"][0]["column"] = BIDI
    run["quarantine"]["reasons"] = [{"stage": SCRIPT, "reason": IMAGE, "rows": 1, "examples": [SCRIPT, BIDI]}]
    run["rules"]["top"][0] |= {"antecedent": [SCRIPT], "consequent": [IMAGE, BIDI]}
    run["anomalies"]["top"][0] |= {"row_id": IMAGE, "reasons": [SCRIPT], "text": BIDI}
    run["config"] = {SCRIPT: {IMAGE: BIDI}}
    run["versions"] = {SCRIPT: "</style><script>window.broken = true</script>"}
    run["represent"]["model"] = SCRIPT
    run["stages"][0]["name"] = SCRIPT
    run["features"] = {SCRIPT: {"dimension": math.nan, "weight": math.inf}}
    return run
