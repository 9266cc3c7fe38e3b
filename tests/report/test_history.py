"""Nights in order, and what the page shows of them."""

from runs import realistic
from test_page import Reader

from fusionspark.report.history import MOST_NIGHTS, history, row_of
from fusionspark.report.page import render
from fusionspark.report.phrases import Words
from fusionspark.report.sections.history import build


def row(date: str, rows: int = 1) -> dict:
    return {"run_date": date, "rows": rows}


def test_a_date_run_again_replaces_its_row_and_a_late_one_takes_its_place():
    carried = [row("2026-01-01", 1), row("2026-01-02", 2)]
    present = [row("2026-01-02", 20), row("2026-01-04", 4)]
    found = history(row("2026-01-03", 3), present, carried)
    assert [(night["run_date"], night["rows"]) for night in found] == [
        ("2026-01-01", 1), ("2026-01-02", 20), ("2026-01-03", 3), ("2026-01-04", 4),
    ]  # fmt: skip
    assert history(row("2026-01-04", 5), present, carried)[-1]["rows"] == 5
    assert history(row("2026-01-01"), [], []) == [row("2026-01-01")]
    many = [row(f"2026-{m:02}-{d:02}") for m in range(1, 4) for d in range(1, 29)]
    kept = history(row("2026-12-01"), many, [])
    assert (len(kept), kept[-1]["run_date"]) == (MOST_NIGHTS, "2026-12-01")


def test_a_night_is_told_from_its_manifest_alone():
    run = realistic(points=5)
    found = row_of({**run, "models": {"of": "2026-03-01"}, "changes": {"new": 1, "changed": 2, "gone": 3}})
    assert (found["rows"], found["quarantined"], found["encoded"], found["reused"]) == (975, 4, 969, 6)
    assert found["test"]["accuracy"] == run["classify"]["logistic_regression"]["test"]["accuracy"]
    assert (found["represent_seconds"], found["models_of"]) == (31.6, "2026-03-01")
    unlabelled = row_of({"run_date": "2026-01-01"})
    assert set(unlabelled["test"].values()) == {None}


def nights(count: int) -> list[dict]:
    base = {
        **row_of(realistic(points=5)),
        "models_of": "2026-03-01",
        "changes": {"new": 9, "changed": 8, "gone": 7},
    }
    return [{**base, "run_date": f"2026-03-{n + 1:02}", "encoded": 900 - 40 * n} for n in range(count)]


def test_history_appears_from_the_second_night_on():
    run = realistic(points=5)
    for silent in (None, [], nights(1), "text"):
        assert build({**run, "history": silent}, Words("en")) is None
    page = Reader(render({**run, "history": nights(3)}))
    assert "Rows and encoded texts, night by night" in page.text
    assert "2026-03-03 975 4 820 6 9 / 8 / 7" in page.text
    assert page.text.index("2026-03-03 975") < page.text.index("2026-03-01 975"), "the latest night first"
    section = build({**run, "history": nights(31)}, Words("zh"))
    axis = section.blocks[0].figures[0].spec["layout"]["xaxis"]
    assert len(axis["tickvals"]) <= 10
    assert (axis["tickvals"][-1], axis["ticktext"][-1]) == (30, "2026-03-31")
    bare = build({"history": [row("2026-01-01"), row("2026-01-02")]}, Words("en"))
    assert len(bare.blocks[0].figures) == 1, "no metric, no figure of metrics"
