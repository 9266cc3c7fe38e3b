"""A run as lines for a reader: what its stages will do, and what came out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fusionspark.columns import TEST, TRAIN, VALIDATION
from fusionspark.config import Config

#: Figure of run.json -> its head; of classes, and of numbers.
CLASSES = {"accuracy": "accuracy", "macro_f1": "macro-F1", "auc": "ROC-AUC"}
NUMBERS = {"rmse": "RMSE", "mae": "MAE", "r2": "R2"}


def stage_lines(config: Config) -> list[str]:
    """Return what each stage of a run would do, one line a stage."""
    columns, weights = config.columns, config.fuse.weights
    blocks = [
        f"{name} x {getattr(weights, name):g}"
        for name, there in (
            ("text", bool(columns.text)),
            ("tfidf", bool(columns.text and config.prepare.tfidf_features)),
            ("table", bool(columns.numeric or columns.categorical or columns.dates)),
            ("image", bool(columns.image)),
            ("statistics", bool(columns.text) and config.prepare.text_statistics == "block"),
        )
        if there and getattr(weights, name) > 0
    ]
    learners = "no label, so no classifier"
    if columns.label:
        learners = ", ".join(
            config.mine.regress.algorithms if columns.number else config.mine.classify.algorithms
        )
    shares = f"{config.split.validation:g} validation, {config.split.test:g} test"
    represent = config.represent
    models = [
        model
        for model, there in ((represent.model, columns.text), (represent.image_model, columns.image))
        if there
    ]
    return [
        f"collect    {config.source.format} -> rows with a stable row_id",
        f"prepare    split by {config.split.by}: {shares}",
        f"represent  {', '.join(models) or 'no text or image column, skipped'}",
        f"fuse       {', '.join(blocks)}",
        f"mine       {learners}; {config.mine.cluster.in_words()}",
        f"report     {config.output}/runs/<run-date>/report.html and run.json",
    ]


def count_lines(manifest: Mapping[str, Any]) -> list[str]:
    """Return where the rows went, and what the texts took."""
    rows, represent = manifest["rows"], manifest["represent"]
    lines = [
        f"rows: {rows['in']} in = {rows['out']} out + {rows['quarantined']} quarantined; "
        f"{manifest['seconds']:.0f} s on Spark {manifest['spark_version']}"
    ]
    if represent:
        lines.append(
            f"texts: {represent['texts']}, {represent['encoded']} encoded, {represent['tokens']} tokens, "
            f"{represent['truncated']} truncated, {represent['model_loads']} model loads"
        )
    return lines


def figure_rows(manifest: Mapping[str, Any]) -> tuple[list[str], list[list[str]]] | None:
    """Return head and rows of a table of figures on test rows; None without any.

    The first figure on training rows stands beside them, and a star at the best algorithm.
    """
    measured, heads = _measured(manifest)
    if not any(TEST in splits for splits in measured.values()):
        return None
    first = next(iter(heads))
    shown = ".3f" if heads is CLASSES else ".4g"
    rows = []
    for name, splits in measured.items():
        test, train = splits.get(TEST, {}), splits.get(TRAIN, {})
        figures = [*[test.get(key) for key in heads], train.get(first)]
        star = " *" if name == manifest["best"] else ""
        rows.append([name + star, *["-" if f is None else format(f, shown) for f in figures]])
    return ["algorithm", *heads.values(), f"{heads[first]} on train"], rows


def chosen_line(manifest: Mapping[str, Any]) -> str:
    """Return what the star means."""
    measured, _ = _measured(manifest)
    held = any((splits.get(VALIDATION) or {}).get("rows") for splits in measured.values())
    return f"* best on the {'validation' if held else 'training'} rows"


def cluster_lines(manifest: Mapping[str, Any]) -> list[str]:
    """Return how many clusters there are and how far apart; a score in one pass has none."""
    if "cluster" not in manifest:
        return []
    silhouette = manifest["cluster"]["silhouette"]
    shown = "undefined" if silhouette is None else f"{silhouette:.3f}"
    return [f"clusters: {manifest['cluster']['k']}, silhouette {shown}"]


def _measured(manifest: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    if manifest.get("regress"):
        return manifest["regress"], NUMBERS
    return manifest.get("classify", {}), CLASSES
