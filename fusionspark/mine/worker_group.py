"""Sums over the tasks of one barrier stage, without a round trip through the driver each time.

`BarrierTaskContext.allGather` polls once a second, so it is called once, for the addresses. After that the
tasks are a binary tree of plain connections (`multiprocessing.connection`, which proves with a secret key
that the other side is one of us), over which arrays go up to be added and come down added. No object is
unpickled: only bytes of known type and shape travel.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class WorkerGroup:
    """A group of one: what the methods mean, and all that a single task needs."""

    rank = 0
    size = 1

    def total(self, array: Array) -> Array:
        """Return the sum of ``array`` over all tasks; float64 or int64, of one shape everywhere."""
        return array

    def largest(self, array: Array) -> Array:
        """Return the largest of each element over all tasks."""
        return array

    def gather(self, rows: Array) -> Array:
        """Return the rows of all tasks, one below the other, in no order that means anything."""
        return rows

    def from_first(self, array: Array) -> Array:
        """Return the array of rank 0 to all; it must have the same shape and type everywhere."""
        return array

    def close(self) -> None:
        """Close the connections."""


class TreeGroup(WorkerGroup):
    """The tasks of a barrier stage as a binary tree; rank r has the parent (r - 1) / 2.

    Parameters
    ----------
    rank, size : int
    host : str
        Address of this task's machine that the others reach.
    all_gather : callable
        ``BarrierTaskContext.allGather``. It runs in a thread of its own from now on, so that its second
        passes while the rows come in; the first collective operation waits for it.
    """

    def __init__(self, rank: int, size: int, host: str, all_gather: Callable[[str], list[str]]) -> None:
        self.rank, self.size = rank, size
        self._children = [child for child in (2 * rank + 1, 2 * rank + 2) if child < size]
        self._up: Connection | None = None
        self._down: list[Connection] = []
        self._key = secrets.token_hex(16)
        self._listener = Listener((host, 0), authkey=self._key.encode()) if self._children else None
        port = self._listener.address[1] if self._listener else 0  # type: ignore[index]
        self._said: list[str] = []
        self._failed: BaseException | None = None
        message = json.dumps({"host": host, "port": port, "key": self._key})

        def ask() -> None:
            try:
                self._said = all_gather(message)
            except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
                self._failed = error

        self._asking = threading.Thread(target=ask, daemon=True)
        self._asking.start()

    def _connect(self) -> None:
        if self._up is not None or self._down:
            return
        self._asking.join()
        if self._failed is not None:
            raise self._failed
        if self.rank:
            parent = json.loads(self._said[(self.rank - 1) // 2])
            self._up = Client((parent["host"], parent["port"]), authkey=parent["key"].encode())
        if self._listener:
            self._down = [self._listener.accept() for _ in self._children]
            self._listener.close()

    def _reduce(self, array: Array, join: Callable[[Array, Array], Array]) -> Array:
        self._connect()
        for child in self._down:
            array = join(array, _received(child, array))
        return self._spread(array)

    def _spread(self, array: Array) -> Array:
        if self._up is not None:
            self._up.send_bytes(array.tobytes())
            array = _received(self._up, array)
        for child in self._down:
            child.send_bytes(array.tobytes())
        return array

    def total(self, array: Array) -> Array:
        """See `WorkerGroup`."""
        return self._reduce(array, np.add)

    def largest(self, array: Array) -> Array:
        """See `WorkerGroup`."""
        return self._reduce(array, np.maximum)

    def gather(self, rows: Array) -> Array:
        """See `WorkerGroup`."""
        self._connect()
        # What comes from below may have any number of rows; its width is known.
        below = [np.frombuffer(child.recv_bytes(), rows.dtype) for child in self._down]
        rows = np.concatenate([rows, *[part.reshape(-1, *rows.shape[1:]) for part in below]])
        if self._up is not None:
            self._up.send_bytes(rows.tobytes())
            rows = np.frombuffer(self._up.recv_bytes(), rows.dtype).reshape(-1, *rows.shape[1:])
        for child in self._down:
            child.send_bytes(rows.tobytes())
        return rows

    def from_first(self, array: Array) -> Array:
        """See `WorkerGroup`."""
        self._connect()
        if self._up is not None:
            array = _received(self._up, array)
        for child in self._down:
            child.send_bytes(array.tobytes())
        return array

    def close(self) -> None:
        """See `WorkerGroup`."""
        for connection in (self._up, *self._down):
            if connection is not None:
                connection.close()


def _received(connection: Connection, like: Array) -> Array:
    """Return the array that comes in, of the type and shape of ``like``."""
    return np.frombuffer(connection.recv_bytes(), like.dtype).reshape(like.shape)
