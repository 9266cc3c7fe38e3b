from __future__ import annotations

import io
import json

import numpy as np
import pytest

from fusionspark.errors import ConfigError
from fusionspark.represent.device import Device
from fusionspark.represent.image_embedder import ImageEmbedder, read_picture
from fusionspark.represent.image_encoder import ImageInput, build_image_engine, read_image_input

CPU = Device("cpu", 1)


def png(color, size=(8, 8), mode="RGB"):
    image = pytest.importorskip("PIL.Image")
    out = io.BytesIO()
    image.new(mode, size, color).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def tiny_vit(tmp_path_factory):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("models") / "vit"
    torch.manual_seed(1)
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=16,
        patch_size=8,
    )
    transformers.ViTModel(config, add_pooling_layer=False).save_pretrained(folder, safe_serialization=True)
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"size": {"height": 16, "width": 16}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3})
    )
    return folder


def test_pixels_by_hand():
    shape = ImageInput(height=2, width=2, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    pixels = shape.read(png((255, 0, 0)))
    assert pixels.shape == (3, 2, 2)
    assert pixels[:, 0, 0].tolist() == [1.0, -1.0, -1.0]
    # Nothing but transparency is white.
    assert shape.read(png((0, 0, 0, 0), mode="RGBA")).min() == 1.0


def test_the_middle_is_cut_out_after_the_shorter_side_is_resized():
    shape = ImageInput(height=4, width=4, resize=4)
    assert shape.read(png((9, 9, 9), size=(40, 8))).shape == (3, 4, 4)


def test_preprocessor_file(tiny_vit, tmp_path):
    assert read_image_input(tiny_vit) == ImageInput(16, 16, 0, (0.5,) * 3, (0.5,) * 3, 3)
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"size": {"shortest_edge": 256}, "crop_size": 224})
    )
    assert read_image_input(tmp_path) == ImageInput(224, 224, 256)


def test_broken_and_absent_pictures_are_marked_and_equal_ones_computed_once(tiny_vit):
    engine = build_image_engine(str(tiny_vit), CPU, batch_size=2)
    red, blue = png((255, 0, 0)), png((0, 0, 255))
    vectors, status = engine.encode([red, None, b"", b"no picture", blue, red, red[:20]])
    assert status == ["ok", "empty", "empty", "failed", "ok", "ok", "failed"]
    assert vectors.shape == (7, 16)
    assert np.isnan(vectors[[1, 2, 3, 6]]).all()
    np.testing.assert_array_equal(vectors[0], vectors[5])
    assert not np.allclose(vectors[0], vectors[4])
    assert engine.counters["images_encoded"] == 4


def test_a_vision_folder_equals_transformers(tiny_vit):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    engine = build_image_engine(str(tiny_vit), CPU)
    found, _ = engine.encode([png((255, 0, 0))])
    model = transformers.AutoModel.from_pretrained(str(tiny_vit)).eval()
    pixels = torch.full((1, 3, 16, 16), -1.0)
    pixels[:, 0] = 1.0
    with torch.no_grad():
        expected = model(pixel_values=pixels).last_hidden_state[:, 0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_paths_stay_inside_the_root(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a b.png").write_bytes(b"x")
    (tmp_path / "secret").write_bytes(b"y")
    assert read_picture("a b.png", str(tmp_path / "in")) == b"x"
    assert read_picture((tmp_path / "in" / "a b.png").as_uri()) == b"x"
    assert read_picture("../secret", str(tmp_path / "in")) is None
    assert read_picture(str(tmp_path / "none.png")) is None


@pytest.mark.slow
def test_binary_and_path_columns(spark, tiny_vit, tmp_path):
    (tmp_path / "red.png").write_bytes(png((255, 0, 0)))
    binary = spark.createDataFrame(
        [("a", bytearray(png((255, 0, 0)))), ("b", None)], "id string, picture binary"
    )
    paths = spark.createDataFrame([("a", "red.png"), ("b", "none.png")], "id string, picture string")
    one = ImageEmbedder(inputCol="picture", model=str(tiny_vit)).transform(binary)
    assert one.columns == ["id", "picture", "image_embedding", "image_status"]
    first, second = sorted(one.collect())
    assert (first.image_status, second.image_status, second.image_embedding) == ("ok", "empty", None)
    it = ImageEmbedder(inputCol="picture", model=str(tiny_vit), rootFolder=str(tmp_path))
    rows = sorted(it.transform(paths).collect())
    assert [row.image_status for row in rows] == ["ok", "failed"]
    np.testing.assert_allclose(rows[0].image_embedding, first.image_embedding, atol=1e-6)
    kept = it.setParams(handleInvalid="skip").transform(paths.repartition(5)).collect()
    assert [row.id for row in kept] == ["a"]
    it.write().overwrite().save(str(tmp_path / "stage"))
    assert ImageEmbedder.load(str(tmp_path / "stage")).extractParamMap() == {
        ImageEmbedder.load(str(tmp_path / "stage")).getParam(p.name): v
        for p, v in it.extractParamMap().items()
    }


def test_wrong_input_fails_on_the_driver(spark):
    df = spark.createDataFrame([(1,)], "picture int")
    with pytest.raises(ConfigError, match=r"is int\. Allowed: binary \(pictures\) or string \(paths\)"):
        ImageEmbedder(inputCol="picture").transform(df)


def test_efficientnet_tells_emoji_apart(data_dir):
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("PIL")
    engine = build_image_engine("efficientnet-lite0", CPU)
    files = sorted((data_dir / "emoji" / "img").glob("*.png"))[:4]
    vectors, status = engine.encode([file.read_bytes() for file in files])
    assert (vectors.shape, status) == ((4, 1280), ["ok"] * 4)
    assert len({tuple(np.round(vector, 3)) for vector in vectors}) == 4
