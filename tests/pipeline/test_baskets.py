"""`fusionspark rules`: plain baskets, from a file to published rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fusionspark import pipeline
from fusionspark.config import Config
from fusionspark.errors import ConfigError, DataContractError, QuarantineLimitError
from fusionspark.tables import RunFolder

DATE = "2026-01-31"


def settings(tmp_path: Path, lines: list[str], **more) -> Config:
    (tmp_path / "lines.csv").write_text("\n".join(["who,what", *lines]) + "\n")
    return Config.model_validate(
        {
            "output": str(tmp_path / "out"),
            "max_quarantined": 0.2,
            "source": {"format": "csv", "path": str(tmp_path / "lines.csv")},
            "columns": {"basket": "who", "item": "what"},
            "mine": {"partitions": 1, "rules": {"min_rows": 2, "min_confidence": 0.5, "alpha": 1.0}},
            **more,
        }
    )


LINES = ["1,milk", "1,bread", "1,milk", "2,milk", "2, bread", "3,tea", "4,tea", "5,jam", ",tea", "6,"]


@pytest.mark.smoke
def test_baskets_become_rules_and_every_line_is_accounted_for(spark, tmp_path):
    config = settings(tmp_path, LINES)
    manifest = pipeline.baskets(spark, config, DATE, say=lambda line: None)
    assert manifest["rows"] == {"in": 10, "out": 8, "quarantined": 2}
    assert {r["reason"] for r in manifest["quarantine"]["reasons"]} == {"no basket: who", "no item: what"}
    assert manifest["rules"]["rows"] == 5, "baskets with an item"
    run = RunFolder(spark, f"{config.output}/rules", DATE)
    rules = run.read("rules").orderBy("rank").collect()
    assert [(r.antecedent, r.consequent, r.rows, r.confidence, r.lift) for r in rules] == [
        (["bread"], ["milk"], 2, 1.0, 2.5),
        (["milk"], ["bread"], 2, 1.0, 2.5),
    ]
    assert [top["conviction"] for top in manifest["rules"]["top"]] == [None, None], "infinite"
    assert json.loads(Path(run.path, "run.json").read_text()) == manifest
    assert "milk" in Path(run.path, "report.html").read_text()


def test_lines_that_cannot_be_used(spark, tmp_path):
    with pytest.raises(QuarantineLimitError, match="2 of 4 rows"):
        pipeline.baskets(spark, settings(tmp_path, ["1,a", "1,b", ",c", "2,"]), DATE)
    with pytest.raises(DataContractError, match="none of 1 lines"):
        pipeline.baskets(spark, settings(tmp_path, [",a"]), DATE)


def test_baskets_and_rows_are_not_mixed(spark, tmp_path):
    with pytest.raises(ConfigError, match="fusionspark rules"):
        pipeline.run(spark, settings(tmp_path, LINES), DATE)
    with pytest.raises(ValueError, match="go together"):
        settings(tmp_path, LINES, columns={"basket": "who"})
    with pytest.raises(ValueError, match=r"columns\.text: lines of baskets have no such part"):
        settings(tmp_path, LINES, columns={"basket": "who", "item": "what", "text": "t"})
    with pytest.raises(ConfigError, match="are not set"):
        pipeline.baskets(spark, settings(tmp_path, LINES, columns={"text": "what"}), DATE)
