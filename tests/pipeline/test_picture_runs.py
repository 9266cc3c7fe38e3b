"""Pictures from an image folder to predictions, with broken ones on the way."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from fusionspark import pipeline
from fusionspark.collect import read_source
from fusionspark.config import Config, Source
from fusionspark.errors import ConfigError
from fusionspark.tables import RunFolder

Image = pytest.importorskip("PIL.Image")
DATE = "2026-01-31"


def draw(path: Path, colour, seed: int = 0) -> None:
    """A picture of one colour with a little noise, so that no two are alike."""
    noise = np.random.default_rng(seed).integers(0, 40, (16, 16, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("pictures") / "in"
    for i in range(24):
        draw(root / "red" / f"{i}.png", (200, 20, 20), i)
        draw(root / "blue" / f"{i}.png", (20, 20, 200), 100 + i)
    (root / "red" / "broken.png").write_bytes(b"no picture")
    (root / "red" / "notes.txt").write_text("no picture either")
    return root


@pytest.fixture(scope="module")
def tiny_vision(tmp_path_factory) -> Path:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    place = tmp_path_factory.mktemp("models") / "vit"
    torch.manual_seed(1)
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=16,
        patch_size=8,
    )  # fmt: skip
    transformers.ViTModel(config, add_pooling_layer=False).save_pretrained(place, safe_serialization=True)
    (place / "preprocessor_config.json").write_text(json.dumps({"size": {"height": 16, "width": 16}}))
    return place


def settings(folder: Path, output: Path, model: Path, **changes) -> Config:
    data = {
        "output": str(output),
        "source": {"format": "image_folder", "path": str(folder)},
        "columns": {"key": "name", "image": "path", "label": "folder"},
        "represent": {"image_model": str(model), "rows_per_task": 20},
        "mine": {
            "partitions": 2,
            "classify": {"algorithms": ["logistic_regression"], "max_iter": 20},
            "cluster": {"k": 2, "max_iter": 5},
        },
        "report": {"pictures": 6, "explain": {"rows": 0, "shuffled": 0}, "receipt": {"rows": 0}},
    }  # fmt: skip
    for key, value in changes.items():
        data[key] = {**data.get(key, {}), **value} if isinstance(value, dict) else value
    return Config.model_validate(data)


def test_an_image_folder_is_a_table(spark, folder):
    rows = read_source(spark, Source(format="image_folder", path=str(folder))).collect()
    assert len(rows) == 49, "a text file is no picture"
    one = next(row for row in rows if row["name"] == "red/broken.png")
    assert (one["folder"], one["bytes"]) == ("red", 10)
    assert one["path"].endswith("/in/red/broken.png")
    with_bytes = read_source(
        spark, Source(format="image_folder", path=str(folder), options={"content": True})
    ).where("name = 'red/broken.png'")
    assert bytes(with_bytes.collect()[0]["content"]) == b"no picture"
    with pytest.raises(ConfigError, match="nowhere"):
        read_source(spark, Source(format="image_folder", path=str(folder / "nowhere")))


@pytest.mark.slow
def test_a_run_over_pictures_alone_then_a_night_that_encodes_nothing_and_a_replay(
    spark, folder, tiny_vision, tmp_path
):
    config = settings(folder, tmp_path / "out", tiny_vision)
    manifest = pipeline.run(spark, config, DATE, say=lambda line: None)
    assert manifest["rows"] == {"in": 49, "out": 48, "quarantined": 1}
    reason = manifest["quarantine"]["reasons"][0]
    assert (reason["stage"], reason["examples"]) == ("prepare", ["red/broken.png"])
    assert reason["reason"] == "the picture cannot be decoded (UnidentifiedImageError)"
    assert manifest["represent"] is None
    assert (manifest["image"]["pictures"], manifest["image"]["encoded"]) == (48, 48)
    assert list(manifest["features"]) == ["image"]
    assert manifest["classify"]["logistic_regression"]["test"]["accuracy"] == 1.0
    samples = manifest["pictures"]["samples"]
    assert len(samples) == min(6, manifest["splits"]["test"]), "held-out rows alone"
    assert {one["label"] for one in samples} <= {"red", "blue"}
    assert all(one["picture"].startswith("data:image/jpeg;base64,") for one in samples)
    page = Path(config.output, "runs", DATE, "report.html").read_text()
    assert page.count(samples[0]["picture"]) == 1

    again = pipeline.run(spark, config, "2026-02-01", say=lambda line: None)
    assert (again["image"]["encoded"], again["image"]["reused"]) == (0, 48)

    draw(folder / "red" / "broken.png", (200, 20, 20), 77)
    mended = pipeline.replay(spark, config, "2026-02-01", say=lambda line: None)
    assert mended["rows"] == {"in": 49, "out": 49, "quarantined": 0}
    assert mended["image"]["pictures"] == 49


@pytest.mark.slow
def test_bytes_beside_numbers_and_rows_without_a_picture(spark, tiny_vision, tmp_path):
    def picture(colour, seed):
        out = io.BytesIO()
        noise = np.random.default_rng(seed).integers(0, 40, (8, 8, 3))
        Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)).save(out, "PNG")
        return bytearray(out.getvalue())

    rows = [
        (f"r{i}", picture((200, 0, 0) if i % 2 else (0, 0, 200), i), i / 10, "ab"[i % 2]) for i in range(40)
    ]
    rows += [("none", None, 1.0, "a"), ("same", rows[0][1], 1.0, "a")]
    spark.createDataFrame(rows, "id string, photo binary, n double, y string").write.parquet(
        str(tmp_path / "in")
    )
    config = settings(
        tmp_path / "in", tmp_path / "out", tiny_vision,
        source={"format": "parquet"}, columns={"key": "id", "image": "photo", "numeric": ["n"], "label": "y"},
    )  # fmt: skip
    manifest = pipeline.run(spark, config, DATE, say=lambda line: None)
    assert manifest["rows"] == {"in": 42, "out": 42, "quarantined": 0}
    image = manifest["image"]
    assert (image["pictures"], image["distinct"], image["empty"]) == (41, 40, 1)
    run = RunFolder(spark, f"{config.output}/runs", DATE)
    run = run.at(run.published_attempt())
    status = {row["row_id"]: row["status"] for row in run.read("image_embeddings").collect()}
    assert status["none"] == "empty"
    features = run.read("features").where("row_id = 'none'").collect()[0]["features"]
    start, end = (manifest["features"]["image"][key] for key in ("start", "dimension"))
    block = features.toArray()[start : start + end]
    assert block[:-1] == pytest.approx(np.zeros(end - 1)), "the mean in its place"
    assert block[-1] == 1.0, "and the indicator that says so"
