"""An encoder that can learn: the network of a model folder, LoRA beside its layers, and a linear head."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionspark.errors import ConfigError, MissingExtraError
from fusionspark.represent.batching import pack
from fusionspark.represent.encoders import apply_dense, load_dense, load_network, load_weights
from fusionspark.represent.model_source import ModelSource
from fusionspark.represent.pooling import pool
from fusionspark.represent.settings import FolderSettings, max_positions, read_settings
from fusionspark.represent.tokenizing import load_vocabulary
from fusionspark.represent.tune.settings import TuneSettings, seed_of

if TYPE_CHECKING:
    import torch


class TunableEncoder:
    """Texts to the vectors that `represent` would make of them, with gradients, and to scores of the label.

    Parameters
    ----------
    source : ModelSource
        A folder with a transformers network.
    settings : TuneSettings
        Method, rank and token limit.
    outputs : int
        Scores of a text: one a class, or one for a numeric label.
    device : str
        Where to compute.

    Raises
    ------
    ConfigError
        The model is none that can be tuned.
    MissingExtraError
        transformers or peft is not installed.
    """

    def __init__(self, source: ModelSource, settings: TuneSettings, outputs: int, device: str) -> None:
        if source.kind != "folder":
            raise ConfigError(
                f"model {source.spec!r}",
                f"is of kind {source.kind!r}, which has no network that could learn",
                allowed="a sentence-transformers or transformers folder",
            )
        import torch

        self.folder = read_settings(source.path)
        self.device = torch.device(device)
        limit = min(settings.max_tokens or self.folder.max_tokens, self.folder.max_tokens)
        limit = min(limit, max_positions(self.folder) or limit)
        vocabulary = load_vocabulary(self.folder.transformer, limit, self.folder.lower_case)
        self.vocabulary = vocabulary.with_prompt(self.folder.default_prompt, self.folder.include_prompt)
        self.network = _network(self.folder, settings).to(self.device)
        self.dense = load_dense(self.folder, device)
        self.pad_id = int(self.folder.config.get("pad_token_id") or 0)
        self.outputs = outputs
        width = self.embed(["a"]).shape[1]
        self.head = torch.nn.Linear(width, outputs).to(self.device)

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, as far as the limit leaves them."""
        return [min(len(ids), self.vocabulary.room) for ids in self.vocabulary.contents(texts)]

    def embed(self, texts: Sequence[str], dtype: torch.dtype | None = None) -> torch.Tensor:
        """Vectors of ``texts``, shape (n, d), float32; the products in ``dtype`` where it is given."""
        import torch

        ids = [self.vocabulary.wrap(content) for content in self.vocabulary.contents(texts)]
        batch = pack(ids, self.vocabulary.skip)
        padded, mask = batch.padded(self.pad_id)
        real = torch.from_numpy(mask).to(self.device)
        with torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
            hidden = self.network(
                input_ids=torch.from_numpy(padded).to(self.device), attention_mask=real.long()
            ).last_hidden_state
        vectors = apply_dense(pool(hidden[real], batch, self.folder.pooling), self.dense)
        return torch.nn.functional.normalize(vectors, dim=1) if self.folder.normalize else vectors

    def scores(self, texts: Sequence[str], dtype: torch.dtype | None = None) -> torch.Tensor:
        """Scores of ``texts``, shape (n, outputs)."""
        scores: torch.Tensor = self.head(self.embed(texts, dtype))
        return scores

    def start_head(self, weight: np.ndarray, bias: np.ndarray) -> None:
        """Give the head the weights of a linear model; shapes (outputs, d) and (outputs,)."""
        import torch

        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(weight))
            self.head.bias.copy_(torch.from_numpy(bias))

    def parameters(self) -> dict[str, torch.Tensor]:
        """What is learnt, by name, in a fixed order."""
        found = {f"network.{k}": v for k, v in self.network.named_parameters() if v.requires_grad}
        return {**found, **{f"head.{k}": v for k, v in self.head.named_parameters()}}

    def train(self, mode: bool) -> None:
        """Switch dropout on or off."""
        self.network.train(mode)

    def save_network(self, folder: Path, mixing: float) -> None:
        """Write the network's weights, LoRA merged into them, over those in ``folder``.

        ``mixing`` is the share of the way from the base model's weights that is gone.

        Names (in transformers' spelling of today) and types stay those of the base model's file, so whatever
        reads that reads this.

        Raises
        ------
        ConfigError
            The file names its weights in another way than the network does.
        """
        import torch
        from safetensors.torch import save_file

        network = self.network
        if hasattr(network, "merge_and_unload"):
            network = network.merge_and_unload()
        learnt = network.state_dict()
        weights = dict(load_weights(self.folder.transformer))
        prefix = f"{network.base_model_prefix}."
        known = {name: learnt.get(name, learnt.get(name.removeprefix(prefix))) for name in weights}
        if missing := set(learnt) - {n for name in weights for n in (name, name.removeprefix(prefix))}:
            raise ConfigError(
                f"model folder {self.folder.transformer}",
                f"its file has no {sorted(missing)[0]!r}, which the network learnt",
                remedy="load the model once with AutoModel and save it again with save_pretrained",
            )
        for name, new in known.items():
            if new is not None:
                base = weights[name]
                mixed = torch.lerp(base.float(), new.detach().cpu().float(), mixing)
                weights[name] = mixed.to(base.dtype)
        for old in folder.glob("*.safetensors*"):
            old.unlink()
        whole = {name: weight.contiguous().clone() for name, weight in weights.items()}
        save_file(whole, folder / "model.safetensors", metadata={"format": "pt"})


def _network(folder: FolderSettings, settings: TuneSettings) -> Any:
    import torch

    torch.manual_seed(seed_of(settings.seed, "weights") % 2**63)
    network = load_network(folder, torch.float32)
    # A pooling layer of BERT that no sentence vector goes through would only wait for gradients.
    if hasattr(network, "pooler") and network.pooler is not None:
        network.pooler.requires_grad_(False)
    if settings.method == "all":
        return network
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise MissingExtraError("peft", "tune", "tune.method 'lora'") from error
    linear = {
        name.rsplit(".", 1)[-1]
        for name, part in network.named_modules()
        if isinstance(part, torch.nn.Linear) and "pooler" not in name
    }
    config = LoraConfig(
        r=settings.rank, lora_alpha=2 * settings.rank, lora_dropout=0.05, target_modules=sorted(linear),
        exclude_modules=".*pooler.*",
    )  # fmt: skip
    return get_peft_model(network, config)
