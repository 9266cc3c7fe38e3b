"""Folders of one space: segments, what is known about them, and what is torn in them.

``<store>/space=<digest>/`` holds ``space.json``, ``canary-*.json``, ``segments/segment=<number>/`` (the files
of one append), ``sealed/<number>.json`` (written when the append is whole: its files, bytes and figures) and
``torn/`` (files that were set aside). A segment without a seal belongs to a run that is under way or was
killed; its whole files count all the same.
"""

from __future__ import annotations

import json
import secrets
import struct
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from py4j.protocol import Py4JError
from pyspark.sql import SparkSession

from fusionspark.columns import SEGMENT
from fusionspark.files import Files

_MAGIC = b"PAR1"


@dataclass(frozen=True)
class Seal:
    """What is known about a segment that is whole; sums, so that compaction can add them up.

    Attributes
    ----------
    files, bytes : int
        What lies in the folder; another figure means that a file is torn or gone.
    rows : int
        Stored rows.
    buckets : int
        Every file holds the keys of one bucket: Spark's hash of the key modulo this power of two.
    texts, seconds
        Encoded contents, and the wall time that took.
    measured, sum_cosine, lowest_cosine
        Agreement of what is stored with what was encoded.
    """

    files: int
    bytes: int
    rows: int
    buckets: int
    texts: int = 0
    seconds: float = 0.0
    measured: int = 0
    sum_cosine: float = 0.0
    lowest_cosine: float = 1.0

    @classmethod
    def total(cls, seals: Iterable[Seal]) -> Seal:
        """Figures of several segments together."""
        seals = list(seals)
        summed = {name: sum(asdict(seal)[name] for seal in seals) for name in asdict(_NOTHING)}
        lowest = min((seal.lowest_cosine for seal in seals), default=1.0)
        return cls(**{**summed, "buckets": 0, "lowest_cosine": lowest})


_NOTHING = Seal(0, 0, 0, 0)


@dataclass(frozen=True)
class Segment:
    """One append. Numbers grow with time, and are unlike even where two runs append at the same moment."""

    number: int
    path: str
    #: None while the append is under way, or after it was killed.
    seal: Seal | None


def new_number() -> int:
    """Milliseconds since 1970, then twenty random bits."""
    return (time.time_ns() // 1_000_000 << 20) | secrets.randbits(20)


class SegmentFolder:
    """The segments of one space on any file system that Spark reaches.

    Parameters
    ----------
    path : str
        Folder of the space.
    """

    def __init__(self, spark: SparkSession, path: str) -> None:
        self.files = Files(spark)
        self.path = path

    @property
    def root(self) -> str:
        """Folder above the segments; Spark reads their numbers from the names below it."""
        return f"{self.path}/segments"

    def segment(self, number: int, seal: Seal | None = None) -> Segment:
        """Segment ``number``, whether it is there or not."""
        return Segment(number, f"{self.root}/{SEGMENT}={number}", seal)

    def open(self) -> tuple[list[Segment], list[str]]:
        """All segments, oldest first, and the names of torn files, which are moved to ``torn/``.

        Costs a few calls a sealed segment whatever the number of its files. Files of one that is not
        sealed, or differs from its seal, are looked at one by one: Parquet ends in its footer's length and
        a magic word, so a file that was cut short shows.
        """
        segments, torn = [], []
        for name in self.files.names(self.root):
            segment = self.segment(int(name.rpartition("=")[2]))
            try:
                seal = self._read_seal(segment.number)
                if seal is None or (seal.files, seal.bytes) != self.files.measure(segment.path):
                    torn += self._set_aside_torn(segment)
                    seal = seal and self.seal(segment, seal)
            except Py4JError:
                if self.files.exists(segment.path):
                    raise
                # Compacted away since it was listed; what it held is in a newer segment.
                continue
            segments.append(replace(segment, seal=seal))
        return segments, torn

    def seal(self, segment: Segment, figures: Seal) -> Seal:
        """State that the segment is whole as it lies there now."""
        files, size = self.files.measure(segment.path)
        seal = replace(figures, files=files, bytes=size)
        self.files.write_text(self._seal_path(segment.number), json.dumps(asdict(seal), allow_nan=False))
        return seal

    def delete(self, segment: Segment) -> None:
        """Remove a segment; the seal goes last, so that a killed deletion shows as a segment that shrank."""
        self.files.delete(segment.path)
        self.files.delete(self._seal_path(segment.number))

    def set_aside(self, segment: Segment, name: str) -> str:
        """Move one file of a segment to ``torn/`` and return its name there."""
        aside = f"{segment.number}-{name}"
        self.files.move(f"{segment.path}/{name}", f"{self.path}/torn/{aside}")
        return aside

    def data_files(self, segments: Sequence[Segment]) -> list[str]:
        """Paths of all files of ``segments``."""
        return [f"{one.path}/{name}" for one in segments for name in self.files.sizes(one.path)]

    def _set_aside_torn(self, segment: Segment) -> list[str]:
        return [
            self.set_aside(segment, name)
            for name, size in self.files.sizes(segment.path).items()
            if not self._looks_whole(f"{segment.path}/{name}", size)
        ]

    def _looks_whole(self, path: str, size: int) -> bool:
        if size < 3 * len(_MAGIC):
            return False
        try:
            end = self.files.read_end(path, size - 2 * len(_MAGIC))
        except Py4JError:
            # Compacted away a moment ago, or unreadable: the file system's checksum may break already here.
            return not self.files.exists(path)
        footer = struct.unpack("<I", end[:4])[0] if len(end) == 2 * len(_MAGIC) else size
        return end[4:] == _MAGIC and footer + 3 * len(_MAGIC) <= size

    def _read_seal(self, number: int) -> Seal | None:
        path = self._seal_path(number)
        return Seal(**self._json(path)) if self.files.exists(path) else None

    def _json(self, path: str) -> dict[str, Any]:
        return dict(json.loads(self.files.read_text(path)))

    def _seal_path(self, number: int) -> str:
        return f"{self.path}/sealed/{number}.json"
