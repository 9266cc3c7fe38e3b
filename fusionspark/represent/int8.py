"""Eight-bit engine on ONNX Runtime: exported once a machine, compared with the original, then reused."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionspark.errors import ConfigError, MissingExtraError
from fusionspark.represent import packed_bert
from fusionspark.represent.batching import TokenBatch, pack, runs
from fusionspark.represent.cache import cache_root, made_once
from fusionspark.represent.encoders import TorchEncoder, load_dense, load_torch_encoder, load_weights
from fusionspark.represent.int8_graph import VERSION, write_int8
from fusionspark.represent.settings import FolderSettings

if TYPE_CHECKING:
    import torch

#: Lowest mean cosine to the original at export. A sound graph is above 0.99; a broken one falls to 0.8.
_EXPORT_FLOOR = 0.95


#: Tokens that the graph is given at once: the many passes between its products are short while they stay
#: in a core's cache. On MiniLM and a core with 2 MiB of it, 256 to 768 are alike.
_TOKENS = 384


class Int8Network:
    """The exported graph as a network over a `TokenBatch`."""

    def __init__(self, file: Path, threads: int) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingExtraError("onnxruntime", "int8", "precision int8") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # The graph is written as it is to run: higher levels would fuse its additions and normalisations
        # into a slower kernel.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        # A task that waits for rows must not burn its core in a spinning pool.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def __call__(self, batch: TokenBatch) -> torch.Tensor:
        """Last hidden state of the tokens, shape (sum of lengths, width)."""
        import torch

        hidden = []
        start = 0
        for texts, length in runs(batch.lengths):
            rows = batch.ids[start : start + texts * length].reshape(texts, length)
            start += texts * length
            most = max(1, _TOKENS // length)
            for at in range(0, texts, most):
                hidden += self.session.run(["hidden"], {"ids": rows[at : at + most]})
        return torch.from_numpy(np.concatenate(hidden))


def load_int8_encoder(settings: FolderSettings, digest: str, cache_dir: str, threads: int) -> TorchEncoder:
    """Int8 form of a BERT-like folder, exported into the cache the first time.

    Raises
    ------
    ConfigError
        The network is of a family that has no int8 form here, or the export differs from the original.
    """
    if not packed_bert.fits(settings.config):
        raise ConfigError(
            "precision",
            f"is 'int8', and the model is of type {settings.config.get('model_type')!r}",
            allowed=f"int8 for {', '.join(packed_bert.FAMILIES)} with GELU",
            remedy="set precision to float32 or static",
        )

    def make(draft: Path) -> None:
        weights = {name: value.float().numpy() for name, value in load_weights(settings.transformer).items()}
        write_int8(weights, settings.config, draft / "model.onnx")
        _compare(settings, draft / "model.onnx", threads)

    folder = made_once(cache_root(cache_dir) / f"int8-v{VERSION}-{digest[:32]}", make)
    network = Int8Network(folder / "model.onnx", threads)
    return TorchEncoder(network, settings.pooling, load_dense(settings))


def _compare(settings: FolderSettings, file: Path, threads: int) -> None:
    """Raise unless the exported graph agrees with the original on texts of random tokens.

    Lengths differ, so that a graph into which one of them was baked shows.
    """
    rng = np.random.default_rng(0)
    most, words = settings.max_tokens, int(settings.config["vocab_size"])
    texts = [rng.integers(0, words, size=max(1, min(most, n))) for n in (48, 31, 17, 9, 5, 3, 2, 1)]
    batch = pack([text.astype(np.int32) for text in texts])
    original = load_torch_encoder(settings)
    exported = TorchEncoder(Int8Network(file, threads), settings.pooling, original.dense)
    found = _mean_cosine(original.encode(batch), exported.encode(batch))
    if not found >= _EXPORT_FLOOR:
        raise ConfigError(
            f"int8 export of {settings.transformer}",
            f"has a mean cosine of {found:.4f} to the original",
            allowed=f"at least {_EXPORT_FLOOR}",
            remedy="set precision to float32",
        )


def _mean_cosine(a: Any, b: Any) -> float:
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(axis=1) / np.maximum(norms, 1e-12)).mean())
