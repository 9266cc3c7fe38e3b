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


#: Kinds of personal data that can be masked; `fusionspark.prepare.masking` has a rule for each.
Mask = Literal["url", "email", "mention", "phone", "card", "iban", "id_number", "ip"]


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
