"""Texts and pictures alike: what turns rows (key, content) into vectors, and which contents are canaries."""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fusionspark import columns
from fusionspark.represent import loading
from fusionspark.represent.arrow_arrays import booleans, float_lists, numbers, strings
from fusionspark.represent.arrow_partition import Monitor, text_partition, windows
from fusionspark.represent.image_encoder import ImageSettings, build_image_engine, image_loads
from fusionspark.represent.loading import EngineSettings
from fusionspark.represent.store.canary import CANARIES

if TYPE_CHECKING:
    import pyarrow as pa

Partition = Callable[[Iterable["pa.RecordBatch"]], Iterable["pa.RecordBatch"]]
#: What drives the encoder of a store's contents.
Settings = EngineSettings | ImageSettings

#: Pictures decoded together: they are large, and a wider window would win nothing.
_WINDOW = 256


def content_of(settings: Settings) -> str:
    """Name of the column that holds the contents."""
    return columns.PICTURE if isinstance(settings, ImageSettings) else columns.CLEAN_TEXT


def loads(settings: Settings) -> int:
    """How many models of this kind the process has loaded so far."""
    return image_loads() if isinstance(settings, ImageSettings) else loading.loads()


def embed_partition(settings: Settings, window: int, monitor: Monitor) -> Partition:
    """Function for ``mapInArrow`` that puts vector, n_tokens, truncated and status behind (key, content)."""
    if isinstance(settings, ImageSettings):
        return _pictures(settings, monitor)
    return text_partition(settings, columns.CLEAN_TEXT, window, "keep", monitor)


def _pictures(settings: ImageSettings, monitor: Monitor) -> Partition:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        engine = None
        for table in windows(batches, _WINDOW):
            before = image_loads()
            engine = engine or build_image_engine(settings.model, settings.place(), settings.batch_size)
            vectors, status = engine.encode(table.column(columns.PICTURE).to_pylist())
            told = {**engine.counters, "model_loads": image_loads() - before}
            engine.counters = dict.fromkeys(engine.counters, 0)
            monitor.add({**told, "workers": [f"{socket.gethostname()}:{os.getpid()}"]})
            added = [
                float_lists(vectors, np.array(status, dtype=object) != columns.OK),
                numbers(np.zeros(len(status), dtype=np.int32)),
                booleans(np.zeros(len(status), dtype=bool)),
                strings(status),
            ]
            names = [*table.column_names, "vector", columns.N_TOKENS, columns.TRUNCATED, columns.STATUS]
            yield from pa.Table.from_arrays([*table.columns, *added], names=names).to_batches()

    return run


def canary_vectors(settings: Settings) -> np.ndarray:
    """Vectors of the canaries, always encoded together: a batch's other texts change the last digits."""
    if isinstance(settings, ImageSettings):
        return build_image_engine(settings.model, settings.place()).encode(canary_pictures())[0]
    lenient = replace(settings, long_text="truncate") if settings.long_text == "error" else settings
    return loading.build_engine(lenient).encode(CANARIES).embeddings


def canary_pictures() -> list[bytes]:
    """Pictures drawn by rule: stripes, a ramp of all channels, a disc."""
    from PIL import Image

    y, x = np.mgrid[0:64, 0:64]
    stripes = np.stack([(x // 8 % 2) * 255, (y // 8 % 2) * 255, np.full_like(x, 128)], axis=2)
    ramp = np.stack([x * 4, y * 4, 255 - x * 2 - y * 2], axis=2)
    inside = ((x - 32) ** 2 + (y - 32) ** 2 < 400)[..., None]
    disc = np.where(inside, [220, 30, 30], [255, 255, 255])
    drawn = []
    for pixels in (stripes, ramp, disc):
        out = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8), "RGB").save(out, "PNG")
        drawn.append(out.getvalue())
    return drawn
