"""`fusionspark tune` over two tasks, from a table to a model that the next run takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fusionspark.config import Config
from fusionspark.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FILLERS = "the a sat on mat and ran over hill".split()  # noqa: SIM905


def config(folder: Path, model: Path, **tune: Any) -> Config:
    return Config.model_validate(
        {
            "output": str(folder / "out"),
            "source": {"path": str(folder / "rows.parquet")},
            "columns": {"key": "id", "text": "body", "label": "animal"},
            "represent": {"model": str(model)},
            "tune": {
                "method": "all",
                "learning_rate": 0.002,
                "batch_size": 16,
                "precision": "float32",
                **tune,
            },
        }
    )


@pytest.fixture
def rows(spark: SparkSession, tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    words = [[*rng.choice(FILLERS, size=5), ("cat", "dog")[i % 2]] for i in range(100)]
    table = [(i, " ".join(found), ("cat", "dog")[i % 2]) for i, found in enumerate(words)]
    spark.createDataFrame(table, "id int, body string, animal string").write.parquet(
        str(tmp_path / "rows.parquet")
    )
    return tmp_path


@pytest.mark.slow
def test_two_tasks_train_one_model_on_training_rows_only(
    spark: SparkSession, rows: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fusionspark import pipeline
    from fusionspark.represent.model_source import model_digest

    # A process of torchrun finds the package where this one does.
    monkeypatch.setenv("PYTHONPATH", str(Path(pipeline.__file__).parents[2]))
    chosen = config(rows, tiny_bert, epochs=2, patience=2)
    tuned = pipeline.tune(spark, chosen, "2026-01-01", say=lambda line: None)
    splits = {
        row["split"]: row["count"]
        for row in spark.read.parquet(f"{rows}/out/runs/2026-01-01/attempts/1/prepared")
        .groupBy("split")
        .count()
        .collect()
    }
    assert (tuned["rows"], tuned["validation_rows"]) == (splits["train"], splits["validation"])
    assert (tuned["processes"], tuned["labels"]) == (2, ["cat", "dog"])
    assert tuned["digest"] == model_digest(tuned["folder"]) != tuned["base_digest"]
    assert sorted(path.name for path in (rows / "out" / "tuned").iterdir()) == [Path(tuned["folder"]).name]
    # Done is done: the second call only reads.
    assert pipeline.tune(spark, chosen, "2026-01-01", say=lambda line: None) == tuned


def test_a_tuning_needs_texts_with_a_label(spark: SparkSession, tmp_path: Path, tiny_bert: Path) -> None:
    from fusionspark import pipeline

    whole = config(tmp_path, tiny_bert)
    for name in ("label", "text"):
        columns = whole.columns.model_copy(update={name: None})
        with pytest.raises(ConfigError, match=rf"columns\.{name}: is not set"):
            pipeline.tune(spark, whole.model_copy(update={"columns": columns}), "2026-01-01")
