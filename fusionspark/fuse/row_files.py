"""Training rows as Parquet files that several training processes stream, each its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fusionspark.fuse.vector_rows import matrix

#: Columns beside the vector's parts.
CLASS, HELD_OUT = "__class", "__held_out"


@dataclass(frozen=True)
class RowFiles:
    """The files of one process.

    Parameters
    ----------
    paths : list of str
        Parquet files with `CLASS`, `HELD_OUT` and the parts of a vector.
    held_out : bool
        Whether the rows to stop by are read, or those to learn from.
    buffer : int
        Rows that are held and shuffled together; where all fit, they are read once.
    """

    paths: Sequence[str]
    held_out: bool
    batch: int
    buffer: int
    seed: int

    def __call__(self, epoch: int) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]:
        """Yield the batches of an epoch; in the order of the files where rows are only judged."""
        random = np.random.default_rng([self.seed, epoch])
        for rows, classes in self._buffers(epoch):
            order = np.arange(len(classes)) if self.held_out else random.permutation(len(classes))
            for start in range(0, len(order), self.batch):
                part = order[start : start + self.batch]
                yield rows[part].toarray(), classes[part]

    def _buffers(self, epoch: int) -> Iterator[tuple[Any, npt.NDArray[np.int64]]]:
        from scipy import sparse

        kept = self.__dict__.get("_kept")
        if kept is not None:
            yield kept
            return
        paths = list(self.paths)
        if not self.held_out:
            np.random.default_rng([self.seed, epoch, 1]).shuffle(paths)
        held: list[Any] = []
        classes: list[Any] = []
        count, whole = 0, True
        for rows, found in self._read(paths):
            held.append(rows)
            classes.append(found)
            count += len(found)
            if count >= self.buffer:
                whole = False
                yield sparse.vstack(held, format="csr"), np.concatenate(classes)
                held, classes, count = [], [], 0
        if count:
            rest = (sparse.vstack(held, format="csr"), np.concatenate(classes))
            if whole:
                object.__setattr__(self, "_kept", rest)
            yield rest

    def _read(self, paths: Sequence[str]) -> Iterator[tuple[Any, npt.NDArray[np.int64]]]:
        import pyarrow.compute as pc
        from pyarrow import fs, parquet

        for path in paths:
            system, place = fs.FileSystem.from_uri(path) if "://" in path else (fs.LocalFileSystem(), path)
            with system.open_input_file(place) as opened:
                for found in parquet.ParquetFile(opened).iter_batches(batch_size=4096):
                    wanted = found.filter(pc.equal(found.column(HELD_OUT), self.held_out))
                    if wanted.num_rows:
                        classes = wanted.column(CLASS).to_numpy(zero_copy_only=False).astype(np.int64)
                        yield matrix(wanted), classes


def shares(files: Sequence[tuple[str, int]], processes: int) -> list[list[tuple[str, int]]]:
    """Give each process files with nearly as many rows: the largest first, each to the one with the least.

    >>> shares([("a", 5), ("b", 4), ("c", 3)], 2)
    [[('a', 5)], [('b', 4), ('c', 3)]]
    """
    given: list[list[tuple[str, int]]] = [[] for _ in range(processes)]
    for path, rows in sorted(files, key=lambda file: (-file[1], file[0])):
        min(given, key=lambda own: sum(n for _, n in own)).append((path, rows))
    return given
