"""Save and load for models of ours that wrap MLlib models: JSON Params beside MLlib's own folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReader, MLWriter


class WrapperWriter(MLWriter):
    """Write Params and ``more`` of ``instance`` as JSON and each of ``inner`` into ``<path>/models/<i>``."""

    def __init__(self, instance: Any, inner: list[Any], more: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.instance = instance
        self.inner = inner
        self.more = dict(more or {})

    def saveImpl(self, path: str) -> None:
        """Write the model; called by `save` after overwriting was settled."""
        extra = {"models": len(self.inner), **self.more}
        DefaultParamsWriter.saveMetadata(self.instance, path, self.sc, extraMetadata=extra)
        for i, model in enumerate(self.inner):
            model.write().save(f"{path}/models/{i}")


class WrapperReader(MLReader[Any]):
    """Read what `WrapperWriter` wrote; ``build`` makes it from inner models and JSON."""

    def __init__(self, build: Callable[[list[Any], Mapping[str, Any]], Any]) -> None:
        super().__init__()
        self.build = build

    def load(self, path: str) -> Any:
        """Read the model in ``path``, from any process."""
        metadata = DefaultParamsReader.loadMetadata(path, self.sc)
        inner: list[Any] = [
            DefaultParamsReader.loadParamsInstance(f"{path}/models/{i}", self.sc)
            for i in range(metadata["models"])
        ]
        model = self.build(inner, metadata)
        model._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(model, metadata)
        return model
