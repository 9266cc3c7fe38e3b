"""What a user may choose about tuning."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from fusionspark.errors import ConfigError

METHODS = ("lora", "all")
PRECISIONS = ("auto", "float32", "bfloat16")
#: Learning rates that suit the two methods: LoRA's small matrices start at zero and need larger steps
#: (Hu et al. 2021, "LoRA: Low-rank adaptation of large language models"; Devlin et al. 2019, appendix A.3).
LEARNING_RATE = {"lora": 5e-4, "all": 5e-5}


@dataclass(frozen=True)
class TuneSettings:
    """How an encoder is tuned.

    Attributes
    ----------
    model : str
        A sentence-transformers or transformers folder, in any form that `resolve_model` takes.
    method : {"lora", "all"}
        Low-rank matrices beside the linear layers, merged into the weights at the end, or all weights.
    rank : int
        Rank of the matrices of ``lora``.
    epochs : int
        Most passes over the training rows.
    batch_size : int
        Texts of one step, over all processes together.
    learning_rate : float
        Largest step size; 0 takes that of `LEARNING_RATE`.
    max_tokens : int
        Texts are cut here for training; 0 is the model's own limit.
    max_steps : int
        Most steps; 0 sets no limit.
    max_minutes : float
        Most minutes of training, evaluation included; 0 sets no limit. The step size then falls with the
        clock as well, so the result depends on the machine; with the other limits it does not.
    patience : int
        Epochs without a better score on the validation rows after which training ends.
    precision : {"auto", "float32", "bfloat16"}
        Of the products inside the network; weights stay float32. ``auto`` times both on the first batch.
    mixing : float
        Where the result lies between the base model's weights (0) and the tuned ones (1). Half way the gap
        between rows of training and new ones is narrower, and new ones are answered a little less well
        (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").
    checkpoint_steps : int
        Steps after which the state is written, for a start after a crash.
    seed : int
        Order of rows, dropout and the matrices of LoRA derive from it.
    """

    model: str
    method: str = "lora"
    rank: int = 16
    epochs: int = 3
    batch_size: int = 32
    learning_rate: float = 0.0
    max_tokens: int = 128
    max_steps: int = 0
    max_minutes: float = 0.0
    patience: int = 2
    precision: str = "auto"
    mixing: float = 1.0
    checkpoint_steps: int = 50
    seed: int = 42

    def __post_init__(self) -> None:
        for name, allowed in (("method", METHODS), ("precision", PRECISIONS)):
            if getattr(self, name) not in allowed:
                raise ConfigError(f"tune.{name}", f"is {getattr(self, name)!r}", allowed=", ".join(allowed))
        for name in ("rank", "epochs", "batch_size", "patience", "checkpoint_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"tune.{name}", f"is {getattr(self, name)}", allowed="1 or more")
        if not 0 < self.mixing <= 1:
            raise ConfigError("tune.mixing", f"is {self.mixing}", allowed="above 0, at most 1")
        for name in ("learning_rate", "max_tokens", "max_steps", "max_minutes"):
            if getattr(self, name) < 0:
                raise ConfigError(f"tune.{name}", f"is {getattr(self, name)}", allowed="0 or more")

    @property
    def step_size(self) -> float:
        """The learning rate, with the method's own where none is given."""
        return self.learning_rate or LEARNING_RATE[self.method]

    def fingerprint(self, base_digest: str, labels: list[str], rows: str) -> str:
        """Sha-256 (hex) of all that makes the tuned model: a start with the same one goes on with the last.

        Parameters
        ----------
        base_digest : str
            Digest of the model that is tuned; where it lies does not matter.
        labels : list of str
            Classes in order; empty for a numeric label.
        rows : str
            What tells one set of training and validation rows from another.
        """
        own = {k: v for k, v in asdict(self).items() if k not in ("model", "checkpoint_steps")}
        return hashlib.sha256(json.dumps([own, base_digest, labels, rows]).encode()).hexdigest()


def seed_of(*names: object) -> int:
    """A seed for one random choice, from the seed of the run and the names of the choice.

    >>> seed_of(42, "order", 0) == seed_of(42, "order", 0) != seed_of(42, "order", 1)
    True
    """
    digest = hashlib.sha256("\0".join(map(str, names)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
