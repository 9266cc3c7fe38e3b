"""The training loop, as each process of one or several runs it.

All processes hold the same weights and go through the same batches; of each batch a process takes every
n-th text, and the gradients are added up before a step. So the number of processes changes the time and,
dropout apart, not the result.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionspark.represent.model_source import resolve_model
from fusionspark.represent.tune.checkpoint import Checkpoint, Progress
from fusionspark.represent.tune.network import TunableEncoder
from fusionspark.represent.tune.objective import Objective, start_head
from fusionspark.represent.tune.rows import Batch, Rows, batch_count, batches
from fusionspark.represent.tune.settings import LEARNING_RATE, TuneSettings, seed_of

if TYPE_CHECKING:
    import torch

#: Share of the steps in which the step size rises from zero.
WARM_UP = 0.1
#: Largest norm of a step's gradient.
CLIP = 1.0
#: Step size of the head beside the usual one of the network: a single layer that starts near its optimum.
HEAD_RATE = 5e-4
#: Seconds between two progress lines.
SAY_EVERY = 10.0
#: How much faster bfloat16 has to be, to be worth its rounding.
WORTH = 1.15


@dataclass
class Trainer:
    """One process of a tuning.

    Parameters
    ----------
    settings : TuneSettings
        As given.
    objective : Classes or Number
        What is learnt.
    rows, validation : Rows
        The same ones in every process; ``validation`` may be empty: the last weights are then the result.
    checkpoint : Path
        Folder that every process sees.
    device : str
        Of this process.
    rank, world : int
        Number of this process, and how many there are.
    say : callable
        Takes progress lines; called by the first process only.
    """

    settings: TuneSettings
    objective: Objective
    rows: Rows
    validation: Rows
    checkpoint: Path
    device: str = "cpu"
    rank: int = 0
    world: int = 1
    say: Callable[[str], None] = lambda line: None

    def run(self) -> dict[str, Any]:
        """Train from the newest state to the end; returns the `Progress` as a dict.

        The weights that are the result are in ``self.encoder`` afterwards.
        """
        import torch

        started = time.monotonic()
        self.state = Checkpoint(self.checkpoint)
        self.encoder = TunableEncoder(
            resolve_model(self.settings.model), self.settings, self.objective.outputs, self.device
        )
        self.weights = self.encoder.parameters()
        head = [p for name, p in self.weights.items() if name.startswith("head.")]
        body = [p for name, p in self.weights.items() if not name.startswith("head.")]
        rate = self.settings.step_size
        head_rate = HEAD_RATE * rate / LEARNING_RATE[self.settings.method]
        groups = [{"params": body, "lr": rate}, {"params": head, "lr": head_rate, "weight_decay": 0.0}]
        # One pass over each weight instead of a dozen: of a step of 1.5 s it took .18, and takes .02.
        self.optimizer = torch.optim.AdamW(groups, lr=rate, weight_decay=0.01, fused=True)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self._restore()
        self.progress.starts += 1
        # Time of this start counts from here, that of earlier ones lies in the state.
        self.began = started - self.progress.seconds
        self.said = 0.0
        if not self.progress.step and not self.progress.precision:
            self._prepare()
        while not self.progress.done:
            self._epoch()
        best = self.state.load_best()
        if best is not None:
            self._set(best)
        return vars(self.progress)

    @property
    def dtype(self) -> torch.dtype | None:
        """Type of the products inside the network; None is that of the weights."""
        import torch

        return torch.bfloat16 if self.progress.precision == "bfloat16" else None

    def _restore(self) -> None:
        import torch

        found = self.state.load()
        if found is None:
            self.progress = Progress()
            return
        self.progress, tensors = found
        self._set(tensors)
        # Written only once a step was done, so that every weight has its moments.
        if self.progress.step:
            for name, weight in self.weights.items():
                self.optimizer.state[weight] = {
                    "step": torch.tensor(float(self.progress.step), device=weight.device),
                    "exp_avg": tensors[f"mean {name}"].to(weight.device),
                    "exp_avg_sq": tensors[f"square {name}"].to(weight.device),
                }
        if self.rank == 0:
            self.say(f"going on after step {self.progress.step}")

    def _set(self, tensors: dict[str, torch.Tensor]) -> None:
        import torch

        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(tensors[name])

    def _save(self) -> None:
        if self.rank:
            return
        self.progress.seconds = time.monotonic() - self.began
        tensors = dict(self.weights)
        for name, weight in self.weights.items():
            moments = self.optimizer.state.get(weight)
            if moments:
                tensors |= {f"mean {name}": moments["exp_avg"], f"square {name}": moments["exp_avg_sq"]}
        self.state.save(self.progress, tensors)

    def _prepare(self) -> None:
        """Choose the precision, start the head and score the untouched model."""
        first: Batch = ([], [])
        for texts, values in self.rows.read(seed_of(self.settings.seed, "head")):
            first = (first[0] + texts, first[1] + values)
            if len(first[0]) >= self.settings.batch_size * 50:
                break
        chosen = self.settings.precision
        if chosen == "auto":
            # One process decides, since all must compute alike.
            sample = first[0][: self.settings.batch_size]
            faster = self._sum([float(self._bfloat16_pays(sample)) if self.rank == 0 else 0.0])[0]
            chosen = "bfloat16" if faster else "float32"
        self.progress.precision = chosen
        start_head(self.encoder, self.objective, first, self.dtype)
        self.progress.untuned_score = self._score()
        if self.rank == 0:
            self.say(
                f"{len(self.rows)} rows, {sum(w.numel() for w in self.weights.values())} weights to learn, "
                f"{chosen}{self._score_text(self.progress.untuned_score)} before"
            )

    def _bfloat16_pays(self, texts: list[str]) -> bool:
        import torch

        spent: dict[torch.dtype | None, float] = {}
        self.encoder.train(False)
        for dtype in (None, torch.bfloat16, None, torch.bfloat16):
            started = time.monotonic()
            self.encoder.scores(texts, dtype).sum().backward()
            # The second look at each counts: the first one also builds kernels.
            spent[dtype] = time.monotonic() - started
        self.optimizer.zero_grad()
        return spent[None] > WORTH * spent[torch.bfloat16]

    def _epoch(self) -> None:
        progress, settings = self.progress, self.settings
        epoch = progress.epoch
        measure = self.encoder.lengths
        for i, batch in enumerate(batches(self.rows, settings.batch_size, settings.seed, epoch, measure)):
            if i < progress.batch:
                continue
            over = self._step(batch)
            progress.step, progress.batch = progress.step + 1, i + 1
            if over >= 1.0:
                break
            if progress.step % settings.checkpoint_steps == 0:
                self._save()
        score = self._score()
        progress.epoch, progress.batch = epoch + 1, 0
        if score is not None:
            if progress.score is None or score < progress.score:
                progress.score, progress.score_step, progress.stale = score, progress.step, 0
                if self.rank == 0:
                    self.state.save_best(self.weights)
            else:
                progress.stale += 1
        if self.rank == 0:
            self.say(f"epoch {progress.epoch}: step {progress.step}{self._score_text(score)}")
        over = self._sum([self._share() if self.rank == 0 else 0.0])[0]
        progress.done = over >= 1.0 or progress.stale >= settings.patience
        self._save()
        self._sum([0.0])

    @staticmethod
    def _score_text(score: float | None) -> str:
        return "" if score is None else f", validation loss {score:.4f}"

    @property
    def _planned(self) -> int:
        planned = self.settings.epochs * batch_count(len(self.rows), self.settings.batch_size)
        return max(1, min(planned, self.settings.max_steps or planned))

    def _share(self) -> float:
        """How much of the training is done: by steps, or by the clock where that is ahead."""
        share = self.progress.step / self._planned
        if self.settings.max_minutes:
            share = max(share, (time.monotonic() - self.began) / (60 * self.settings.max_minutes))
        return share

    def _step(self, batch: Batch) -> float:
        """One step over all processes; returns how much of the training is done after it."""
        import torch

        progress = self.progress
        texts, values = batch[0][self.rank :: self.world], batch[1][self.rank :: self.world]
        self.encoder.train(True)
        torch.manual_seed(seed_of(self.settings.seed, "dropout", progress.step, self.rank) % 2**63)
        total = 0.0
        if texts:
            targets = torch.from_numpy(self.objective.targets(values)).to(self.encoder.device)
            loss = self.objective.loss(self.encoder.scores(texts, self.dtype), targets) / len(batch[0])
            loss.backward()
            total = float(loss.detach())
        # The first process's clock is everybody's: all must stop at the same step.
        share = self._share() if self.rank == 0 else 0.0
        total, share = self._add_gradients([total, share])
        torch.nn.utils.clip_grad_norm_(list(self.weights.values()), CLIP)
        factor = min(1.0, (share + 1 / self._planned) / WARM_UP) * max(0.0, 1.0 - share)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        self.optimizer.step()
        self.optimizer.zero_grad()
        progress.loss = total if not progress.step else 0.95 * progress.loss + 0.05 * total
        spent = time.monotonic() - self.began
        if self.rank == 0 and spent - self.said >= SAY_EVERY and share:
            self.said = spent
            self.say(
                f"step {progress.step + 1} of {self._planned}, loss {progress.loss:.4f}, {spent:.0f} s, "
                f"about {spent * (1 - share) / share:.0f} s left"
            )
        return share if self.settings.max_minutes else (progress.step + 1) / self._planned

    def _add_gradients(self, figures: list[float]) -> list[float]:
        """Add up the gradients of all processes, and ``figures`` on the same way."""
        if self.world == 1:
            return figures
        import torch
        import torch.distributed as dist

        weights = list(self.weights.values())
        parts = [torch.zeros_like(w) if w.grad is None else w.grad for w in weights]
        flat = torch.cat([p.flatten().float() for p in parts] + [parts[0].new_tensor(figures)])
        dist.all_reduce(flat)
        at = 0
        for weight in weights:
            weight.grad = flat[at : at + weight.numel()].view_as(weight).clone()
            at += weight.numel()
        return [float(value) for value in flat[at:]]

    def _sum(self, figures: list[float]) -> list[float]:
        if self.world == 1:
            return figures
        import torch
        import torch.distributed as dist

        flat = torch.tensor(figures, dtype=torch.float64, device=self.device)
        dist.all_reduce(flat)
        return [float(value) for value in flat]

    def _score(self) -> float | None:
        """Least mean loss of the validation rows, each process a share of them; None without any.

        Least over what `objective` tries: for classes, over temperatures of the scores.
        """
        import torch

        totals, rows = np.zeros(self.objective.tries), 0
        self.encoder.train(False)
        with torch.inference_mode():
            for texts, values in batches(self.validation, 32, 0, 0, self.encoder.lengths):
                mine, own = texts[self.rank :: self.world], values[self.rank :: self.world]
                if not mine:
                    continue
                targets = torch.from_numpy(self.objective.targets(own)).to(self.encoder.device)
                totals += self.objective.losses(self.encoder.scores(mine, self.dtype), targets)
                rows += len(mine)
        *losses, count = self._sum([*totals, float(rows)])
        return min(losses) / count if count else None
