"""What all sections of the configuration share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict


def as_list(value: object) -> object:
    """Let one name stand for a list of one."""
    return [value] if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(as_list)]


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, types are not guessed, values do not change."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
