"""The state of a tuning on disk: safetensors and JSON, written whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass
class Progress:
    """How far a tuning is.

    Attributes
    ----------
    step, epoch, batch : int
        Steps done; epoch, and batches of it, that are behind.
    seconds : float
        Time spent, over all starts.
    precision : str
        What ``auto`` decided.
    score : float or None
        Best loss a validation row so far, and the step that it is of.
    untuned_score : float or None
        The same before the first step.
    stale : int
        Epochs since the best score.
    done : bool
        Nothing is left to learn.
    loss : float
        Moving average of the loss a training row.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    precision: str = ""
    score: float | None = None
    score_step: int = 0
    untuned_score: float | None = None
    stale: int = 0
    done: bool = False
    loss: float = 0.0
    starts: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """A folder with the newest state and the best weights of one tuning."""

    folder: Path

    def save(self, progress: Progress, tensors: Mapping[str, torch.Tensor]) -> None:
        """Write a state beside the last one, then let it take its place."""
        from safetensors.torch import save_file

        draft = self.folder / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, draft / "state.safetensors")
        (draft / "progress.json").write_text(json.dumps(asdict(progress)), encoding="utf-8")
        place = self.folder / f"step-{progress.step:08d}-{progress.epoch:04d}-{int(progress.done)}"
        shutil.rmtree(place, ignore_errors=True)
        draft.rename(place)
        for old in self._states()[:-1]:
            shutil.rmtree(old)

    def load(self) -> tuple[Progress, dict[str, torch.Tensor]] | None:
        """The newest state, or None where there is none."""
        from safetensors.torch import load_file

        states = self._states()
        if not states:
            return None
        facts: dict[str, Any] = json.loads((states[-1] / "progress.json").read_text(encoding="utf-8"))
        return Progress(**facts), load_file(str(states[-1] / "state.safetensors"))

    def save_best(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Keep the weights of the best epoch so far."""
        from safetensors.torch import save_file

        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / "best.part"
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, draft)
        draft.replace(self.folder / "best.safetensors")

    def load_best(self) -> dict[str, torch.Tensor] | None:
        """Weights of the best epoch; None where no epoch was better than the untouched model."""
        from safetensors.torch import load_file

        file = self.folder / "best.safetensors"
        return load_file(str(file)) if file.is_file() else None

    def clear(self) -> None:
        """Delete everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _states(self) -> list[Path]:
        return sorted(self.folder.glob("step-*")) if self.folder.is_dir() else []
