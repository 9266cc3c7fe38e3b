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


def test_only_folds_of_a_stack_have_encoders_of_their_own(
    spark: SparkSession, tmp_path: Path, tiny_bert: Path
) -> None:
    from fusionspark import pipeline

    # Refused before anything is read: there are no rows.
    chosen = config(tmp_path, tiny_bert, cross_fit=True, max_steps=1)
    dated = chosen.model_copy(update={"fuse": chosen.fuse.model_copy(update={"fold_by": "date"})})
    with pytest.raises(ConfigError, match=r"tune\.cross_fit: is true, and fuse\.fold_by is 'date'"):
        pipeline.tune(spark, dated, "2026-01-01", say=lambda line: None)
    columns = chosen.columns.model_copy(update={"label_kind": "number"})
    with pytest.raises(ConfigError, match=r"tune\.cross_fit: is true, and the label is a number"):
        pipeline.tune(spark, chosen.model_copy(update={"columns": columns}), "2026-01-01")


@pytest.mark.slow
def test_an_encoder_for_each_fold_and_a_stack_that_hears_of_each_row_from_the_one_that_has_not_seen_it(
    spark: SparkSession, tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fusionspark import pipeline
    from fusionspark.fuse.stacker import StackerModel
    from fusionspark.represent.model_source import resolve_model

    monkeypatch.setenv("PYTHONPATH", str(Path(pipeline.__file__).parents[2]))
    # Labels that say nothing of the texts: what an encoder knows of them it knows by heart.
    rng = np.random.default_rng(3)
    texts = [" ".join(rng.choice([*FILLERS, "cat", "dog", "red", "blue"], size=8)) for _ in range(240)]
    table = [(i, text, ("cat", "dog")[int(rng.integers(2))]) for i, text in enumerate(texts)]
    spark.createDataFrame(table, "id int, body string, animal string").write.parquet(
        str(tmp_path / "rows.parquet")
    )
    base = config(tmp_path, tiny_bert, cross_fit=True, epochs=40, patience=40, learning_rate=0.005)
    fuse = base.fuse.model_copy(update={"method": "stack", "folds": 2})
    # Without validation rows the last weights are the result, which know most by heart.
    split = base.split.model_copy(update={"validation": 0.0, "test": 0.3})
    chosen = base.model_copy(update={"fuse": fuse, "split": split})
    lines: list[str] = []
    tuned = pipeline.tune(spark, chosen, "2026-01-01", say=lines.append)
    assert pipeline.tune(spark, chosen, "2026-01-01", say=lines.append) == tuned
    assert [line for line in lines if line.startswith("tune: encoder")] == [
        "tune: encoder 1 of 2",
        "tune: encoder 2 of 2",
    ]
    assert sorted(path.name for path in (tmp_path / "out" / "tuned").iterdir()) == [
        Path(tuned["folder"]).name
    ]
    folds = resolve_model(tuned["folder"]).folds()
    assert folds is not None and (len(folds.parts), folds.column, folds.seed) == (2, "row_id", 42)
    prepared = spark.read.parquet(f"{tmp_path}/out/runs/2026-01-01/attempts/1/prepared")
    train = prepared.where("split = 'train'").count()
    assert sum(part["rows"] for part in tuned["parts"]) == train, "each row is seen by one of two"

    represent = chosen.represent.model_copy(update={"model": tuned["folder"]})
    applied = chosen.model_copy(update={"represent": represent})
    pipeline.run(spark, applied, "2026-01-02", last="fuse", say=lambda line: None)
    attempt = tmp_path / "out" / "runs" / "2026-01-02" / "attempts" / "1"
    rows = answered(spark, attempt)
    seen, new = (rows[rows.split == split] for split in ("train", "test"))
    (block,) = (
        found
        for found in StackerModel.load(f"{attempt}/models/fuse_learnt").blocks
        if found.block == "embedding"
    )
    width = (block.end - block.start) // 2
    assert block.weights[0][:, :width].any() and block.weights[1][:, width : 2 * width].any()
    assert not block.weights[0][:, width : 2 * width].any() and not block.weights[1][:, :width].any()
    # Nothing can be known, so nothing is: .5 within three standard errors (.04 and .07).
    assert abs(seen.hit.mean() - 0.5) < 0.12
    assert abs(new.hit.mean() - 0.5) < 0.22

    other = applied.model_copy(update={"fuse": fuse.model_copy(update={"folds": 3})})
    with pytest.raises(ConfigError, match=r"fuse: has folds \{'folds': 3.*Allowed: \{'folds': 2"):
        pipeline.run(spark, other, "2026-01-03", last="fuse", say=lambda line: None)
    auto = applied.model_copy(update={"fuse": fuse.model_copy(update={"method": "auto"})})
    with pytest.raises(ConfigError, match=r"fuse\.method: is 'auto', which compares on training rows"):
        pipeline.run(spark, auto, "2026-01-03", last="fuse", say=lambda line: None)
    assert not (tmp_path / "out" / "runs" / "2026-01-03").exists(), "told before anything is encoded"


def answered(spark: SparkSession, attempt: Path) -> Any:
    """split, and whether the text's model of the stack is right."""
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql import functions as F

    from fusionspark.fuse.block_layout import layout_of

    features = spark.read.parquet(str(attempt / "features"))
    start, end = layout_of(features, "features")["embedding says"]
    assert end - start == 2
    said = vector_to_array("features")
    hit = F.when(said[start + 1] > said[start], "dog").otherwise("cat") == F.col("label")
    return features.select("split", hit.cast("int").alias("hit")).toPandas()
