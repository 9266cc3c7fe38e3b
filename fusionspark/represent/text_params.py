"""Params of `TextEmbedder`, with their accessors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasHandleInvalid, HasInputCol, HasOutputCol

if TYPE_CHECKING:
    from typing_extensions import Self


class TextEmbedderParams(HasInputCol, HasOutputCol, HasHandleInvalid):
    """What `TextEmbedder` can be told; the stage's docstring explains each of them."""

    tokensCol: Param[str] = Param(
        Params._dummy(), "tokensCol", "column of the number of tokens", TypeConverters.toString
    )
    truncatedCol: Param[str] = Param(
        Params._dummy(), "truncatedCol", "column that says whether a text was cut", TypeConverters.toString
    )
    statusCol: Param[str] = Param(
        Params._dummy(), "statusCol", "column of ok, empty or failed", TypeConverters.toString
    )
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
        Params._dummy(),
        "tokenBudget",
        "most tokens in one batch; 0: what suits the encoder",
        TypeConverters.toInt,
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

    def setInputCol(self, value: str) -> Self:
        """Set ``inputCol``."""
        return self._set(inputCol=value)  # type: ignore[no-any-return]

    def setOutputCol(self, value: str) -> Self:
        """Set ``outputCol``."""
        return self._set(outputCol=value)  # type: ignore[no-any-return]

    def setHandleInvalid(self, value: str) -> Self:
        """Set ``handleInvalid``."""
        return self._set(handleInvalid=value)  # type: ignore[no-any-return]

    def setTokensCol(self, value: str) -> Self:
        """Set ``tokensCol``."""
        return self._set(tokensCol=value)  # type: ignore[no-any-return]

    def getTokensCol(self) -> str:
        """Value of ``tokensCol``."""
        return self.getOrDefault(self.tokensCol)  # type: ignore[no-any-return]

    def setTruncatedCol(self, value: str) -> Self:
        """Set ``truncatedCol``."""
        return self._set(truncatedCol=value)  # type: ignore[no-any-return]

    def getTruncatedCol(self) -> str:
        """Value of ``truncatedCol``."""
        return self.getOrDefault(self.truncatedCol)  # type: ignore[no-any-return]

    def setStatusCol(self, value: str) -> Self:
        """Set ``statusCol``."""
        return self._set(statusCol=value)  # type: ignore[no-any-return]

    def getStatusCol(self) -> str:
        """Value of ``statusCol``."""
        return self.getOrDefault(self.statusCol)  # type: ignore[no-any-return]

    def setModel(self, value: str) -> Self:
        """Set ``model``."""
        return self._set(model=value)  # type: ignore[no-any-return]

    def getModel(self) -> str:
        """Value of ``model``."""
        return self.getOrDefault(self.model)  # type: ignore[no-any-return]

    def setModelDigest(self, value: str) -> Self:
        """Set ``modelDigest``."""
        return self._set(modelDigest=value)  # type: ignore[no-any-return]

    def getModelDigest(self) -> str:
        """Value of ``modelDigest``."""
        return self.getOrDefault(self.modelDigest)  # type: ignore[no-any-return]

    def setPrecision(self, value: str) -> Self:
        """Set ``precision``."""
        return self._set(precision=value)  # type: ignore[no-any-return]

    def getPrecision(self) -> str:
        """Value of ``precision``."""
        return self.getOrDefault(self.precision)  # type: ignore[no-any-return]

    def setDevice(self, value: str) -> Self:
        """Set ``device``."""
        return self._set(device=value)  # type: ignore[no-any-return]

    def getDevice(self) -> str:
        """Value of ``device``."""
        return self.getOrDefault(self.device)  # type: ignore[no-any-return]

    def setMaxTokens(self, value: int) -> Self:
        """Set ``maxTokens``."""
        return self._set(maxTokens=value)  # type: ignore[no-any-return]

    def getMaxTokens(self) -> int:
        """Value of ``maxTokens``."""
        return self.getOrDefault(self.maxTokens)  # type: ignore[no-any-return]

    def setTokenBudget(self, value: int) -> Self:
        """Set ``tokenBudget``."""
        return self._set(tokenBudget=value)  # type: ignore[no-any-return]

    def getTokenBudget(self) -> int:
        """Value of ``tokenBudget``."""
        return self.getOrDefault(self.tokenBudget)  # type: ignore[no-any-return]

    def setWindowSize(self, value: int) -> Self:
        """Set ``windowSize``."""
        return self._set(windowSize=value)  # type: ignore[no-any-return]

    def getWindowSize(self) -> int:
        """Value of ``windowSize``."""
        return self.getOrDefault(self.windowSize)  # type: ignore[no-any-return]

    def setLongText(self, value: str) -> Self:
        """Set ``longText``."""
        return self._set(longText=value)  # type: ignore[no-any-return]

    def getLongText(self) -> str:
        """Value of ``longText``."""
        return self.getOrDefault(self.longText)  # type: ignore[no-any-return]

    def setPooling(self, value: str) -> Self:
        """Set ``pooling``."""
        return self._set(pooling=value)  # type: ignore[no-any-return]

    def getPooling(self) -> str:
        """Value of ``pooling``."""
        return self.getOrDefault(self.pooling)  # type: ignore[no-any-return]

    def setNormalize(self, value: bool) -> Self:
        """Set ``normalize``."""
        return self._set(normalize=value)  # type: ignore[no-any-return]

    def getNormalize(self) -> bool:
        """Value of ``normalize``."""
        return self.getOrDefault(self.normalize)  # type: ignore[no-any-return]

    def setPrompt(self, value: str) -> Self:
        """Set ``prompt``."""
        return self._set(prompt=value)  # type: ignore[no-any-return]

    def getPrompt(self) -> str:
        """Value of ``prompt``."""
        return self.getOrDefault(self.prompt)  # type: ignore[no-any-return]

    def setPromptName(self, value: str) -> Self:
        """Set ``promptName``."""
        return self._set(promptName=value)  # type: ignore[no-any-return]

    def getPromptName(self) -> str:
        """Value of ``promptName``."""
        return self.getOrDefault(self.promptName)  # type: ignore[no-any-return]

    def setGpuAmount(self, value: float) -> Self:
        """Set ``gpuAmount``."""
        return self._set(gpuAmount=value)  # type: ignore[no-any-return]

    def getGpuAmount(self) -> float:
        """Value of ``gpuAmount``."""
        return self.getOrDefault(self.gpuAmount)  # type: ignore[no-any-return]

    def setCacheDir(self, value: str) -> Self:
        """Set ``cacheDir``."""
        return self._set(cacheDir=value)  # type: ignore[no-any-return]

    def getCacheDir(self) -> str:
        """Value of ``cacheDir``."""
        return self.getOrDefault(self.cacheDir)  # type: ignore[no-any-return]
