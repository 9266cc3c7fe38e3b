"""Which engine the configuration asks for, and which store holds its vectors."""

from __future__ import annotations

from pyspark.sql import SparkSession

from fusionspark.config import Config
from fusionspark.prepare.text_rules import PREPARATION_VERSION
from fusionspark.represent.loading import EngineSettings, effective_digest
from fusionspark.represent.model_source import model_digest, pinned
from fusionspark.represent.store.embedding_store import EmbeddingStore
from fusionspark.represent.store.space import text_space


def store_path(config: Config) -> str:
    """Folder of the embedding store."""
    return config.store.path or f"{config.output}/store"


def engine_of(config: Config) -> EngineSettings:
    """The engine as configured; its precision may still be ``auto``."""
    settings = config.represent
    return EngineSettings(
        model=pinned(settings.model)[0],
        model_digest=model_digest(settings.model),
        precision=settings.precision,
        device=settings.device,
        max_tokens=settings.max_tokens,
        token_budget=settings.token_budget,
        long_text=settings.long_text,
        cache_dir=settings.cache_dir,
    )


def store_of(spark: SparkSession, config: Config, engine: EngineSettings) -> EmbeddingStore:
    """The store of what ``engine`` makes; its precision must not be ``auto``."""
    space = text_space(
        engine, effective_digest(engine), preparation=PREPARATION_VERSION, dtype=config.store.dtype
    )
    return EmbeddingStore(spark, store_path(config), space, config.represent.model)
