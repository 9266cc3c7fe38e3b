from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from fusionspark.config.represent import Quality
from fusionspark.errors import ConfigError
from fusionspark.pipeline.precision_gate import decide
from fusionspark.represent.loading import EngineSettings
from fusionspark.represent.model_source import model_digest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_few_texts_are_no_verdict(spark: SparkSession, tiny_bert: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    represent = SimpleNamespace(quality=Quality())
    ctx: Any = SimpleNamespace(kept=None, spark=spark, config=SimpleNamespace(represent=represent))
    rows = [(bytes([i]), f"the cat sat {chr(97 + i)}") for i in range(12)]
    keyed = spark.createDataFrame(rows, "key binary, clean_text string")

    def asked(precision: str) -> EngineSettings:
        return EngineSettings(
            model=str(tiny_bert), model_digest=model_digest(str(tiny_bert)), precision=precision,
            cache_dir=str(tmp_path / "cache"),
        )  # fmt: skip

    store = tmp_path / "store"
    with pytest.raises(ConfigError, match="'int8': cannot be judged on 12 texts"):
        decide(ctx, asked("int8"), keyed, str(store))
    decision = decide(ctx, asked("auto"), keyed, str(store))
    refused = {trial["precision"]: trial["refused"] for trial in decision.facts["trials"]}
    assert "cannot be judged on 12 texts" in refused["int8"]
    assert decision.precision in {"float32", "bfloat16", "float16"}
    assert not list(store.rglob("*")), "with more texts it is measured again"
    assert decide(ctx, asked("int8"), keyed.limit(0), str(store)).precision == "int8"
