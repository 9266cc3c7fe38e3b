"""From texts and labels to a tuned model folder."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fusionspark.errors import ConfigError, DataContractError
from fusionspark.represent.device import task_device
from fusionspark.represent.model_source import FOLDS, TUNED, ModelSource, model_files, resolve_model
from fusionspark.represent.tune.objective import Objective, objective_of
from fusionspark.represent.tune.rows import ListRows, ParquetRows, Rows
from fusionspark.represent.tune.settings import TuneSettings
from fusionspark.represent.tune.training import Trainer

#: Copies of the weights that would still be the base model's.
_OTHER_FORMATS = (".onnx", ".npz", ".pth")


@dataclass(frozen=True)
class TuneTask:
    """All that a process of a tuning needs, as plain data that can be sent to it.

    Attributes
    ----------
    settings : TuneSettings
        As given.
    kind, target : str, dict
        See `objective_of`.
    rows, validation : str
        Folders of Parquet files, see `ParquetRows`.
    folder : str
        Where the tuned model goes; the state of an unfinished tuning lies beside it.
    fingerprint : str
        See `TuneSettings.fingerprint`.
    facts : dict
        What else the JSON in the folder is to say.
    """

    settings: TuneSettings
    kind: str
    target: dict[str, Any]
    rows: str
    validation: str
    folder: str
    fingerprint: str
    facts: dict[str, Any]


def run_process(task: TuneTask) -> dict[str, Any]:
    """Take part in a tuning that torchrun started; returns what `finished` returns."""
    import torch
    import torch.distributed as dist

    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    device = task_device()
    torch.set_num_threads(device.threads)
    if world > 1:
        dist.init_process_group("gloo" if device.name == "cpu" else "nccl")
    try:
        rows = (ParquetRows(task.rows), ParquetRows(task.validation))
        return _tune(task, rows, _print, device.name, rank=rank, world=world)
    finally:
        if world > 1:
            dist.destroy_process_group()


def _print(line: str) -> None:
    print(f"  tune: {line}", flush=True)


def tune_encoder(
    texts: Sequence[str],
    labels: Sequence[Any],
    folder: str | Path,
    settings: TuneSettings,
    *,
    validation: tuple[Sequence[str], Sequence[Any]] = ((), ()),
    kind: str = "classes",
    threads: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Adapt an encoder to a label, in this process.

    Parameters
    ----------
    texts, labels : sequences of equal length
        Training rows. Give no row that is to measure the result: the model will know it.
    folder : str or Path
        Receives a sentence-transformers folder that ``EngineSettings(model=str(folder))`` takes. Where it
        holds the result of the same call already, nothing is done; where the call was stopped before, it
        goes on.
    settings : TuneSettings
        ``max_minutes`` bounds the time.
    validation : pair of sequences, optional
        Rows that choose the epoch whose weights are kept.
    kind : {"classes", "number"}
        What the labels are.
    threads : int
        Threads of torch; 0 leaves them as they are.
    say : callable
        Takes progress lines.

    Returns
    -------
    dict
        The content of ``tuned.json``: ``base, base_digest, digest, rows, steps, seconds, scores``, ...

    Raises
    ------
    ConfigError
        The model cannot be tuned; ``folder`` holds something else.
    DataContractError
        No rows, or fewer than two classes.
    """
    import torch

    if threads:
        torch.set_num_threads(threads)
    values, held = [str(label) for label in labels], [str(label) for label in validation[1]]
    seen = hashlib.sha256(json.dumps([list(texts), values, list(validation[0]), held]).encode()).hexdigest()
    target = target_of(values, kind)
    task = TuneTask(
        settings, kind, target, "", "", str(folder),
        settings.fingerprint(resolve_model(settings.model).digest(), target.get("labels", []), seen), {},
    )  # fmt: skip
    found = finished(task)
    if found is not None:
        return found
    rows = (ListRows(list(texts), values), ListRows(list(validation[0]), held))
    return _tune(task, rows, say, task_device().name)


def target_of(values: Sequence[str], kind: str) -> dict[str, Any]:
    """What `objective_of` wants to know of the training labels."""
    if kind == "number":
        numbers = np.array([float(value) for value in values])
        return {"mean": float(numbers.mean()), "deviation": float(numbers.std())} if len(numbers) else {}
    return {"labels": sorted(set(values))}


def finished(task: TuneTask) -> dict[str, Any] | None:
    """The facts of a tuning that is done already; None where it is not.

    Raises
    ------
    ConfigError
        The folder holds something else.
    """
    folder = Path(task.folder)
    if not folder.exists():
        return None
    file = folder / TUNED
    facts: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if facts.get("fingerprint") == task.fingerprint:
        return facts
    raise ConfigError(
        f"folder {task.folder}",
        "holds something else than the result of this tuning",
        allowed="a folder that does not exist yet, or the same tuning's",
        remedy="name another folder, or remove this one",
    )


def join_folds(
    parts: Sequence[dict[str, Any]], folders: Sequence[str], task: TuneTask, column: str, seed: int
) -> dict[str, Any]:
    """Make one model folder of encoders that were tuned without the rows of one fold each.

    Parameters
    ----------
    parts : sequence of dict
        What the tuning without fold 0, 1, ... returned.
    folders : sequence of str
        Their folders, which are copied.
    task : TuneTask
        Of the whole: its folder, fingerprint and facts.
    column, seed : str, int
        What the folds are a hash of; see `fusionspark.fuse.folds.fold_of`.

    Returns
    -------
    dict
        The content of ``tuned.json``: what the parts agree on, their steps and seconds together, means of
        their scores, and ``parts`` with the figures of each.
    """
    draft = Path(f"{task.folder}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    names = [f"fold-{number}" for number in range(len(folders))]
    for name, folder in zip(names, folders, strict=True):
        shutil.copytree(folder, draft / name)
    told = {"folders": names, "column": column, "seed": seed}
    (draft / FOLDS).write_text(json.dumps(told), encoding="utf-8")
    shared = {key: value for key, value in parts[0].items() if all(part.get(key) == value for part in parts)}
    facts = {
        **shared,
        "digest": ModelSource(str(draft), "folds", draft).digest(),
        # Every row is seen by all but one.
        "rows": sum(part["rows"] for part in parts) // (len(parts) - 1),
        "steps": sum(part["steps"] for part in parts),
        "seconds": round(sum(part["seconds"] for part in parts), 1),
        "scores": {
            name: None if value is None else float(np.mean([part["scores"][name] for part in parts]))
            for name, value in parts[0]["scores"].items()
            if name != "best_step"
        },
        "parts": [{key: part[key] for key in ("rows", "steps", "epochs", "scores")} for part in parts],
        **task.facts,
        "fingerprint": task.fingerprint,
    }
    (draft / TUNED).write_text(json.dumps(facts, indent=1, ensure_ascii=False), encoding="utf-8")
    draft.rename(task.folder)
    return facts


def _tune(
    task: TuneTask,
    rows: tuple[Rows, Rows],
    say: Callable[[str], None],
    device: str,
    *,
    rank: int = 0,
    world: int = 1,
) -> dict[str, Any]:
    learnt, held_out = rows
    if not len(learnt):
        raise DataContractError("rows for tuning", "there are none", remedy="check the split and the label")
    objective: Objective = objective_of(task.kind, task.target)
    state = Path(f"{task.folder}.{task.fingerprint[:12]}.partial")
    trainer = Trainer(task.settings, objective, learnt, held_out, state, device, rank, world, say)
    started = time.monotonic()
    progress = trainer.run()
    facts: dict[str, Any] = {}
    if rank == 0:
        base = resolve_model(task.settings.model)
        source = _export(task, trainer, base)
        facts = {
            "base": task.settings.model,
            "base_digest": base.digest(),
            "digest": source.digest(),
            "method": task.settings.method,
            "kind": task.kind,
            **task.target,
            "rows": len(learnt),
            "validation_rows": len(held_out),
            "steps": progress["step"],
            "epochs": progress["epoch"],
            "starts": progress["starts"],
            "precision": progress["precision"],
            "mixing": task.settings.mixing,
            "processes": world,
            "seconds": round(max(progress["seconds"], time.monotonic() - started), 1),
            "scores": {
                "train_loss": progress["loss"],
                "validation_loss": progress["score"],
                "validation_loss_untuned": progress["untuned_score"],
                "best_step": progress["score_step"],
            },
            **task.facts,
            "fingerprint": task.fingerprint,
        }
        draft = Path(f"{task.folder}.draft")
        (draft / TUNED).write_text(json.dumps(facts, indent=1, ensure_ascii=False), encoding="utf-8")
        draft.rename(task.folder)
        trainer.state.clear()
    return facts


def _export(task: TuneTask, trainer: Trainer, base: ModelSource) -> ModelSource:
    """Write the model beside its place: the base folder's files with the learnt weights."""
    draft = Path(f"{task.folder}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    for file in model_files(base.path):
        if file.suffix in _OTHER_FORMATS:
            continue
        target = draft / file.relative_to(base.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    inner = trainer.encoder.folder.transformer.relative_to(base.path)
    trainer.encoder.save_network(draft / inner, task.settings.mixing)
    (draft / TUNED).unlink(missing_ok=True)
    return ModelSource(str(draft), "folder", draft)
