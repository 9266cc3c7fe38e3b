"""BERT-like encoders on tokens without padding.

A padded batch spends matrix products on padding and masks on attention. Here the tokens of all texts
form one matrix: every linear layer sees real tokens only, and attention runs once for each stretch of
texts of equal length, which needs no mask because the batches are sorted. Only torch is imported, so a
worker starts without transformers. The layer is the one of Devlin et al. 2019 (arXiv 1810.04805).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionspark.represent.batching import TokenBatch, runs
from fusionspark.represent.device import on_device

if TYPE_CHECKING:
    import torch

#: Families whose weights have BERT's names, and whether their positions start after the padding id.
FAMILIES = {"bert": False, "roberta": True, "xlm-roberta": True, "camembert": True}
#: On a CPU the number of rows is rounded up to a multiple of this. oneDNN generates code for every shape
#: that it meets and keeps it: on batches of ever new shapes bfloat16 ran at four fifths of its speed.
_ROWS = 64
_ACTIVATIONS = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}


def fits(config: Mapping[str, Any]) -> bool:
    """Whether a config.json describes a network that `PackedBert` computes exactly."""
    return (
        config.get("model_type") in FAMILIES
        and config.get("hidden_act", "gelu") in _ACTIVATIONS
        and config.get("position_embedding_type", "absolute") in (None, "absolute")
        and not config.get("is_decoder", False)
    )


class PackedBert:
    """A BERT encoder over a `TokenBatch`.

    Parameters
    ----------
    weights : mapping of str to Tensor
        State dict of the network, in transformers' names.
    config : mapping
        Its config.json; `fits` must hold.
    device : torch.device
        Where to compute.
    dtype : torch.dtype
        Type of weights and activations.
    """

    def __init__(
        self, weights: Mapping[str, torch.Tensor], config: Mapping[str, Any], device: Any, dtype: Any
    ) -> None:
        import torch

        stem = next(
            name.removesuffix("embeddings.word_embeddings.weight")
            for name in weights
            if name.endswith("embeddings.word_embeddings.weight")
        )

        # On a CPU the sums between the layers and their normalisation stay in float32, which brings a half
        # precision three times nearer and costs next to nothing; a GPU is short of bandwidth.
        sums = torch.float32 if device.type == "cpu" else dtype

        def get(*names: str, of: torch.dtype = dtype) -> torch.Tensor:
            found = [weights[stem + name] for name in names]
            joined = torch.cat(found) if len(found) > 1 else found[0]
            return joined.to(device=device, dtype=of)

        def norm(name: str) -> tuple[torch.Tensor, torch.Tensor]:
            return get(f"{name}.LayerNorm.weight", of=sums), get(f"{name}.LayerNorm.bias", of=sums)

        self.device = device
        self.dtype = dtype
        self.heads = int(config["num_attention_heads"])
        self.eps = float(config.get("layer_norm_eps", 1e-12))
        self.approximate = _ACTIVATIONS[config.get("hidden_act", "gelu")]
        self.first = int(config.get("pad_token_id") or 0) + 1 if FAMILIES[config["model_type"]] else 0
        self.words = get("embeddings.word_embeddings.weight", of=sums)
        # Every token is of type 0, so its vector joins the positions once and for all.
        self.positions = (
            get("embeddings.position_embeddings.weight", of=sums)
            + get("embeddings.token_type_embeddings.weight", of=sums)[0]
        )
        self.norm = norm("embeddings")
        self.layers = []
        for i in range(int(config["num_hidden_layers"])):
            at, ff = f"encoder.layer.{i}.attention", f"encoder.layer.{i}"
            qkv = [f"{at}.self.{name}" for name in ("query", "key", "value")]
            self.layers.append(
                (
                    (get(*[f"{n}.weight" for n in qkv]), get(*[f"{n}.bias" for n in qkv])),
                    (get(f"{at}.output.dense.weight"), get(f"{at}.output.dense.bias")),
                    norm(f"{at}.output"),
                    (get(f"{ff}.intermediate.dense.weight"), get(f"{ff}.intermediate.dense.bias")),
                    (get(f"{ff}.output.dense.weight"), get(f"{ff}.output.dense.bias")),
                    norm(f"{ff}.output"),
                )
            )

    @property
    def width(self) -> int:
        """Length of a token's vector."""
        return int(self.words.shape[1])

    def __call__(self, batch: TokenBatch) -> torch.Tensor:
        """Last hidden state, shape (sum of lengths, width)."""
        import torch
        from torch.nn.functional import layer_norm

        real = len(batch.ids)
        spare = -real % _ROWS if self.device.type == "cpu" else 0
        ids = on_device(np.pad(batch.ids, (0, spare)), self.device)
        position = np.arange(real) - np.repeat(batch.starts, batch.lengths) + self.first
        position = np.pad(position, (0, spare), constant_values=self.first)
        hidden = self.words[ids] + self.positions[on_device(position, self.device)]
        shape = (self.width,)
        hidden = layer_norm(hidden, shape, *self.norm, self.eps)
        attend = self._attention(batch)
        # Written over in every layer: fresh pages of this size cost a CPU as much as the GELU itself.
        rows, inner_width = len(hidden), self.layers[0][3][0].shape[0]
        scratch = torch.empty(rows * max(inner_width, 3 * self.width), dtype=self.dtype, device=self.device)
        triple = scratch[: rows * 3 * self.width].view(rows, -1)
        inner = scratch[: rows * inner_width].view(rows, -1)
        narrow = torch.empty((rows, self.width), dtype=self.dtype, device=self.device)
        for qkv, out, norm1, up, down, norm2 in self.layers:
            mixed = attend(_linear(hidden.to(self.dtype), *qkv, triple))
            hidden = layer_norm(hidden.add_(_linear(mixed, *out, narrow)), shape, *norm1, self.eps)
            torch.ops.aten.gelu_(_linear(hidden.to(self.dtype), *up, inner), approximate=self.approximate)
            hidden = layer_norm(hidden.add_(_linear(inner, *down, narrow)), shape, *norm2, self.eps)
        return hidden[:real]

    def _attention(self, batch: TokenBatch) -> Callable[[torch.Tensor], torch.Tensor]:
        """Function from (tokens, 3 * width) to (tokens, width), for the texts of ``batch``."""
        varlen = _varlen_attention(self.device) if self.dtype.itemsize == 2 else None
        if varlen is None:
            stretches = runs(batch.lengths)
            return lambda qkv: self._by_stretch(qkv, stretches)
        # One kernel for texts of any length; it exists for half precision on a GPU only.
        edges = np.append(batch.starts, len(batch.ids)).astype(np.int32)
        cumulative, longest = on_device(edges, self.device), int(batch.lengths.max())

        def attend(qkv: torch.Tensor) -> torch.Tensor:
            q, k, v = qkv.view(len(qkv), 3, self.heads, -1).unbind(1)
            mixed: torch.Tensor = varlen(q, k, v, cumulative, cumulative, longest, longest)
            return mixed.reshape(len(qkv), self.width)

        return attend

    def _by_stretch(self, qkv: torch.Tensor, stretches: list[tuple[int, int]]) -> torch.Tensor:
        import torch
        from torch.nn.functional import scaled_dot_product_attention

        out = torch.empty((len(qkv), self.width), dtype=qkv.dtype, device=qkv.device)
        # Rows beyond the texts are nobody's; what lies in fresh memory must not slow them down.
        out[sum(count * length for count, length in stretches) :] = 0
        start = 0
        for count, length in stretches:
            stop = start + count * length
            q, k, v = qkv[start:stop].view(count, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            mixed = scaled_dot_product_attention(q, k, v)
            out[start:stop].view(count, length, self.heads, -1).copy_(mixed.transpose(1, 2))
            start = stop
        return out


def _linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """``x @ weight.T + bias``, written to ``target``."""
    import torch

    return torch.addmm(bias, x, weight.t(), out=target)


def _varlen_attention(device: torch.device) -> Any:
    """torch's attention over texts without padding; None where this torch or this device has none."""
    import torch

    # It is Flash Attention 2, which wants Ampere or later.
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < (8, 0):
        return None
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    return varlen_attn
