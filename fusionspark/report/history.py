"""History of nights: one short row a run, gathered from the manifests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fusionspark.columns import TEST
from fusionspark.report.display import dig

#: Nights that a manifest carries, the latest ones.
MOST_NIGHTS = 60
#: Figures on test rows that a night is remembered by: of classes, and of numbers.
CLASSES, NUMBERS = ("accuracy", "macro_f1", "auc"), ("rmse", "mae", "r2")


def row_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of one night, from its manifest alone."""
    best = manifest.get("best")
    task, metrics = ("regress", NUMBERS) if manifest.get("regress") else ("classify", CLASSES)
    test = dig(manifest, task, str(best), TEST) or {}
    return {
        "run_date": manifest["run_date"],
        "rows": dig(manifest, "rows", "out"),
        "quarantined": dig(manifest, "rows", "quarantined"),
        "encoded": dig(manifest, "represent", "encoded"),
        "reused": dig(manifest, "represent", "reused"),
        "seconds": manifest.get("seconds"),
        "represent_seconds": next(
            (stage["seconds"] for stage in manifest.get("stages", []) if stage["name"] == "represent"), None
        ),
        "best": best,
        "test": {name: test.get(name) for name in ("rows", *metrics)},
        "silhouette": dig(manifest, "cluster", "silhouette"),
        "models_of": dig(manifest, "models", "of"),
        "changes": manifest.get("changes"),
    }


def history(
    tonight: Mapping[str, Any], present: Iterable[Mapping[str, Any]], carried: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Put the rows of the nights in order, one a date, the latest `MOST_NIGHTS`.

    Parameters
    ----------
    tonight : dict
        Row of the run that is about to be published.
    present : iterable of dict
        Rows of the runs that are published now.
    carried : iterable of dict
        Rows that an earlier manifest holds: nights whose run was deleted since are still in it. A run that
        is there speaks for itself.
    """
    rows = {row["run_date"]: dict(row) for rows in (carried, present, [tonight]) for row in rows}
    return [rows[date] for date in sorted(rows)][-MOST_NIGHTS:]
