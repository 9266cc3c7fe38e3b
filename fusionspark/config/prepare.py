"""The split, and what prepare does."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from fusionspark.config.section import Names, Section, as_list


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


#: Kinds of personal data that can be masked; `fusionspark.prepare.masking` has a rule for each.
Mask = Literal["url", "email", "mention", "phone", "card", "iban", "id_number", "ip"]


class Pictures(Section):
    """What a picture may be, and what it is reduced to."""

    max_bytes: int = Field(50_000_000, ge=1)
    max_pixels: int = Field(50_000_000, ge=1)
    side: int = Field(256, ge=1)


class History(Section):
    """What is known of an entity from its earlier rows; times are those of ``columns.date``."""

    by: Annotated[list[str], BeforeValidator(as_list), Field(min_length=1)]
    values: Names = []
    windows: list[Annotated[int, Field(ge=0)]] = [30]


class Table(Section):
    """How structured columns become numbers."""

    clip: float = Field(0.001, ge=0, lt=0.5)
    skew: float = Field(2.0, ge=0)
    rare: Literal["other", "hash", "target"] = "other"
    hash_buckets: int = Field(32, ge=1)
    folds: int = Field(5, ge=2)
    smoothing: float = Field(20.0, ge=0)
    history: History | None = None
    leak_auc: float = Field(0.99, ge=0.5, le=1)
    leak_action: Literal["report", "stop"] = "report"


class NearDuplicates(Section):
    """Texts that are nearly the same."""

    find: bool = False
    similarity: float = Field(0.8, gt=0, le=1)
    shingle: int = Field(5, ge=1)
    keep_together: bool = True


class Prepare(Section):
    """Text cleaning, words, TF-IDF and the encoding of structured columns."""

    language: Literal["en", "zh", "auto"] = "en"
    fold_width: bool = False
    mask: list[Mask] = []
    pos_tags: bool = False
    text_statistics: Literal["none", "table", "block"] = "none"
    near_duplicates: NearDuplicates = NearDuplicates()
    tfidf_features: int = Field(2000, ge=0)
    tfidf_min_rows: int = Field(2, ge=1)
    tfidf_ngrams: int = Field(1, ge=1, le=3)
    max_categories: int = Field(100, ge=1)
    table: Table = Table()
    pictures: Pictures = Pictures()
