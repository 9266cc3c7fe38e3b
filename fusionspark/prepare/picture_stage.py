"""`PictureReader`: a column of paths or encoded pictures to checked, reduced pictures."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCol, HasOutputCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame
from pyspark.sql.types import BinaryType, StringType, StructField, StructType

from fusionspark.columns import PICTURE, PROBLEM
from fusionspark.errors import ConfigError, MissingExtraError, nearest
from fusionspark.prepare.pictures import PictureLimits, read_picture

if TYPE_CHECKING:
    import pyarrow as pa

_LIMITS = PictureLimits()


class PictureReader(Transformer, HasInputCol, HasOutputCol, DefaultParamsReadable, DefaultParamsWritable):
    """Appends the checked picture and, where there is none, why.

    ``transform`` is lazy and appends ``outputCol`` (binary) and ``problemCol`` (string). Both are null where
    the input is null or empty. See `fusionspark.prepare.pictures.read_picture`.

    Parameters
    ----------
    inputCol : str
        Binary column with encoded pictures, or a string column with paths that every worker can open.
    outputCol : str, default "picture"
        Name of the column of pictures.
    problemCol : str, default "problem"
        Name of the column that says what is wrong.
    rootFolder : str, default ""
        Folder that paths are relative to, and may not lead out of.
    maxBytes, maxPixels, side : int
        As in `fusionspark.prepare.pictures.PictureLimits`.
    """

    problemCol: Param[str] = Param(
        Params._dummy(), "problemCol", "column that says what is wrong", TypeConverters.toString
    )
    rootFolder: Param[str] = Param(
        Params._dummy(), "rootFolder", "folder that paths are relative to", TypeConverters.toString
    )
    maxBytes: Param[int] = Param(
        Params._dummy(), "maxBytes", "largest file that is read", TypeConverters.toInt
    )
    maxPixels: Param[int] = Param(
        Params._dummy(), "maxPixels", "largest picture that is decoded", TypeConverters.toInt
    )
    side: Param[int] = Param(
        Params._dummy(), "side", "pixels of the shorter side of a reduced picture", TypeConverters.toInt
    )

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        inputCol: str | None = None,
        outputCol: str = PICTURE,
        problemCol: str = PROBLEM,
        rootFolder: str = "",
        maxBytes: int = _LIMITS.max_bytes,
        maxPixels: int = _LIMITS.max_pixels,
        side: int = _LIMITS.side,
    ) -> None:
        super().__init__()
        self._setDefault(
            outputCol=PICTURE, problemCol=PROBLEM, rootFolder="", maxBytes=_LIMITS.max_bytes,
            maxPixels=_LIMITS.max_pixels, side=_LIMITS.side,
        )  # fmt: skip
        self._set(**self._input_kwargs)

    @keyword_only
    def setParams(
        self,
        *,
        inputCol: str | None = None,
        outputCol: str | None = None,
        problemCol: str | None = None,
        rootFolder: str | None = None,
        maxBytes: int | None = None,
        maxPixels: int | None = None,
        side: int | None = None,
    ) -> PictureReader:
        """Set several Params at once; what is left out stays as it is."""
        return self._set(**self._input_kwargs)  # type: ignore[no-any-return]

    def transformSchema(self, schema: StructType) -> StructType:
        """Schema of the output, after checking the input column."""
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
        new = (self.getOutputCol(), self.getOrDefault(self.problemCol))
        if taken := [column for column in new if column in schema.fieldNames()]:
            raise ConfigError(f"columns {taken}", "are in the table already", remedy="set other names")
        return StructType(
            [*schema.fields, StructField(new[0], BinaryType()), StructField(new[1], StringType())]
        )

    def _transform(self, dataset: DataFrame) -> DataFrame:
        schema = self.transformSchema(dataset.schema)
        if importlib.util.find_spec("PIL") is None:
            raise MissingExtraError("pillow", "image", "reading pictures")
        limits = PictureLimits(
            self.getOrDefault(self.maxBytes), self.getOrDefault(self.maxPixels), self.getOrDefault(self.side)
        )
        run = picture_partition(self.getInputCol(), limits, self.getOrDefault(self.rootFolder))
        return dataset.mapInArrow(run, schema)


def picture_partition(
    column: str, limits: PictureLimits, root: str
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Function for ``DataFrame.mapInArrow`` that appends the picture of ``column`` and what is wrong."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            # One picture at a time: the pixels of a whole batch could fill the memory.
            for start in range(0, batch.num_rows, _ROWS):
                part = batch.slice(start, _ROWS)
                values = part.column(part.schema.get_field_index(column)).to_pylist()
                read = [read_picture(value, limits, root) for value in values]
                added = [
                    pa.array([one.data for one in read], type=pa.binary()),
                    pa.array([one.problem for one in read], type=pa.string()),
                ]
                names = [*part.schema.names, "picture read", "problem"]
                yield pa.RecordBatch.from_arrays([*part.columns, *added], names=names)

    return run


#: Pictures in one batch that goes back: at most some megabytes of reduced ones.
_ROWS = 128
