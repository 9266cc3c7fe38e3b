"""How blocks become one vector."""

from __future__ import annotations

from pydantic import Field

from fusionspark.config.section import Section


class Weights(Section):
    """Weight of each feature block; 0 leaves the block out."""

    text: float = Field(1.0, ge=0)
    tfidf: float = Field(1.0, ge=0)
    table: float = Field(1.0, ge=0)


class Fuse(Section):
    """How the blocks become one vector."""

    weights: Weights = Weights()
