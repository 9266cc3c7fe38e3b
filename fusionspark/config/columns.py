"""Which column plays which part."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from fusionspark.columns import RESERVED, TFIDF_OF_COLUMN
from fusionspark.config.section import Names, Section


class Columns(Section):
    """Which column plays which part."""

    key: Names = []
    text: Names = []
    image: str | None = None
    numeric: Names = []
    categorical: Names = []
    date: str | None = None
    dates: Names = []
    label: str | None = None
    label_kind: Literal["classes", "number"] = "classes"
    basket: str | None = None
    item: str | None = None

    @property
    def number(self) -> str | None:
        """The label where it is a number to be estimated, not a class to be recognised."""
        return self.label if self.label_kind == "number" else None

    @property
    def texts_a_row(self) -> int:
        """Columns that the text of a row is joined from; 1 where there is none to join."""
        return max(1, len(self.text))

    @model_validator(mode="after")
    def _parts_do_not_collide(self) -> Columns:
        for part in ("numeric", "categorical", "dates"):
            for name in getattr(self, part):
                if name in RESERVED or name.startswith(TFIDF_OF_COLUMN):
                    raise ValueError(
                        f"columns.{part}: {name!r} is a name that fusionspark writes itself; give the column "
                        f"another name with source.derive, for example {{my_{name}: {name}}}"
                    )
                if name == self.label:
                    raise ValueError(
                        f"columns.{part}: {name!r} is the label; a feature that is the answer is a leak"
                    )
        structured = [*self.numeric, *self.categorical, *(one for one in self.dates if one != self.date)]
        twice = sorted({name for name in structured if structured.count(name) > 1})
        if twice:
            raise ValueError(f"columns: {twice[0]!r} is listed twice among numeric, categorical and dates")
        if self.basket or self.item:
            return self._basket_alone()
        if not (self.text or structured or self.dates or self.image):
            raise ValueError("columns: name at least one text, image, numeric or categorical column")
        return self

    def _basket_alone(self) -> Columns:
        if not (self.basket and self.item):
            raise ValueError("columns: basket and item go together: one names the basket, one what is in it")
        others = {name: one for name, one in Columns.model_fields.items() if name not in ("basket", "item")}
        named = [name for name, one in others.items() if getattr(self, name) != one.default]
        if named:
            raise ValueError(
                f"columns.{named[0]}: lines of baskets have no such part; leave out it, or basket and item"
            )
        return self
