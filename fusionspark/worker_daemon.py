"""The process that Spark's Python workers are forked from, with the libraries that they need imported.

Each worker would otherwise import pandas, Arrow and torch itself, which costs seconds and 150 MB; Spark ends
workers that idled for a minute, so that would come again and again in one session. A fork shares the pages.

Run by Spark as ``python -m fusionspark.worker_daemon`` (``spark.python.daemon.module``).
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import sys

#: Imported but not used here: threads or a GPU context that one of them opened would not survive the fork.
LIBRARIES = ("numpy", "pandas", "pyarrow", "torch", "tokenizers")


def main() -> None:
    """Import what there is of `LIBRARIES`, then do as Spark's own daemon does."""
    # On macOS system libraries that are loaded before a fork may crash after it (documentation of Python's
    # multiprocessing, "Contexts and start methods"): workers import for themselves there.
    for name in LIBRARIES if sys.platform == "linux" else ():
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    from pyspark.daemon import manager

    # A worker collects garbage after each task: looking through torch's objects would cost it 0.2 s a time,
    # and copy the pages that the fork shares.
    gc.freeze()
    manager()


if __name__ == "__main__":
    main()
