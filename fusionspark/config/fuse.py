"""How blocks become one vector."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fusionspark.config.section import Section


class Weights(Section):
    """Weight of each feature block; 0 leaves the block out."""

    text: float = Field(1.0, ge=0)
    tfidf: float = Field(1.0, ge=0)
    table: float = Field(1.0, ge=0)
    image: float = Field(1.0, ge=0)
    statistics: float = Field(1.0, ge=0)


class Gated(Section):
    """The network of `fuse.method: gated`."""

    encoder_units: int = Field(64, ge=1)
    hidden_units: int = Field(64, ge=1)
    max_epochs: int = Field(60, ge=1)
    tasks: int = Field(2, ge=1)
    local: bool = True


class Fuse(Section):
    """How the blocks become one vector."""

    method: Literal["concat", "stack", "gated", "auto"] = "concat"
    weights: Weights = Weights()
    reduction: Literal["none", "pca", "random_projection"] = "none"
    dimensions: int = Field(64, ge=1)
    folds: int = Field(5, ge=2)
    fold_by: Literal["hash", "group", "date"] = "hash"
    group: str | None = None
    gated: Gated = Gated()
