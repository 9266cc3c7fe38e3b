"""Which device a task takes: addresses of Spark, what CUDA shows, threads."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from fusionspark.represent import device
from fusionspark.represent.device import Device, on_device, task_device


@pytest.fixture
def machine(monkeypatch):
    """A machine whose GPUs have these names, in a task with this address."""
    torch = pytest.importorskip("torch")

    def make(uuids, visible=None, address=None):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(uuids))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(uuids))
        properties = [SimpleNamespace(uuid=uuid) for uuid in uuids]
        monkeypatch.setattr(torch.cuda, "get_device_properties", properties.__getitem__)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        gpu = SimpleNamespace(addresses=[address])
        task = SimpleNamespace(resources=lambda: {"gpu": gpu} if address else {}, cpus=lambda: 3)
        monkeypatch.setattr("pyspark.TaskContext.get", lambda: task)

    return make


A, B = "8f3a0000-1111-2222-3333-444444444444", "8f3b0000-1111-2222-3333-444444444444"


@pytest.mark.parametrize(
    ("visible", "address", "name"),
    [
        (None, "1", "cuda:1"),
        ("2,3", "2", "cuda:0"),
        ("2,3", "3", "cuda:1"),
        ("1, 0", "0", "cuda:1"),
        ("0,1", "5", "cuda:1"),
        (f"GPU-{A},GPU-{B}", f"GPU-{B}", "cuda:1"),
        ("GPU-8f3a,GPU-8f3b", f"GPU-{B}", "cuda:1"),
        (None, f"GPU-{B}", "cuda:1"),
        (f"GPU-{A},GPU-{B}", "1", "cuda:1"),
    ],
)
def test_a_task_computes_on_the_gpu_at_its_address(machine, visible, address, name):
    machine([A, B], visible, address)
    assert task_device() == Device(name, 3)


@pytest.mark.parametrize(
    ("visible", "address"), [("3", "3"), ("0", "3"), (None, "3"), ("MIG-1/2/0", "MIG-1/2/0")]
)
def test_the_only_gpu_is_number_0(machine, visible, address):
    machine([A], visible, address)
    assert task_device().name == "cuda:0"


def test_tasks_that_cannot_tell_their_gpu_share_what_they_see(machine, monkeypatch):
    for address in (None, "MIG-9"):
        machine([A, B], None, address)
        for process, name in ((10, "cuda:0"), (11, "cuda:1")):
            monkeypatch.setattr(device.os, "getpid", lambda process=process: process)
            assert task_device().name == name


def test_without_a_gpu_and_by_name(machine):
    machine([], None, "0")
    assert task_device() == Device("cpu", 3)
    assert task_device("mps") == Device("mps", 3)


@pytest.mark.parametrize(
    ("told", "threads"), [("4", 4), ("4,2", 4), (" 6 , 2", 6), ("", 12), ("many", 12), ("0", 12)]
)
def test_threads_outside_of_a_task(monkeypatch, told, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    monkeypatch.setattr(device.os, "cpu_count", lambda: 12)
    assert task_device("cpu") == Device("cpu", threads)


def test_arrays_go_to_any_device():
    torch = pytest.importorskip("torch")
    array = np.ones((2, 3), dtype=np.float32)
    assert on_device(array, torch.device("cpu")).tolist() == array.tolist()
    moved = on_device(array, torch.device("meta"))
    assert (moved.device.type, tuple(moved.shape)) == ("meta", (2, 3))
