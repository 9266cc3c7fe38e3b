"""From the vectors of tokens to one vector a text, on tokens that are stored without padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fusionspark.represent.batching import TokenBatch, runs

if TYPE_CHECKING:
    import torch


def pool(hidden: torch.Tensor, batch: TokenBatch, modes: Sequence[str]) -> torch.Tensor:
    """One vector a text.

    Parameters
    ----------
    hidden : Tensor, shape (sum of lengths, width)
        Last hidden state of the real tokens, text after text.
    batch : TokenBatch
        Lengths of the texts, and how many leading tokens are left out.
    modes : sequence of str
        Names of `fusionspark.represent.settings.POOLINGS`; several are concatenated. Their meaning is
        that of sentence-transformers' ``Pooling``.

    Returns
    -------
    Tensor, shape (n, width * len(modes)), float32
    """
    import torch

    parts: list[torch.Tensor] = []
    start = 0
    # Texts of one length lie together and reduce as one block, without any mask.
    for count, length in runs(batch.lengths):
        block = hidden[start : start + count * length].view(count, length, -1)
        start += count * length
        parts.append(torch.cat([_pool_block(block, mode, batch.skip) for mode in modes], dim=1))
    return torch.cat(parts) if len(parts) != 1 else parts[0]


def _pool_block(block: torch.Tensor, mode: str, skip: int) -> torch.Tensor:
    import torch

    if mode == "cls":
        return block[:, 0].float()
    if mode == "lasttoken":
        return block[:, -1].float()
    inner = block[:, min(skip, block.shape[1] - 1) :].float()
    if mode == "max":
        return inner.amax(dim=1)
    if mode == "mean":
        return inner.mean(dim=1)
    if mode == "mean_sqrt_len_tokens":
        return inner.sum(dim=1) / inner.shape[1] ** 0.5
    weights = torch.arange(1, inner.shape[1] + 1, device=inner.device, dtype=torch.float32)
    return (inner * weights[:, None]).sum(dim=1) / weights.sum()
