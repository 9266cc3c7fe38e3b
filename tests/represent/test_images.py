from __future__ import annotations

import io
import json
import shutil
import weakref

import numpy as np
import pyarrow as pa
import pytest

from fusionspark.errors import ConfigError
from fusionspark.represent import image_embedder
from fusionspark.represent.device import Device
from fusionspark.represent.image_embedder import ImageEmbedder, image_partition, read_picture
from fusionspark.represent.image_encoder import ImageEngine, build_image_engine, image_loads
from fusionspark.represent.image_input import ImageInput, read_image_input

CPU = Device("cpu", 1)
TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
TINY_PICTURES = {**TINY, "image_size": 16, "patch_size": 8}


def png(color, size=(8, 8), mode="RGB"):
    image = pytest.importorskip("PIL.Image")
    return saved(image.new(mode, size, color))


def saved(picture, **options):
    out = io.BytesIO()
    picture.save(out, "PNG", **options)
    return out.getvalue()


def noise(height, width, seed=0):
    image = pytest.importorskip("PIL.Image")
    return image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def preprocessing(folder, kind, **figures):
    """The reader of a folder whose preprocessor_config.json names this processor of transformers."""
    pytest.importorskip("transformers")
    folder.mkdir(exist_ok=True)
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": kind, **figures}))
    return read_image_input(folder)


def model_folder(folder, model):
    model.save_pretrained(folder)
    figures = {"image_processor_type": "ViTImageProcessor", "size": {"height": 16, "width": 16}}
    (folder / "preprocessor_config.json").write_text(json.dumps(figures))
    return str(folder)


@pytest.fixture(scope="module")
def tiny_vit(tmp_path_factory):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("models") / "vit"
    torch.manual_seed(1)
    config = transformers.ViTConfig(**TINY_PICTURES)
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


def test_a_picture_is_turned_as_its_camera_was_held():
    image = pytest.importorskip("PIL.Image")
    lying = image.new("RGB", (2, 1), (255, 0, 0))
    lying.putpixel((1, 0), (0, 0, 255))
    held = image.Exif()
    held[0x0112] = 6  # the first column is the top
    shape = ImageInput(height=2, width=1, mean=(0.0,) * 3, std=(1.0,) * 3)
    pixels = shape.read(saved(lying, exif=held))
    assert pixels[:, :, 0].T.tolist() == [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    # A note that cannot be read turns nothing.
    assert shape.read(saved(lying, exif=b"Exif\0\0nonsense")).shape == (3, 2, 1)


def test_preprocessor_file(tiny_vit, tmp_path):
    shape = read_image_input(tiny_vit)
    assert (shape.height, shape.width) == (16, 16)
    np.testing.assert_array_equal(shape.read(png((255, 0, 0)))[:, 0, 0], [1.0, -1.0, -1.0])
    assert read_image_input(tmp_path) == ImageInput()


RAW = {"do_rescale": False, "do_normalize": False}


@pytest.mark.parametrize(
    ("figures", "value"),
    [
        (RAW, 255.0),
        ({"do_normalize": False}, 1.0),
        ({"do_normalize": False, "rescale_factor": 0.1}, 25.5),
        ({"image_mean": [0.5] * 3, "image_std": [0.25] * 3}, 2.0),
        ({**RAW, "resample": None}, 255.0),
    ],
)
def test_values_are_scaled_as_the_file_says(tmp_path, figures, value):
    shape = preprocessing(tmp_path, "ViTImageProcessor", size={"height": 2, "width": 2}, **figures)
    np.testing.assert_allclose(shape.read(png((255, 255, 255))), np.full((3, 2, 2), value), rtol=1e-6)


def test_the_part_that_is_cut_out_is_the_one_the_file_names(tmp_path):
    image = pytest.importorskip("PIL.Image")
    # Ten pixels of red around black.
    framed = image.new("RGB", (100, 100), (255, 0, 0))
    framed.paste((0, 0, 0), (10, 10, 90, 90))
    framed = saved(framed)
    clip = {"size": {"shortest_edge": 100}, "crop_size": {"height": 80, "width": 80}, **RAW}
    assert preprocessing(tmp_path, "CLIPImageProcessor", **clip).read(framed).max() == 0
    square = {"size": {"height": 100, "width": 100}, "do_center_crop": False}
    whole = preprocessing(tmp_path, "CLIPImageProcessor", **{**clip, **square})
    assert (whole.height, whole.read(framed)[0, 5, 5]) == (100, 255.0)
    part = preprocessing(tmp_path, "ConvNextImageProcessor", size={"shortest_edge": 80}, crop_pct=0.8, **RAW)
    assert (part.height, part.width, part.read(framed).max()) == (80, 80, 0.0)


def test_no_filter_is_bilinear(tmp_path):
    size = {"height": 5, "width": 5}
    null, bilinear, cubic = (
        preprocessing(tmp_path, "ViTImageProcessor", size=size, resample=number).read(saved(noise(9, 9)))
        for number in (None, 2, 3)
    )
    np.testing.assert_array_equal(null, bilinear)
    assert not np.allclose(null, cubic)


@pytest.mark.parametrize("shape", [(3, 7), (1, 5), (40, 3), (30, 20)])
def test_pictures_of_any_shape_are_prepared_as_the_library_does(tmp_path, shape):
    figures = {"size": {"height": 6, "width": 4}, "resample": 2, **RAW}
    reader = preprocessing(tmp_path, "ViTImageProcessor", **figures)
    picture = noise(*shape)
    expected = np.asarray(picture.resize((4, 6), 2)).transpose(2, 0, 1)
    np.testing.assert_array_equal(reader.read(saved(picture)), expected)


def test_preprocessing_that_makes_no_batches_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"\(3, 8, 10\), \(3, 13, 8\).*Allowed: \(3, height, width\)"):
        preprocessing(tmp_path, "CLIPImageProcessor", size={"shortest_edge": 8}, do_center_crop=False)
    with pytest.raises(ConfigError, match=r"Remedy: set image_processor_type in preprocessor_config\.json"):
        preprocessing(tmp_path / "unknown", "NoSuchImageProcessor")


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


def test_half_precision_on_disk(tiny_vit, tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModel.from_pretrained(str(tiny_vit), dtype=torch.float16)
    found, status = build_image_engine(model_folder(tmp_path / "half", model), CPU).encode([png((9, 99, 0))])
    whole, _ = build_image_engine(model_folder(tmp_path / "whole", model.float()), CPU).encode(
        [png((9, 99, 0))]
    )
    assert (status, found.dtype) == (["ok"], np.float32)
    np.testing.assert_array_equal(found, whole)


def clip_family(name):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(2)
    text = {**TINY, "vocab_size": 20, "max_position_embeddings": 8, "bos_token_id": 0, "eos_token_id": 1}
    both = {"text_config": text, "vision_config": TINY_PICTURES}
    if name == "clip":
        return transformers.CLIPModel(transformers.CLIPConfig(**both, projection_dim=12))
    if name == "siglip":
        return transformers.SiglipModel(transformers.SiglipConfig(**both))
    return transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**TINY_PICTURES))


@pytest.mark.parametrize("name", ["clip", "siglip", "clip_vision"])
def test_clip_and_its_like(tmp_path, name):
    torch = pytest.importorskip("torch")
    model = clip_family(name).eval()
    found, status = build_image_engine(model_folder(tmp_path, model), CPU).encode([png((255, 0, 0))])
    pixels = torch.full((1, 3, 16, 16), -1.0)
    pixels[:, 0] = 1.0
    with torch.no_grad():
        ask = model if name == "clip_vision" else model.get_image_features
        expected = ask(pixel_values=pixels)
        expected = getattr(expected, "pooler_output", expected).numpy()
    assert status == ["ok"]
    assert found.shape == (1, 12 if name == "clip" else 16)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_model_of_texts_is_refused(tiny_bert):
    with pytest.raises(ConfigError, match=r"reads input_ids\. Allowed: 'efficientnet-lite0', a transformers"):
        build_image_engine(str(tiny_bert), CPU)


def test_a_model_is_loaded_once_wherever_it_lies_and_anew_where_it_was_replaced(tiny_vit, tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    build_image_engine(str(tiny_vit), CPU)
    loads = image_loads()
    copy = tmp_path / "copy"
    shutil.copytree(tiny_vit, copy)
    before, _ = build_image_engine(str(copy), CPU).encode([png((255, 0, 0))])
    assert image_loads() == loads
    model = transformers.AutoModel.from_pretrained(str(tiny_vit))
    with torch.no_grad():
        model.layernorm.bias += 1.0
    model.save_pretrained(copy)
    after, _ = build_image_engine(str(copy), CPU).encode([png((255, 0, 0))])
    assert image_loads() == loads + 1
    np.testing.assert_allclose(after, before + 1.0, atol=1e-5)


def test_what_a_failed_pass_held_is_freed_before_the_next_one():
    torch = pytest.importorskip("torch")
    held = weakref.WeakSet()

    def network(pixels):
        assert not held
        activations = torch.ones(3)
        held.add(activations)
        if len(pixels) > 2:
            raise MemoryError
        return pixels.mean((2, 3))

    shape = ImageInput(1, 1, mean=(0.0,) * 3, std=(1.0,) * 3)
    engine = ImageEngine(network, shape, torch.device("cpu"), 3, batch_size=8)
    vectors, status = engine.encode([png((51 * i, 0, 0)) for i in range(6)])
    assert (status, engine.batch_size) == (["ok"] * 6, 1)
    np.testing.assert_allclose(vectors[:, 0], [0, 0.2, 0.4, 0.6, 0.8, 1.0], atol=1e-6)


def partition_of(model, column, monitor=None, **options):
    run = image_partition(
        model, "picture", root="", batch_size=2, device="cpu", invalid="keep", monitor=monitor, **options
    )
    batch = pa.RecordBatch.from_pydict({"picture": column})
    return pa.Table.from_batches(list(run([batch]))).to_pydict()


def test_one_picture_is_in_memory_at_a_time(tiny_vit, monkeypatch):
    alive, most = 0, 0

    class Picture(bytes):
        def __new__(cls, data):
            nonlocal alive, most
            alive += 1
            most = max(most, alive)
            return super().__new__(cls, data)

        def __del__(self):
            nonlocal alive
            alive -= 1

    monkeypatch.setattr(image_embedder, "read_picture", lambda path, root: Picture(png((int(path), 0, 0))))
    found = partition_of(str(tiny_vit), [str(i) for i in range(20)])
    assert found["status of the picture"] == ["ok"] * 20
    assert most <= 2


def test_the_monitor_hears_of_rows_loads_seconds_and_workers(tiny_vit, tmp_path):
    class Heard(list):
        add = list.append

    # A model that no other test has loaded.
    folder = tmp_path / "vit"
    shutil.copytree(tiny_vit, folder)
    (folder / "notes.json").write_text(json.dumps(str(tmp_path)))
    (tmp_path / "red.png").write_bytes(png((255, 0, 0)))
    red = str(tmp_path / "red.png")
    heard = Heard()
    found = partition_of(str(folder), [red, None, "", str(tmp_path / "none.png"), red] * 60, heard)
    assert found["status of the picture"] == ["ok", "empty", "empty", "failed", "ok"] * 60
    assert [told["rows"] for told in heard] == [256, 44]
    assert [told["model_loads"] for told in heard] == [1, 0]
    assert [told["images_encoded"] for told in heard] == [1, 1]
    assert sum(told["failed"] for told in heard) == 60
    assert all(told["seconds_compute"] > 0 and told["seconds_read"] > 0 for told in heard)
    assert len({tuple(told["workers"]) for told in heard}) == 1


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
