"""Save and load for models of ours that wrap MLlib models: JSON Params beside MLlib's own folders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReader, MLWriter


class WrapperWriter(MLWriter):
    """Write the Params of ``instance`` as JSON and each of ``inner`` into ``<path>/models/<i>``."""

    def __init__(self, instance: Any, inner: list[Any]) -> None:
        super().__init__()
        self.instance = instance
        self.inner = inner

    def saveImpl(self, path: str) -> None:
        """Write the model; called by `save` after overwriting was settled."""
        extra = {"models": len(self.inner)}
        DefaultParamsWriter.saveMetadata(self.instance, path, self.sc, extraMetadata=extra)
        for i, model in enumerate(self.inner):
            model.write().save(f"{path}/models/{i}")


class WrapperReader(MLReader[Any]):
    """Read what `WrapperWriter` wrote; ``build`` makes the wrapper from the list of inner models."""

    def __init__(self, build: Callable[[list[Any]], Any]) -> None:
        super().__init__()
        self.build = build

    def load(self, path: str) -> Any:
        """Read the model in ``path``, from any process."""
        metadata = DefaultParamsReader.loadMetadata(path, self.sc)
        inner: list[Any] = [
            DefaultParamsReader.loadParamsInstance(f"{path}/models/{i}", self.sc)
            for i in range(metadata["models"])
        ]
        model = self.build(inner)
        model._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(model, metadata)
        return model
