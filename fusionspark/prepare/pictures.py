"""Rules for one picture: read, bounded, checked, made smaller. Pure Python: knows no Spark."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse


@dataclass(frozen=True)
class PictureLimits:
    """What a picture may be, and what it becomes.

    Attributes
    ----------
    max_bytes : int
        Size of the file above which it is not read.
    max_pixels : int
        Width times height above which it is not decoded: a file of some kilobytes can hold a picture that
        fills the memory. All frames of an animation share it, of which the first is taken.
    side : int
        Length in pixels of the shorter side to which a larger picture is reduced.
    """

    max_bytes: int = 50_000_000
    max_pixels: int = 50_000_000
    side: int = 256


@dataclass(frozen=True)
class Picture:
    """A checked picture, or why there is none. Neither: there was nothing to read."""

    data: bytes | None = None
    problem: str | None = None


def read_picture(value: str | bytes | None, limits: PictureLimits, root: str = "") -> Picture:
    """Check and reduce the picture in a value of a picture column.

    Parameters
    ----------
    value : str, bytes or None
        A path (or ``file:`` address), or an encoded picture. Null and empty values are no picture, which is
        no problem.
    root : str
        Folder that paths are relative to. Where it is set, a path that leads out of it is refused.
    """
    if isinstance(value, str):
        value = value.strip()
        if not value:
            return Picture()
        found = _load(value, limits, root)
        if found.data is None:
            return found
        value = found.data
        if not value:
            return Picture(problem="the file is empty")
    return reduce(bytes(value), limits) if value else Picture()


def _load(path: str, limits: PictureLimits, root: str) -> Picture:
    place = Path(unquote(urlparse(path).path)) if path.startswith("file:") else Path(path)
    try:
        if root:
            base = Path(root).resolve()
            place = (base / place).resolve()
            if not place.is_relative_to(base):
                return Picture(problem="the path leads out of source.image_root")
        if not place.is_file():
            return Picture(problem="there is no such file")
        if place.stat().st_size > limits.max_bytes:
            return Picture(problem=_too_many_bytes(place.stat().st_size, limits))
        return Picture(place.read_bytes())
    except (OSError, ValueError) as error:
        return Picture(problem=f"the file cannot be read ({type(error).__name__})")


def reduce(data: bytes, limits: PictureLimits) -> Picture:
    """Decode a picture to its last line; one that is small enough stays as it is, to the byte.

    A larger one becomes a PNG whose shorter side has ``limits.side`` pixels, upright as its camera says.
    """
    from PIL import Image, ImageOps

    if len(data) > limits.max_bytes:
        return Picture(problem=_too_many_bytes(len(data), limits))
    try:
        with Image.open(io.BytesIO(data)) as opened:
            # Known from the header alone.
            pixels = opened.width * opened.height
            if pixels > limits.max_pixels:
                return Picture(
                    problem=f"the picture has {opened.width} x {opened.height} pixels, "
                    f"above prepare.pictures.max_pixels = {limits.max_pixels}"
                )
            # JPEG can be decoded at a fraction of its size.
            opened.draft("RGB", (2 * limits.side, 2 * limits.side))
            opened.load()
            if min(opened.size) <= limits.side and not _is_turned(opened):
                return Picture(data)
            upright: Any = ImageOps.exif_transpose(opened)
            small = upright.convert("RGBA" if _has_alpha(upright) else "RGB")
    except Image.DecompressionBombError as error:
        # Pillow has a limit of its own, above which it does not even open a file.
        return Picture(problem=f"the picture is too large ({error})")
    except Exception as error:  # noqa: BLE001 - decoders fail with many types on broken bytes
        return Picture(problem=f"the picture cannot be decoded ({type(error).__name__})")
    scale = min(1.0, limits.side / min(small.size))
    size = (max(1, round(small.width * scale)), max(1, round(small.height * scale)))
    out = io.BytesIO()
    small.resize(size, Image.Resampling.BICUBIC).save(out, "PNG", compress_level=1)
    return Picture(out.getvalue())


def _too_many_bytes(size: int, limits: PictureLimits) -> str:
    return f"the file has {size} bytes, above prepare.pictures.max_bytes = {limits.max_bytes}"


def _is_turned(picture: Any) -> bool:
    """Whether the camera noted that the picture lies on its side (EXIF tag 274)."""
    return bool(picture.getexif().get(274, 1) != 1)


def _has_alpha(picture: Any) -> bool:
    return picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
