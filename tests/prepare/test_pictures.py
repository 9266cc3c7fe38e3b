"""One picture: what passes, what is reduced, what is refused and why."""

from __future__ import annotations

import io
import struct
import zlib

import pytest

from fusionspark.prepare.picture_stage import PictureReader
from fusionspark.prepare.pictures import PictureLimits, read_picture

Image = pytest.importorskip("PIL.Image")
LIMITS = PictureLimits(max_bytes=100_000, max_pixels=10_000, side=16)


def encoded(size, colour=(255, 0, 0), mode="RGB", kind="PNG", **more) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, colour).save(out, kind, **more)
    return out.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of some bytes that says it is as large as this."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


def opened(data: bytes):
    return Image.open(io.BytesIO(data))


def test_a_small_picture_stays_as_it_is_and_a_large_one_is_reduced():
    small = encoded((16, 99))
    assert read_picture(small, LIMITS).data == small
    large = read_picture(encoded((80, 40)), LIMITS)
    assert large.problem is None
    assert opened(large.data).size == (32, 16)
    assert opened(large.data).getpixel((5, 5)) == (255, 0, 0)
    clear = opened(read_picture(encoded((40, 40), (0, 255, 0, 0), "RGBA"), LIMITS).data)
    assert (clear.mode, clear.getpixel((3, 3))[3]) == ("RGBA", 0)
    assert read_picture(encoded((80, 40)), LIMITS) == large, "the same bytes every time"


def test_a_picture_on_its_side_is_put_upright():
    exif = Image.Exif()
    exif[274] = 6
    turned = read_picture(encoded((40, 20), kind="JPEG", exif=exif), LIMITS)
    assert opened(turned.data).size == (16, 32)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"no picture", "cannot be decoded"),
        (encoded((16, 16))[:50], "cannot be decoded"),
        (bomb(6_000, 9_000), "6000 x 9000 pixels, above prepare.pictures.max_pixels = 10000"),
        (bomb(60_000, 60_000), "the picture is too large (Image size (3600000000 pixels) exceeds"),
        (bytes(100_001), "100001 bytes, above prepare.pictures.max_bytes = 100000"),
        ("nowhere.png", "there is no such file"),
        ("../secret.png", "leads out of source.image_root"),
        ("empty.png", "the file is empty"),
        ("huge.png", "100001 bytes"),
    ],
)
def test_what_is_refused_and_why(tmp_path, value, said):
    root = tmp_path / "in"
    root.mkdir()
    (tmp_path / "secret.png").write_bytes(encoded((4, 4)))
    (root / "empty.png").write_bytes(b"")
    (root / "huge.png").write_bytes(bytes(100_001))
    found = read_picture(value, LIMITS, str(root))
    assert found.data is None
    assert said in found.problem


@pytest.mark.parametrize("value", [None, "", "  ", b""])
def test_no_picture_is_no_problem(value):
    found = read_picture(value, LIMITS)
    assert (found.data, found.problem) == (None, None)


@pytest.mark.smoke
def test_paths_in_spark(spark, tmp_path):
    (tmp_path / "a.png").write_bytes(encoded((4, 4)))
    df = spark.createDataFrame(
        [("a", "a.png"), ("b", None), ("c", "c.png")], "id string, file string"
    ).repartition(5)
    reader = PictureReader(inputCol="file", rootFolder=str(tmp_path), side=2)
    rows = {row["id"]: row for row in reader.transform(df).collect()}
    assert opened(bytes(rows["a"]["picture"])).size == (2, 2)
    assert [(rows[i]["picture"], rows[i]["problem"]) for i in "bc"] == [
        (None, None), (None, "there is no such file"),
    ]  # fmt: skip
    reader.write().overwrite().save(str(tmp_path / "stage"))
    again = PictureReader.load(str(tmp_path / "stage"))
    assert again.getOrDefault(again.side) == 2
    assert again.uid == reader.uid
