"""One run of a date at a time: a lock file that says who holds it and shows signs of life."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fusionspark.errors import RunLockedError
from fusionspark.tables import RunFolder

LOCK = "_lock"
#: Seconds between two signs of life of the process that holds a lock.
BEAT = 10.0
#: Seconds without one after which another process takes the lock over.
STALE = 120.0

#: Locks that this process holds; one of its own that is not among them was left by a namesake that is gone.
_held_here: set[str] = set()


class RunLock:
    """The lock of one run date, held by this process.

    Parameters
    ----------
    run : RunFolder
        The run date.
    """

    def __init__(self, run: RunFolder) -> None:
        self.run_date = run.run_date
        self._files = run.files
        self._path = f"{run.path}/{LOCK}"
        self._mine = {
            "id": uuid.uuid4().hex,
            "host": host(),
            "pid": os.getpid(),
            "since": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        }
        self._released = threading.Event()
        self._beating = threading.Thread(target=self._beat, name=f"lock-{run.run_date}", daemon=True)

    def acquire(self, say: Callable[[str], None]) -> None:
        """Take the lock, from a holder that is gone too.

        Raises
        ------
        RunLockedError
            A process that is alive holds it.
        """
        _held_here.add(str(self._mine["id"]))
        try:
            while not self._files.create(self._path, json.dumps({**self._mine, "beat": time.time()})):
                self._make_way(say)
        except BaseException:
            _held_here.discard(str(self._mine["id"]))
            raise
        self._beating.start()

    def confirm(self) -> None:
        """Raise where the lock was lost, before anything is written that another run relies on.

        Raises
        ------
        RunLockedError
            Another process took the lock over, because this one gave no sign of life for too long.
        """
        holder = self._holder()
        if holder is None or holder["id"] != self._mine["id"]:
            raise RunLockedError(
                f"run {self.run_date}",
                f"{_said(holder)} took its lock over: this process gave no sign of life for {STALE:.0f} s",
                remedy="leave the date to that process, or give the same command again when it has ended",
            )

    def release(self) -> None:
        """Give the lock back, unless it was lost."""
        self._released.set()
        # A beat that is under way must not be written after it was deleted.
        self._beating.join()
        self._files.delete(self._beat_of(self._mine))
        _held_here.discard(str(self._mine["id"]))
        holder = self._holder()
        if holder and holder["id"] == self._mine["id"]:
            self._files.delete(self._path)

    def _make_way(self, say: Callable[[str], None]) -> None:
        """Delete the lock of a holder that is gone; raise for one that is alive."""
        holder = self._holder()
        if holder is None:
            # It was given back at this moment: try again.
            return
        if alive(holder, now=time.time()):
            raise RunLockedError(
                f"run {self.run_date}",
                f"{_said(holder)} is at it since {holder.get('since')}",
                remedy="wait until it has ended, or end it and give the same command again; "
                f"a holder that gives no sign of life for {STALE:.0f} s loses the lock by itself",
            )
        # One at a time, or the second of two would delete the lock that the first has just made.
        taking = f"{self._path}.taking"
        if not self._files.create(taking, ""):
            begun = self._files.modified(taking)
            if begun is not None and time.time() - begun > STALE:
                self._files.delete(taking)
            time.sleep(0.05)
            return
        try:
            now = self._holder()
            if now and now["id"] == holder["id"]:
                self._files.delete(self._beat_of(holder))
                self._files.delete(self._path)
                say(f"the lock of {_said(holder)} is taken over: it is gone")
        finally:
            self._files.delete(taking)

    def _holder(self) -> dict[str, Any] | None:
        for wait in (0.2, 0.2, 0.0):
            text = self._files.read_text_if_there(self._path)
            # Between its creation and its first byte a lock reads as nothing.
            if text:
                holder = dict(json.loads(text))
                beat = self._files.read_text_if_there(self._beat_of(holder))
                return {**holder, "beat": float(beat or holder["beat"])}
            time.sleep(wait)
        # A process that died between the two left nothing but the time at which it did.
        begun = None if text is None else self._files.modified(self._path)
        return None if begun is None else {"id": "", "beat": begun}

    def _beat_of(self, holder: dict[str, Any]) -> str:
        # The holder's own: one that comes back from a stall cannot write over its successor's lock.
        return f"{self._path}.{holder['id']}"

    def _beat(self) -> None:
        while not self._released.wait(BEAT):
            # The next beat may succeed where this one met a file system that is down for a moment.
            with contextlib.suppress(Exception):
                holder = self._holder()
                if holder and holder["id"] == self._mine["id"] and not self._released.is_set():
                    self._files.write_text(self._beat_of(self._mine), str(time.time()))


@contextlib.contextmanager
def only_run(run: RunFolder, say: Callable[[str], None]) -> Iterator[RunLock]:
    """Hold the lock of a run date while the block runs.

    Raises
    ------
    RunLockedError
        Another process that is alive works at this date.
    """
    lock = RunLock(run)
    lock.acquire(say)
    try:
        yield lock
    finally:
        lock.release()


def host() -> str:
    """Name of this machine, and of the process numbers that are valid in it: containers have their own."""
    namespace = Path("/proc/self/ns/pid")
    try:
        return f"{socket.gethostname()} {os.readlink(namespace)}"  # noqa: PTH115 - the link points at no file
    except OSError:
        return socket.gethostname()


def alive(holder: dict[str, Any], *, now: float) -> bool:
    """Whether the holder of a lock may still be at work: its process is there and gave a sign of life.

    Parameters
    ----------
    holder : dict
        Content of the lock: ``id``, ``host``, ``pid``, and its last ``beat`` (seconds since 1970).
    now : float
        The time, in the same seconds.
    """
    if now - float(holder["beat"]) > STALE:
        return False
    if holder.get("host") != host():
        return True
    if holder["pid"] == os.getpid():
        return holder["id"] in _held_here
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _said(holder: dict[str, Any] | None) -> str:
    if not holder or "pid" not in holder:
        return "another process"
    return f"process {holder['pid']} on {str(holder['host']).partition(' ')[0]}"
