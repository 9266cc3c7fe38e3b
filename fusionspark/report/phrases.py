"""The phrases of the page; all of them stand in ``templates/phrases.json``, one block a language."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from fusionspark.errors import ConfigError, nearest
from fusionspark.report.display import visible

_FILE = Path(__file__).parent / "templates" / "phrases.json"


@lru_cache(maxsize=1)
def all_phrases() -> dict[str, dict[str, str]]:
    """Return ``{language: {key: phrase}}``; placeholders in braces are the same in every language."""
    found: dict[str, dict[str, str]] = json.loads(_FILE.read_text(encoding="utf-8"))
    return found


class Words:
    """The phrases of one language.

    Parameters
    ----------
    language : str
        ``en`` or ``zh``.

    Raises
    ------
    ConfigError
        For a language without phrases.
    """

    def __init__(self, language: str) -> None:
        known = all_phrases()
        if language not in known:
            raise ConfigError(
                "report language",
                f"{language!r} is not known{nearest(language, known)}",
                allowed=", ".join(sorted(known)),
                remedy="set the language of the report to one of these",
            )
        self._phrases = known[language]

    def __call__(self, key: str, **values: Any) -> Markup:
        """Return a phrase as markup; values are escaped, isolated from the text's direction, and bold."""
        held = {
            name: Markup("<b><bdi>{}</bdi></b>").format(visible(value, 120)) for name, value in values.items()
        }
        return Markup(self._phrases[key]).format(**held)

    def plain(self, key: str, **values: Any) -> str:
        """Return a phrase as text that is not escaped yet."""
        return self._phrases[key].format(**{name: visible(value, 120) for name, value in values.items()})

    def name(self, key: str) -> str:
        """Return the phrase for a technical name (a split, a figure), or the name itself."""
        return self._phrases.get(key, key)
