"""Which device a task computes on, and with how many threads."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Device:
    """A torch device name (``cpu``, ``cuda:0``) and the threads for work on the CPU."""

    name: str
    threads: int


def task_device(wanted: str = "auto") -> Device:
    """Device of the running task.

    Parameters
    ----------
    wanted : str
        ``auto``: the GPU address that Spark gave the task, else a visible GPU, else the CPU. Any other
        value is taken as it is.

    Notes
    -----
    Threads are the CPUs of the task (``spark.task.cpus``): tasks run side by side, and each must keep
    to its own share.
    """
    threads, address = _spark_task()
    threads = threads or int(os.environ.get("OMP_NUM_THREADS") or 0) or os.cpu_count() or 1
    if wanted != "auto":
        return Device(wanted, threads)
    try:
        import torch
    except ImportError:
        return Device("cpu", threads)
    if not torch.cuda.is_available():
        return Device("cpu", threads)
    if address is None:
        # Tasks that Spark gave no GPU share what they see.
        address = os.getpid() % torch.cuda.device_count() if torch.cuda.device_count() > 1 else 0
    elif address >= torch.cuda.device_count():
        # The cluster manager narrowed CUDA_VISIBLE_DEVICES to this task: its GPU is number 0 here.
        address = 0
    return Device(f"cuda:{address}", threads)


def on_device(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """Copy of ``array`` on ``device``; to a GPU from pinned memory, without waiting."""
    import torch

    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


def _spark_task() -> tuple[int, int | None]:
    """CPUs and GPU address of the running task; (0, None) outside of one."""
    try:
        from pyspark import TaskContext
    except ImportError:
        return 0, None
    task = TaskContext.get()
    if task is None:
        return 0, None
    gpu = (task.resources() or {}).get("gpu")
    address = int(gpu.addresses[0]) if gpu is not None and gpu.addresses else None
    return int(task.cpus() or 0), address
