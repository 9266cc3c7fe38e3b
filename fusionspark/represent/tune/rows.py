"""Training rows: in memory or streamed from Parquet, cut into batches of about equal length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fusionspark.represent.tune.settings import seed_of

#: Rows that are shuffled and sorted by length together; what a process holds of a table of any size.
WINDOW = 8192
#: Batches whose rows are sorted by length together: little padding, and still a random mix.
SORTED = 32

TEXT, TARGET = "text", "target"
Batch = tuple[list[str], list[str]]


class Rows(Protocol):
    """Texts and their labels, in an order that does not change."""

    def __len__(self) -> int: ...

    def read(self, seed: int) -> Iterator[Batch]:
        """All rows, in pieces of any size, in an order that may follow ``seed``."""
        ...


@dataclass(frozen=True)
class ListRows:
    """Rows in memory."""

    texts: Sequence[str]
    targets: Sequence[str]

    def __len__(self) -> int:
        return len(self.texts)

    def read(self, seed: int) -> Iterator[Batch]:
        """All of them at once; batches are shuffled later."""
        yield list(self.texts), list(self.targets)


@dataclass(frozen=True)
class ParquetRows:
    """Rows in a folder of Parquet files with the string columns ``text`` and ``target``."""

    folder: str

    @cached_property
    def _files(self) -> list[Path]:
        return sorted(Path(self.folder).glob("*.parquet"))

    @cached_property
    def _length(self) -> int:
        import pyarrow.parquet as pq

        return sum(int(pq.ParquetFile(file).metadata.num_rows) for file in self._files)

    def __len__(self) -> int:
        return self._length

    def read(self, seed: int) -> Iterator[Batch]:
        """The files in an order drawn by ``seed``, a few thousand rows at a time."""
        import pyarrow.parquet as pq

        for i in np.random.default_rng(seed).permutation(len(self._files)):
            for piece in pq.ParquetFile(self._files[i]).iter_batches(WINDOW, columns=[TEXT, TARGET]):
                yield piece.column(0).to_pylist(), piece.column(1).to_pylist()


def batch_count(rows: int, size: int) -> int:
    """Batches of one epoch.

    >>> batch_count(100, 32), batch_count(0, 32)
    (4, 0)
    """
    return -(-rows // size)


def batches(
    rows: Rows, size: int, seed: int, epoch: int, measure: Callable[[list[str]], Sequence[int]]
) -> Iterator[Batch]:
    """Batches of one epoch; the same ones whenever and wherever they are asked for.

    Every row comes once. Rows are shuffled inside windows of `WINDOW`, sorted by what ``measure`` says is
    their length over `SORTED` batches, and the batches of a window shuffled.
    """
    window = max(1, WINDOW // size) * size
    for number, (texts, targets) in enumerate(_windows(rows.read(seed_of(seed, "files", epoch)), window)):
        rng = np.random.default_rng(seed_of(seed, "order", epoch, number))
        order = rng.permutation(len(texts))
        lengths = np.asarray(measure(texts))
        cut: list[Any] = []
        for start in range(0, len(order), size * SORTED):
            part = order[start : start + size * SORTED]
            part = part[np.argsort(lengths[part], kind="stable")]
            cut += [part[at : at + size] for at in range(0, len(part), size)]
        for i in rng.permutation(len(cut)):
            yield [texts[row] for row in cut[i]], [targets[row] for row in cut[i]]


def _windows(pieces: Iterator[Batch], window: int) -> Iterator[Batch]:
    """The same rows in pieces of exactly ``window``, the last one apart."""
    texts: list[str] = []
    targets: list[str] = []
    for more_texts, more_targets in pieces:
        texts += more_texts
        targets += more_targets
        while len(texts) >= window:
            yield texts[:window], targets[:window]
            texts, targets = texts[window:], targets[window:]
    if texts:
        yield texts, targets
