"""From the bytes of a picture to what a vision network takes; knows no Spark."""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionspark.errors import ConfigError
from fusionspark.represent.encoders import FloatMatrix

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

#: Of the rules here, by which a picture becomes pixels; vectors of another version are not mixed with these.
READING_VERSION = 1

#: Mean and deviation of ImageNet's channels.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

#: Largest picture that is decoded, in pixels: a small file can hold a picture that fills the memory.
_MOST_PIXELS = 100_000_000

#: File of the preprocessing.
FIGURES = "preprocessor_config.json"


def open_picture(data: bytes) -> Picture:
    """Decode one picture to RGB, upright; transparent parts become white.

    Raises
    ------
    ValueError, OSError
        The bytes are not a picture, or one that is too large.
    """
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(data)) as opened:
        if opened.width * opened.height > _MOST_PIXELS:
            raise ValueError(f"picture of {opened.width} x {opened.height} pixels")
        opened.load()
        # Cameras store the sensor's rows, and beside them how the camera was held; a note that cannot be read
        # leaves the picture as it lies.
        with suppress(Exception):
            ImageOps.exif_transpose(opened, in_place=True)
        picture = opened.convert("RGBA")
    white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, picture).convert("RGB")


@dataclass(frozen=True)
class ImageInput:
    """How a network wants its pictures, where no file says it.

    Attributes
    ----------
    height, width : int
        Size of the input in pixels.
    resize : int
        Length of the shorter side before the middle is cut out; 0 scales both sides, whatever the shape.
    mean, std : tuple of float
        Per channel, for values from 0 to 1.
    resample : int
        Pillow's number of the filter; 2 is bilinear, 3 bicubic.
    """

    height: int = 224
    width: int = 224
    resize: int = 0
    mean: tuple[float, ...] = _MEAN
    std: tuple[float, ...] = _STD
    resample: int = 3

    def read(self, data: bytes) -> FloatMatrix:
        """Decode one picture to shape (3, height, width); fails as `open_picture`."""
        picture = open_picture(data)
        if self.resize:
            scale = self.resize / min(picture.size)
            size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
            picture = picture.resize(size, self.resample)
            left, top = (picture.width - self.width) // 2, (picture.height - self.height) // 2
            picture = picture.crop((left, top, left + self.width, top + self.height))
        else:
            picture = picture.resize((self.width, self.height), self.resample)
        pixels: Any = np.asarray(picture, dtype=np.float32) / 255.0
        mean, std = (np.asarray(part, dtype=np.float32) for part in (self.mean, self.std))
        pixels = (pixels - mean) / std
        return np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32)


@dataclass(frozen=True)
class ProcessorInput:
    """Pictures prepared by the image processor of a transformers folder, which knows its family's rules."""

    processor: Any
    height: int = 0
    width: int = 0

    def read(self, data: bytes) -> FloatMatrix:
        """As `ImageInput.read`."""
        return self.pixels(open_picture(data))

    def pixels(self, picture: Picture) -> FloatMatrix:
        """What the processor makes of a picture."""
        # Told, not guessed: a picture that is three pixels high looks as if its channels came first.
        pixels = self.processor(images=picture, input_data_format="channels_last")["pixel_values"][0]
        return np.ascontiguousarray(pixels, dtype=np.float32)


Reader = ImageInput | ProcessorInput


def read_image_input(folder: Path) -> Reader:
    """What the preprocessing files of a folder say, with ImageNet's figures where it has none.

    Raises
    ------
    ConfigError
        The files name no image processor that is there, or pictures of different shape would stay so.
    """
    if not any((folder / name).is_file() for name in (FIGURES, "processor_config.json")):
        return ImageInput()
    from PIL import Image
    from transformers import AutoImageProcessor

    try:
        # Not the forms of torchvision: a vector must not depend on whether a machine has it.
        processor = AutoImageProcessor.from_pretrained(
            str(folder), use_fast=False, local_files_only=True, trust_remote_code=False
        )
    except (ImportError, OSError, ValueError) as error:
        raise ConfigError(
            f"preprocessing of {folder}", f"no image processor ({str(error)[:200]})",
            allowed="those of transformers that work without torchvision",
            remedy=f"set image_processor_type in {FIGURES}, to ViTImageProcessor for example",
        ) from error  # fmt: skip
    if getattr(processor, "resample", 2) is None:
        processor.resample = 2
    reader = ProcessorInput(processor)
    blank = [Image.new("RGB", size) for size in ((64, 48), (48, 80))]
    shapes = sorted({reader.pixels(picture).shape for picture in blank})
    if len(shapes) != 1 or len(shapes[0]) != 3 or shapes[0][0] != 3:
        raise ConfigError(
            f"preprocessing of {folder}", f"makes {shapes} of pictures of 48 x 64 and 80 x 48 pixels",
            allowed="(3, height, width), the same for all", remedy=f"set size and crop_size in {FIGURES}",
        )  # fmt: skip
    return replace(reader, height=shapes[0][1], width=shapes[0][2])
