"""`ImageEmbedder`: pictures in a binary or path column become vectors."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

import numpy as np
from pyspark import keyword_only
from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasHandleInvalid, HasInputCol, HasOutputCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame
from pyspark.sql.types import ArrayType, BinaryType, FloatType, StringType, StructField, StructType

from fusionspark import columns
from fusionspark.errors import ConfigError, nearest
from fusionspark.represent.arrow_arrays import float_lists, strings
from fusionspark.represent.arrow_partition import Monitor, append_columns, windows
from fusionspark.represent.device import task_device
from fusionspark.represent.gpu_profile import map_in_arrow
from fusionspark.represent.image_encoder import (
    EFFICIENTNET,
    ImageEngine,
    build_image_engine,
    check_image_model,
    image_loads,
    image_model_digest,
)

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows whose vectors leave together, and among which equal pictures are computed once.
_WINDOW = 256


class ImageEmbedder(
    Transformer, HasInputCol, HasOutputCol, HasHandleInvalid, DefaultParamsReadable, DefaultParamsWritable
):
    """Appends the embedding of a picture column.

    ``transform`` is lazy and appends ``outputCol`` (``array<float>``) and ``statusCol`` (``ok``;
    ``empty``: no picture; ``failed``: not readable as one).

    Parameters
    ----------
    inputCol : str
        Binary column with encoded pictures (``spark.read.format("binaryFile")``), or a string column
        with paths that every worker can open.
    outputCol : str, default "image_embedding"
        Name of the vector column.
    statusCol : str, default "image_status"
        Name of the status column.
    model : str, default "efficientnet-lite0"
        That, a transformers vision folder, or an exported program; see
        `fusionspark.represent.image_encoder.build_image_engine`.
    rootFolder : str, default ""
        Folder that paths are relative to. Where it is set, a path that leads out of it is ``failed``.
    batchSize : int, default 32
        Pictures computed at once.
    device : str, default "auto"
        As in `fusionspark.represent.text_embedder.TextEmbedder`.
    gpuAmount : float, default 0.0
        As there.
    handleInvalid : {"keep", "skip", "error"}
        What happens to rows without a vector.

    Notes
    -----
    ``monitor`` (see `fusionspark.represent.monitor`) is told ``rows, images_encoded, failed, seconds_read,
    seconds_compute, model_loads`` and ``workers``.
    """

    model: Param[str] = Param(Params._dummy(), "model", "image model", TypeConverters.toString)
    statusCol: Param[str] = Param(Params._dummy(), "statusCol", "status column", TypeConverters.toString)
    rootFolder: Param[str] = Param(
        Params._dummy(), "rootFolder", "folder that paths are relative to", TypeConverters.toString
    )
    batchSize: Param[int] = Param(Params._dummy(), "batchSize", "pictures at once", TypeConverters.toInt)
    device: Param[str] = Param(Params._dummy(), "device", "auto or a torch device", TypeConverters.toString)
    gpuAmount: Param[float] = Param(
        Params._dummy(), "gpuAmount", "GPUs a task of this stage asks for; 0: none", TypeConverters.toFloat
    )

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        inputCol: str | None = None,
        outputCol: str = "image_embedding",
        statusCol: str = "image_status",
        model: str = EFFICIENTNET,
        rootFolder: str = "",
        batchSize: int = 32,
        device: str = "auto",
        gpuAmount: float = 0.0,
        handleInvalid: str = "keep",
    ) -> None:
        super().__init__()
        self.monitor: Monitor | None = None
        self._setDefault(
            outputCol="image_embedding", statusCol="image_status", model=EFFICIENTNET, rootFolder="",
            batchSize=32, device="auto", gpuAmount=0.0, handleInvalid="keep",
        )  # fmt: skip
        self._set(**self._input_kwargs)

    @keyword_only
    def setParams(
        self,
        *,
        inputCol: str | None = None,
        outputCol: str | None = None,
        statusCol: str | None = None,
        model: str | None = None,
        rootFolder: str | None = None,
        batchSize: int | None = None,
        device: str | None = None,
        gpuAmount: float | None = None,
        handleInvalid: str | None = None,
    ) -> ImageEmbedder:
        """Set several Params at once; what is left out stays as it is."""
        return self._set(**self._input_kwargs)  # type: ignore[no-any-return]

    def transformSchema(self, schema: StructType) -> StructType:
        """Schema of the output, after checking the input column and the Params."""
        name = self.getInputCol() if self.isDefined(self.inputCol) else ""
        if name not in schema.fieldNames():
            raise ConfigError(
                "inputCol", f"column {name!r} is not in the table{nearest(name, schema.fieldNames())}",
                allowed=", ".join(schema.fieldNames()),
            )  # fmt: skip
        if not isinstance(schema[name].dataType, BinaryType | StringType):
            found = schema[name].dataType.simpleString()
            raise ConfigError(
                f"column {name!r}", f"is {found}", allowed="binary (pictures) or string (paths)"
            )
        new = (self.getOutputCol(), self.getOrDefault(self.statusCol))
        if taken := [column for column in new if column in schema.fieldNames()]:
            raise ConfigError(f"columns {taken}", "are in the table already", remedy="set other names")
        if self.getHandleInvalid() not in {"keep", "skip", "error"}:
            raise ConfigError("handleInvalid", f"is {self.getHandleInvalid()!r}", allowed="keep, skip, error")
        if self.getOrDefault(self.batchSize) < 1:
            raise ConfigError("batchSize", f"is {self.getOrDefault(self.batchSize)}", allowed="1 or more")
        added = [
            StructField(new[0], ArrayType(FloatType(), containsNull=False)),
            StructField(new[1], StringType()),
        ]
        return StructType([*schema.fields, *added])

    def _transform(self, dataset: DataFrame) -> DataFrame:
        schema = self.transformSchema(dataset.schema)
        model = self.getOrDefault(self.model)
        # A library or a file that is missing is told here, not in the trace of a task.
        check_image_model(model)
        image_model_digest(model)
        run = image_partition(
            model,
            self.getInputCol(),
            root=self.getOrDefault(self.rootFolder),
            batch_size=self.getOrDefault(self.batchSize),
            device=self.getOrDefault(self.device),
            invalid=self.getHandleInvalid(),
            monitor=self.monitor,
        )
        return map_in_arrow(dataset, run, schema, self.getOrDefault(self.gpuAmount))


def image_partition(
    model: str,
    column: str,
    *,
    root: str,
    batch_size: int,
    device: str,
    invalid: str,
    monitor: Monitor | None,
) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    """Function for ``DataFrame.mapInArrow`` that appends the vector and the status of a picture column."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        engine, loads = None, image_loads()
        for table in windows(batches, _WINDOW):
            engine = engine or build_image_engine(model, task_device(device), batch_size)
            named: list[bool] = []
            vectors, status = engine.encode(_pictures(table.column(column), root, named))
            # A path that was named and gave nothing is a failure, not an absence.
            status = [
                columns.FAILED if state == columns.EMPTY and path else state
                for state, path in zip(status, named, strict=True)
            ]
            if monitor is not None:
                monitor.add(_report(engine, status, loads))
                loads = image_loads()
            bad = np.array(status, dtype=object) != columns.OK
            names = ("embedding of the picture", "status of the picture")
            added = [float_lists(vectors, bad), strings(status)]
            yield from append_columns(
                table, added, names, bad=bad, status=status, invalid=invalid, what="picture"
            )

    return run


def _pictures(column: pa.ChunkedArray, root: str, named: list[bool]) -> Iterator[bytes | None]:
    """Bytes of one row after another, so that one picture is in memory at a time.

    ``named`` takes, for each row, whether it names a path.
    """
    for cell in column:
        value = cell.as_py()
        is_path = isinstance(value, str)
        named.append(is_path and bool(value))
        yield read_picture(value, root) if is_path else value


def _report(engine: ImageEngine, status: list[str], loads_before: int) -> dict[str, Any]:
    """Counters since the last report, with the name of this process; the engine starts counting anew."""
    told = {
        **engine.counters,
        "failed": status.count(columns.FAILED),
        "model_loads": image_loads() - loads_before,
        "workers": [f"{socket.gethostname()}:{os.getpid()}"],
    }
    engine.counters = dict.fromkeys(engine.counters, 0)
    return told


def read_picture(path: str, root: str = "") -> bytes | None:
    """Bytes of a local file (a path or a ``file:`` address); None if unreadable or outside ``root``."""
    place = Path(unquote(urlparse(path).path)) if path.startswith("file:") else Path(path)
    if root:
        base = Path(root).resolve()
        place = (base / place).resolve()
        if not place.is_relative_to(base):
            return None
    try:
        return place.read_bytes()
    except (OSError, ValueError):
        return None
