"""The split, and what prepare does."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from fusionspark.config.section import Section


class Split(Section):
    """How rows are held out."""

    by: Literal["hash", "date"] = "hash"
    validation: float = Field(0.1, ge=0, lt=1)
    test: float = Field(0.2, ge=0, lt=1)

    @model_validator(mode="after")
    def _something_is_left(self) -> Split:
        if self.validation + self.test >= 1:
            raise ValueError(
                f"split: validation + test = {self.validation + self.test:g} leaves no rows to train on; "
                "their sum must be below 1"
            )
        return self


class Pictures(Section):
    """What a picture may be, and what it is reduced to."""

    max_bytes: int = Field(50_000_000, ge=1)
    max_pixels: int = Field(50_000_000, ge=1)
    side: int = Field(256, ge=1)


class Prepare(Section):
    """Text cleaning, TF-IDF and the encoding of structured columns."""

    language: Literal["en", "zh"] = "en"
    tfidf_features: int = Field(2000, ge=0)
    tfidf_min_rows: int = Field(2, ge=1)
    tfidf_ngrams: int = Field(1, ge=1, le=3)
    max_categories: int = Field(100, ge=1)
    pictures: Pictures = Pictures()
