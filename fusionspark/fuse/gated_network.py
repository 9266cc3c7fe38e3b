"""The gated network: one encoder a modality, gates that weigh them, and its training loop. Knows no Spark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

#: (dense rows of float32, their classes), as often as asked for.
Batches = Callable[[int], Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]]


@dataclass(frozen=True)
class NetworkSpec:
    """Shape of the network and how it is trained.

    Parameters
    ----------
    spans : tuple of (start, end)
        Slice of each modality in the input; its last value tells, where it is not 0, that it is missing.
    classes : int
    encoder, hidden : int
        Units of each encoder, and of the ReLU layer after the gates.
    dropout : float
        Share of units, and of whole modalities, that a training step leaves out.
    """

    spans: tuple[tuple[int, int], ...]
    classes: int
    encoder: int = 64
    hidden: int = 64
    dropout: float = 0.1
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    batch: int = 128
    max_epochs: int = 60
    patience: int = 6
    seed: int = 42

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> NetworkSpec:
        """Build the spec from `to_dict`'s values."""
        return cls(**{**value, "spans": tuple((int(a), int(b)) for a, b in value["spans"])})


def build(spec: NetworkSpec) -> Any:
    """Return the network (a ``torch.nn.Module``): rows -> (logits, hidden units, gates).

    Each modality is encoded by itself and multiplied by a gate between 0 and 1 a unit, which sees all
    encodings and what is missing: the gated multimodal unit (Arevalo, Solorio, Montes-y-Gomez & Gonzalez,
    "Gated multimodal units for information fusion", 2017), with the gated encodings side by side instead of
    summed, so that the layer after them can relate one to another. A missing modality is encoded as zeros.
    """
    import torch
    from torch import nn

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            widths = [end - start - 1 for start, end in spec.spans]
            self.encoders = nn.ModuleList(nn.Linear(max(1, width), spec.encoder) for width in widths)
            together = len(widths) * spec.encoder
            self.gates = nn.Linear(together + len(widths), together)
            self.hidden = nn.Linear(together, spec.hidden)
            self.answer = nn.Linear(spec.hidden, spec.classes)

        def forward(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            encoded, present = [], []
            for encoder, (start, end) in zip(self.encoders, spec.spans, strict=True):
                here = (rows[:, end - 1 : end] == 0).float()
                # Only a modality that is there may be dropped, and then it counts as missing.
                if self.training and len(spec.spans) > 1:
                    here = here * (torch.rand_like(here) >= spec.dropout).float()
                # Blocks come with unit norm; the encoders want unit values.
                values = rows[:, start : end - 1] * max(1, end - start - 1) ** 0.5
                values = values if values.shape[1] else torch.zeros_like(here)
                encoded.append(torch.tanh(encoder(values)) * here)
                present.append(here)
            joined = torch.cat(encoded, dim=1)
            gates = torch.sigmoid(self.gates(torch.cat([joined, *present], dim=1)))
            gated = nn.functional.dropout(gates * joined, spec.dropout, self.training)
            hidden = torch.relu(self.hidden(gated))
            kept = nn.functional.dropout(hidden, spec.dropout, self.training)
            return self.answer(kept), hidden, gates

    torch.manual_seed(spec.seed)
    return Gated()


def train(spec: NetworkSpec, batches: Batches, held_out: Batches, steps: int) -> dict[str, Any]:
    """Train with Adam until the held-out loss has not fallen for ``patience`` epochs; keep the best epoch.

    Runs alone, or as one of several processes that have joined a torch.distributed group: each brings its own
    rows, gradients and losses are summed over all, and all take the same steps.

    Parameters
    ----------
    batches, held_out : callable
        Epoch -> batches of this process.
    steps : int
        Steps of an epoch, the same for all processes; one that runs out of batches adds nothing.

    Returns
    -------
    dict
        ``weights`` (safetensors bytes), ``epochs``, ``best_epoch`` and ``loss`` of the held-out rows.
    """
    import torch
    from safetensors.torch import save

    network = build(spec)
    adam = torch.optim.Adam(network.parameters(), lr=spec.learning_rate, weight_decay=spec.weight_decay)
    rank = torch.distributed.get_rank() if _grouped() else 0
    # Dropout differs between processes, as their rows do; the first weights are the same.
    torch.manual_seed(spec.seed * 1000 + rank)
    best, best_loss, best_epoch, epoch = save(network.state_dict()), float("inf"), 0, 0
    for epoch in range(1, spec.max_epochs + 1):
        network.train()
        mine = batches(epoch)
        for _ in range(steps):
            found = next(mine, None)
            adam.zero_grad()
            count = torch.zeros(1)
            if found is not None and len(found[1]):
                logits, _, _ = network(torch.from_numpy(found[0]))
                torch.nn.functional.cross_entropy(
                    logits, torch.from_numpy(found[1]), reduction="sum"
                ).backward()
                count += len(found[1])
            _share_gradients(network, count)
            adam.step()
        loss = _loss(network, held_out(0))
        if loss < best_loss - 1e-4:
            best, best_loss, best_epoch = save(network.state_dict()), loss, epoch
        elif epoch - best_epoch >= spec.patience:
            break
    return {"weights": best, "epochs": epoch, "best_epoch": best_epoch, "loss": best_loss}


def _grouped() -> bool:
    import torch

    return bool(torch.distributed.is_available() and torch.distributed.is_initialized())


def _share_gradients(network: Any, count: Any) -> None:
    """Make each gradient the mean over the rows of all processes."""
    import torch

    parameters = list(network.parameters())
    flat = torch.cat(
        [(p.grad if p.grad is not None else torch.zeros_like(p)).reshape(-1) for p in parameters] + [count]
    )
    if _grouped():
        torch.distributed.all_reduce(flat)
    flat = flat[:-1] / flat[-1].clamp(min=1.0)
    at = 0
    for p in parameters:
        p.grad = flat[at : at + p.numel()].reshape(p.shape)
        at += p.numel()


def _loss(network: Any, batches: Iterator[tuple[Any, Any]]) -> float:
    """Mean cross-entropy of the held-out rows of all processes."""
    import torch

    total = torch.zeros(2, dtype=torch.float64)
    network.eval()
    with torch.no_grad():
        for rows, classes in batches:
            logits, _, _ = network(torch.from_numpy(rows))
            lost = torch.nn.functional.cross_entropy(logits, torch.from_numpy(classes), reduction="sum")
            total += torch.tensor([float(lost), len(classes)], dtype=torch.float64)
    if _grouped():
        torch.distributed.all_reduce(total)
    return float(total[0] / total[1].clamp(min=1.0))


_LOADED: dict[str, Any] = {}


def load(spec: NetworkSpec, weights: bytes) -> Any:
    """Return the network with these weights, ready to answer; one is kept a process."""
    import hashlib

    from safetensors.torch import load as read

    key = hashlib.sha256(weights).hexdigest()
    if key not in _LOADED:
        network = build(spec)
        network.load_state_dict(read(weights))
        _LOADED.clear()
        _LOADED[key] = network.eval()
    return _LOADED[key]


def answer(network: Any, rows: Any) -> tuple[Any, Any]:
    """Return (probabilities, hidden units) of rows, as arrays of float32.

    ``rows`` is dense or a scipy CSR matrix, of which a thousand rows at a time become dense.
    """
    import torch

    probabilities, hidden = [], []
    with torch.no_grad():
        for start in range(0, rows.shape[0], 1024):
            part = rows[start : start + 1024]
            dense = part if isinstance(part, np.ndarray) else part.toarray()
            logits, units, _ = network(torch.from_numpy(np.ascontiguousarray(dense, dtype=np.float32)))
            probabilities.append(torch.softmax(logits, dim=1).numpy())
            hidden.append(units.numpy())
    return np.vstack(probabilities), np.vstack(hidden)


@dataclass(frozen=True)
class NetworkSays:
    """The network as a function; it is loaded once a process.

    Parameters
    ----------
    weights : bytes
        A safetensors file.
    """

    spec: NetworkSpec
    weights: bytes

    def __call__(self, rows: Any) -> npt.NDArray[np.float64]:
        """Probabilities of each row (dense or CSR), then its hidden units."""
        import torch

        # Spark runs as many tasks as there are cores.
        torch.set_num_threads(1)
        return np.hstack(answer(load(self.spec, self.weights), rows)).astype(np.float64)
