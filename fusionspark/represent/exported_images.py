"""A vision network of plain torch: a folder with an exported program and its preprocessing.

Opening an exported program runs pickle and evaluates expressions of its maker's (see the warning of
``torch.export.load``), so it is opened only if its bytes are those that the spec names:
``FOLDER#sha256=DIGEST``.
"""

from __future__ import annotations

import functools
import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionspark.errors import ConfigError
from fusionspark.represent.image_input import FIGURES, Reader, read_image_input

if TYPE_CHECKING:
    import torch

_PROGRAM, _TRUST = "model.pt2", "#sha256="


def is_exported(spec: str) -> bool:
    """Whether ``spec`` names an exported program.

    Raises
    ------
    ConfigError
        It names the folder of one without a digest.
    """
    file = Path(spec).expanduser() / _PROGRAM
    if file.is_file() and not file.with_name("config.json").is_file():
        found = _sha256_of(file)
        raise ConfigError(
            f"image model {spec!r}", "is an exported program, and to open one is to run code of its maker",
            allowed="one whose sha-256 is named", remedy=f"if you trust it, set {spec}{_TRUST}{found}",
        )  # fmt: skip
    return _TRUST in spec


def exported_digest(spec: str) -> str:
    """Digest of program and preprocessing; see `fusionspark.represent.image_encoder.image_model_digest`."""
    file, digest = _file(spec)
    _check(file, _sha256_of(file), digest)
    return hashlib.sha256(digest.encode() + file.with_name(FIGURES).read_bytes()).hexdigest()


def load_exported(spec: str, device: torch.device) -> tuple[Any, Reader]:
    """Network and reader; a program that gives (n, d, h, w) is averaged over places.

    Raises
    ------
    ConfigError
        A file is missing, is not the one that was named, or the program takes one number of pictures only.
    """
    import torch

    file, digest = _file(spec)
    data = file.read_bytes()
    # Of the very bytes that are opened, whatever was found in the file before.
    _check(file, hashlib.sha256(data).hexdigest(), digest)
    program = torch.export.load(io.BytesIO(data))
    if device.type != "cpu":
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, device)
    run, shape = program.module(), read_image_input(file.parent)

    def network(pixels: torch.Tensor) -> torch.Tensor:
        vectors: torch.Tensor = run(pixels)
        return vectors.mean((2, 3)) if vectors.dim() == 4 else vectors

    try:
        with torch.inference_mode():
            for count in (1, 3):
                network(torch.zeros((count, 3, shape.height, shape.width), device=device))
    except (AssertionError, RuntimeError) as error:
        raise ConfigError(
            f"file {file}", f"does not take {count} pictures of {shape.height} x {shape.width} ({error})",
            remedy="export it with dynamic_shapes=({0: torch.export.Dim.AUTO},)",
        ) from error  # fmt: skip
    return network, shape


def _check(file: Path, found: str, digest: str) -> None:
    if found != digest:
        raise ConfigError(f"file {file}", f"has the sha-256 {found}", allowed=digest)


def _sha256_of(file: Path) -> str:
    stat = file.stat()
    return _sha256(file, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _sha256(file: Path, size: int, changed: int) -> str:
    # Asked once a task; size and time make it notice a file that was replaced.
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _file(spec: str) -> tuple[Path, str]:
    folder, _, digest = spec.partition(_TRUST)
    file = Path(folder).expanduser() / _PROGRAM
    lacking = [name for name in (_PROGRAM, FIGURES) if not file.with_name(name).is_file()]
    if lacking:
        problem = f"{file.parent} holds no {' and no '.join(lacking)}"
        raise ConfigError(f"image model {spec!r}", problem, allowed=f"a folder with {_PROGRAM} and {FIGURES}")
    return file, digest.lower()
