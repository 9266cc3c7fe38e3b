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
    threads = threads or _named_threads() or os.cpu_count() or 1
    if wanted != "auto":
        return Device(wanted, threads)
    try:
        import torch
    except ImportError:
        return Device("cpu", threads)
    if not torch.cuda.is_available():
        return Device("cpu", threads)
    return Device(f"cuda:{_gpu_number(address, torch.cuda.device_count())}", threads)


def on_device(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """Copy of ``array`` on ``device``; to a GPU of CUDA from pinned memory, without waiting."""
    import torch

    tensor = torch.from_numpy(array)
    if device.type == "cpu":
        return tensor
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def _named_threads() -> int:
    """Threads that OMP_NUM_THREADS names, 0 if none; of a list for nested levels (``4,2``) the first."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() else 0


def _gpu_number(address: str | None, count: int) -> int:
    """Number that torch gives to the GPU at Spark's ``address``, where this process sees ``count`` GPUs.

    CUDA counts within CUDA_VISIBLE_DEVICES, a list of numbers or of names (``GPU-8f3a...``, ``MIG-...``),
    which may be cut short (CUDA C++ Programming Guide, "CUDA Environment Variables").
    """
    if address is not None:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[:count]
        for number, name in enumerate(part.strip() for part in visible):
            if name == address or (name and not name.isdecimal() and address.startswith(name)):
                return number
        if address.isdecimal():
            # All are visible; or the cluster manager showed the task its own only, which is number 0 here.
            return int(address) % count
        for number in range(count):
            if address == f"GPU-{_uuid(number)}":
                return number
    # Tasks that Spark gave no GPU, or one that cannot be told apart, share what they see.
    return os.getpid() % count


def _uuid(number: int) -> str:
    import torch

    # Absent in torch before 2.5.
    return str(getattr(torch.cuda.get_device_properties(number), "uuid", ""))


def _spark_task() -> tuple[int, str | None]:
    """CPUs and GPU address of the running task; (0, None) outside of one."""
    try:
        from pyspark import TaskContext
    except ImportError:
        return 0, None
    task = TaskContext.get()
    if task is None:
        return 0, None
    gpu = (task.resources() or {}).get("gpu")
    address = str(gpu.addresses[0]).strip() if gpu is not None and gpu.addresses else None
    return int(task.cpus() or 0), address
