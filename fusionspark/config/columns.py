"""Which column plays which part."""

from __future__ import annotations

from pydantic import model_validator

from fusionspark.columns import RESERVED
from fusionspark.config.section import Names, Section


class Columns(Section):
    """Which column plays which part."""

    key: Names = []
    text: Names = []
    numeric: Names = []
    categorical: Names = []
    date: str | None = None
    label: str | None = None

    @model_validator(mode="after")
    def _parts_do_not_collide(self) -> Columns:
        for part in ("numeric", "categorical"):
            for name in getattr(self, part):
                if name in RESERVED:
                    raise ValueError(
                        f"columns.{part}: {name!r} is a name that fusionspark writes itself; give the column "
                        f"another name with source.derive, for example {{my_{name}: {name}}}"
                    )
                if name == self.label:
                    raise ValueError(
                        f"columns.{part}: {name!r} is the label; a feature that is the answer is a leak"
                    )
        structured = [*self.numeric, *self.categorical]
        twice = sorted({name for name in structured if structured.count(name) > 1})
        if twice:
            raise ValueError(f"columns: {twice[0]!r} is listed twice among numeric and categorical")
        if not (self.text or structured):
            raise ValueError("columns: name at least one text, numeric or categorical column")
        return self
