"""The split, and what prepare does."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator

from fusionspark.config.section import Names, Section, as_list


def _share_or_count(value: float, info: ValidationInfo) -> float:
    if value >= 1 and value != int(value):
        raise ValueError(
            f"'split.{info.field_name}': {value:g} is no share (less than 1) and no whole number of rows"
        )
    return value


#: A share of the rows (less than 1), or a number of rows (1 and more, whole).
Amount = Annotated[float, Field(ge=0), AfterValidator(_share_or_count)]


class Split(Section):
    """How rows are held out."""

    by: Literal["hash", "date"] = "hash"
    validation: Amount = 0.1
    test: Amount = 0.2

    @property
    def counted(self) -> bool:
        """Whether rows are held out by number, not by share."""
        return self.validation >= 1 or self.test >= 1

    @model_validator(mode="after")
    def _amounts_agree(self) -> Split:
        if self.counted and self.by == "date":
            raise ValueError(
                "split: numbers of rows cannot be held out by date, as no day is parted; give shares below 1"
            )
        if self.counted and any(0 < amount < 1 for amount in (self.validation, self.test)):
            raise ValueError(
                f"split: validation = {self.validation:g} and test = {self.test:g} mix a share with a number "
                "of rows; give two shares below 1, or two numbers of rows"
            )
        return self

    @model_validator(mode="after")
    def _something_is_left(self) -> Split:
        if not self.counted and self.validation + self.test >= 1:
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
