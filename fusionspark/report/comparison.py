"""Two runs side by side, and what changed for which rows. Reads Parquet by pyarrow, without Spark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionspark.columns import (
    ALGORITHM,
    CLEAN_TEXT,
    LABEL,
    PREDICTION,
    PREDICTIONS,
    PREPARED,
    ROW_ID,
    SPLIT,
    TEST,
)
from fusionspark.report.display import flattened

if TYPE_CHECKING:
    import pandas as pd

#: Rows that changed which the page lists; characters of their text.
MOST_ROWS, MAX_TEXT = 500, 200
#: What a change of the answer means for a row: from right to wrong, from wrong to right, or neither.
BROKEN, FIXED, MOVED = CHANGES = ("broken", "fixed", "moved")


def compare(first: Mapping[str, Any], second: Mapping[str, Any], places: tuple[Path, Path]) -> dict[str, Any]:
    """Compare two runs.

    Parameters
    ----------
    first, second : dict
        Contents of run.json.
    places : pair of Path
        The folders of the two.

    Returns
    -------
    dict
        ``settings``: ``[{key, first, second}]``, the configuration where it differs; ``rows``: None where the
        predictions of a run cannot be read here, else what `changed_rows` returns.
    """
    tables = [predictions(place, run) for place, run in zip(places, (first, second), strict=True)]
    rows = None
    if tables[0] is not None and tables[1] is not None:
        rows = changed_rows(tables[0], tables[1])
        texts = _texts(places[1], second, [row["row_id"] for row in rows["changed"]])
        for row in rows["changed"]:
            row["text"] = texts.get(row["row_id"])
    return {"settings": settings(first.get("config"), second.get("config")), "rows": rows}


def settings(first: Any, second: Any) -> list[dict[str, str | None]]:
    """Return the keys of two configurations whose values differ, and None where a key is missing."""
    left, right = dict(flattened(first or {})), dict(flattened(second or {}))
    return [
        {"key": key, "first": left.get(key), "second": right.get(key)}
        for key in dict.fromkeys([*left, *right])
        if left.get(key) != right.get(key)
    ]


def changed_rows(first: pd.DataFrame, second: pd.DataFrame) -> dict[str, Any]:
    """Join the answers of two runs by row.

    Parameters
    ----------
    first, second : DataFrame
        ``row_id``, ``split``, ``label`` and ``prediction`` of each run's best classifier.

    Returns
    -------
    dict
        ``both``, ``only_first``, ``only_second``: rows; ``same``: with the same answer. Over the rows that
        are test rows in both runs and have one label: ``test``, ``broken``, ``fixed``, ``moved``, and
        ``gain``, the accuracy of the second minus that of the first with its 95% ``interval`` for paired
        answers (None without such rows). ``changed``: at most `MOST_ROWS` rows whose answer changed, those
        that broke first.
    """
    joined = first.merge(second, on=ROW_ID, how="outer", suffixes=("_first", "_second"), indicator=True)
    counts = joined["_merge"].value_counts()
    both = joined[joined["_merge"] == "both"]
    answers = [both[f"{PREDICTION}_{side}"] for side in ("first", "second")]
    moved = both[answers[0] != answers[1]]
    label = both[f"{LABEL}_first"]
    fair = (both[f"{SPLIT}_first"] == TEST) & (both[f"{SPLIT}_second"] == TEST) & label.notna()
    test = both[fair & (label == both[f"{LABEL}_second"])]
    kinds = [_kind(row) for row in test.itertuples()]
    broken, fixed = kinds.count(BROKEN), kinds.count(FIXED)
    gain, interval = _paired(fixed, broken, len(test))
    listed = [
        {
            "row_id": str(row.row_id),
            "split": row.split_second,
            "label": None if _none(row.label_second) else str(row.label_second),
            "first": str(row.prediction_first),
            "second": str(row.prediction_second),
            "change": _kind(row),
        }
        for row in moved.sort_values(ROW_ID).itertuples()
    ]
    listed.sort(key=lambda row: CHANGES.index(row["change"]))
    return {
        "both": len(both),
        "only_first": int(counts.get("left_only", 0)),
        "only_second": int(counts.get("right_only", 0)),
        "same": len(both) - len(moved),
        "test": len(test),
        "broken": broken,
        "fixed": fixed,
        "moved": kinds.count(MOVED),
        "gain": gain,
        "interval": interval,
        "changed": listed[:MOST_ROWS],
        "all_changed": len(listed),
    }


def _kind(row: Any) -> str | None:
    """What a change means; None where the answer is the same."""
    if row.prediction_first == row.prediction_second:
        return None
    if not _none(row.label_second):
        if row.prediction_first == row.label_second:
            return BROKEN
        if row.prediction_second == row.label_second:
            return FIXED
    return MOVED


def _none(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _paired(fixed: int, broken: int, rows: int) -> tuple[float | None, list[float] | None]:
    """Difference of two accuracies on the same rows, and its 95% interval (Agresti, "Categorical Data
    Analysis", section 10.1: normal, from the rows on which just one is right).
    """
    if not rows:
        return None, None
    gain = (fixed - broken) / rows
    spread = 1.959963984540054 * math.sqrt(max(0.0, fixed + broken - (fixed - broken) ** 2 / rows)) / rows
    return gain, [gain - spread, gain + spread]


def predictions(place: Path, run: Mapping[str, Any]) -> pd.DataFrame | None:
    """Return the answers of the best classifier of a run; None where they cannot be read here.

    Estimated numbers are never the same twice, so they are not compared row by row.
    """
    columns = [ROW_ID, SPLIT, LABEL, ALGORITHM, PREDICTION]
    table = _read(place, run, PREDICTIONS, columns)
    if table is None or not run.get("best") or run.get("regress"):
        return None
    found: pd.DataFrame = table[table[ALGORITHM] == run["best"]].drop(columns=ALGORITHM)
    return found


def _texts(place: Path, run: Mapping[str, Any], row_ids: Iterable[str]) -> dict[str, str]:
    import pyarrow.compute as pc

    wanted = list(row_ids)
    table = (
        _read(place, run, PREPARED, [ROW_ID, CLEAN_TEXT], pc.field(ROW_ID).isin(wanted)) if wanted else None
    )
    if table is None:
        return {}
    known = table[table[CLEAN_TEXT].notna()]
    return dict(zip(known[ROW_ID], known[CLEAN_TEXT].str[:MAX_TEXT], strict=True))


def _read(
    place: Path, run: Mapping[str, Any], name: str, columns: list[str], rows: Any = None
) -> pd.DataFrame | None:
    import pyarrow.dataset as ds

    folder = place / str(run.get("tables") or "") / name
    if not folder.is_dir() or not any(folder.rglob("*.parquet")):
        return None
    table = ds.dataset(folder, format="parquet", exclude_invalid_files=True).to_table(columns, filter=rows)
    frame: pd.DataFrame = table.to_pandas()
    return frame
