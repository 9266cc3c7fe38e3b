"""Files that are made once on a machine and then found again: compressed models."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_root(folder: str = "") -> Path:
    """``folder``, or ``$XDG_CACHE_HOME/fusionspark``, or ``~/.cache/fusionspark``."""
    if folder:
        return Path(folder).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fusionspark"


def made_once(target: Path, make: Callable[[Path], None]) -> Path:
    """Folder ``target``, made by ``make`` the first time it is asked for.

    ``make`` writes into a folder beside it, which is renamed when complete: a killed process leaves no
    half model behind. Worker processes of one machine wait for the one that makes it.
    """
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.with_name(target.name + ".lock")):
        if target.is_dir():
            return target
        draft = Path(tempfile.mkdtemp(prefix=target.name, dir=target.parent))
        try:
            make(draft)
            draft.chmod(0o755)
            draft.rename(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return target


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    import fcntl

    with path.open("w") as handle:
        # Released by the system when the process ends, however it ends.
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
