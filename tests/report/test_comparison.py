"""Two runs side by side, from their folders alone."""

import copy
import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from runs import SCRIPT, realistic

from fusionspark.cli import main
from fusionspark.errors import ConfigError
from fusionspark.report.comparison import changed_rows, settings
from fusionspark.report.comparison_page import write_comparison

COLUMNS = ["row_id", "split", "label", "prediction"]


def answers(*rows):
    return pd.DataFrame(rows, columns=COLUMNS)


def test_changes_by_hand():
    first = answers(
        ("a", "test", "x", "x"), ("b", "test", "x", "y"), ("c", "test", "x", "y"), ("d", "train", "x", "x"),
        ("e", "test", None, "x"), ("gone", "test", "x", "x"),
    )  # fmt: skip
    second = answers(
        ("a", "test", "x", "y"), ("b", "test", "x", "x"), ("c", "test", "x", "z"), ("d", "train", "x", "x"),
        ("e", "test", None, "y"), ("new", "test", "x", "x"), ("newer", "test", "x", "x"),
    )  # fmt: skip
    found = changed_rows(first, second)
    assert (found["both"], found["only_first"], found["only_second"], found["same"]) == (5, 1, 2, 1)
    assert (found["test"], found["broken"], found["fixed"], found["moved"]) == (3, 1, 1, 1)
    assert [(row["row_id"], row["change"]) for row in found["changed"]] == [
        ("a", "broken"), ("b", "fixed"), ("c", "moved"), ("e", "moved"),
    ]  # fmt: skip
    assert found["gain"] == 0.0
    # (1 + 1) rows differ of 3: the standard error is the root of 2, over 3.
    assert found["interval"] == pytest.approx([-0.924, 0.924], abs=1e-3)


def test_a_run_against_itself_and_without_rows():
    same = changed_rows(answers(("a", "test", "x", "x")), answers(("a", "test", "x", "x")))
    assert same["changed"] == [] and same["same"] == 1 and same["interval"] == [0.0, 0.0]
    none = changed_rows(answers(), answers())
    assert (none["both"], none["gain"], none["interval"]) == (0, None, None)


def test_settings_that_differ():
    found = settings({"mine": {"k": 8, "seed": 1}}, {"mine": {"k": 9, "seed": 1}, "new": True})
    assert found == [
        {"key": "mine.k", "first": "8", "second": "9"},
        {"key": "new", "first": None, "second": "true"},
    ]


@pytest.fixture
def two_runs(tmp_path):
    runs = []
    for date, answer in (("2026-03-13", "positive"), ("2026-03-14", "negative")):
        run = copy.deepcopy(realistic(points=20))
        run |= {"run_date": date, "tables": "attempts/1"}
        run["config"]["mine"]["clusters"] = int(date[-1])
        folder = tmp_path / date
        tables = folder / "attempts" / "1"
        rows = [
            ("r1", "test", "negative", "logistic_regression", answer),
            (SCRIPT, "test", "positive", "logistic_regression", "positive"),
            ("r1", "test", "negative", "linear_svm", "neutral"),
        ]
        named = ["row_id", "split", "label", "algorithm", "prediction"]
        (tables / "predictions").mkdir(parents=True)
        pq.write_table(
            pa.Table.from_pandas(pd.DataFrame(rows, columns=named)), tables / "predictions" / "part-0.parquet"
        )
        (tables / "predictions" / "_SUCCESS").touch()
        (tables / "prepared").mkdir()
        texts = pd.DataFrame([("r1", f"{SCRIPT} text of r1")], columns=["row_id", "clean_text"])
        pq.write_table(pa.Table.from_pandas(texts), tables / "prepared" / "part-0.parquet")
        (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
        runs.append(folder)
    return runs


def test_the_page_says_what_changed(two_runs, capsys):
    assert main(["compare", str(two_runs[0]), str(two_runs[1] / "run.json")]) == 0
    page = two_runs[1] / "compared-with-2026-03-13.html"
    assert str(page) in capsys.readouterr().out
    html = page.read_text(encoding="utf-8")
    assert "wrong, now right" in html and "text of r1" in html
    assert "mine.clusters" in html and "2026-03-13 → 2026-03-14" in html
    assert "&lt;script&gt;window.broken = true&lt;/script&gt; text of r1" in html
    assert SCRIPT not in html
    assert len(html) < 8_000_000


def test_runs_without_readable_predictions_are_compared_by_their_figures(two_runs, tmp_path):
    (two_runs[0] / "attempts" / "1" / "predictions" / "part-0.parquet").unlink()
    page = write_comparison(*two_runs, tmp_path / "c.html", language="zh")
    assert "因此不比较各行" in page.read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match="no such file"):
        write_comparison(tmp_path / "none", two_runs[1])
