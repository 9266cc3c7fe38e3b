"""How values look on the page: reading a run safely, numbers as text, hostile text made visible."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

#: Shown where a value is not known.
NOTHING = "–"

# Control characters, and the marks that reorder the text around them (embeddings, overrides, isolates).
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]")
_LONE = re.compile("[\ud800-\udfff]")


def dig(run: Any, *keys: str) -> Any:
    """Follow ``keys`` into nested mappings; None where a step is missing.

    >>> dig({"rows": {"in": 3}}, "rows", "in"), dig({"rows": None}, "rows", "in")
    (3, None)
    """
    for key in keys:
        if not isinstance(run, Mapping):
            return None
        run = run.get(key)
    return run


def entries(value: Any) -> list[Mapping[str, Any]]:
    """Return the mappings in a list, or nothing where the value is not a list."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list | tuple) else []


def number(value: Any) -> float | None:
    """Return a finite number, or None for anything else.

    >>> number(3), number(float("nan")), number("3"), number(True)
    (3.0, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def share(part: Any, whole: Any) -> float | None:
    """Return ``part / whole`` as a share, or None where it is not defined."""
    over, under = number(part), number(whole)
    return over / under if over is not None and under else None


def integer(value: Any) -> str:
    """Return a count with thousands separated.

    >>> integer(12345), integer(None)
    ('12,345', '–')
    """
    found = number(value)
    return NOTHING if found is None else f"{found:,.0f}"


def decimal(value: Any, digits: int = 3) -> str:
    """Return a number with fixed digits.

    >>> decimal(0.91239), decimal(1234.5, 1)
    ('0.912', '1,234.5')
    """
    found = number(value)
    return NOTHING if found is None else f"{found:,.{digits}f}"


def significant(value: Any, digits: int = 4) -> str:
    """Return a number of any size with so many significant digits; whole ones are kept.

    >>> significant(0.0123456), significant(12345.678), significant(-3.14159)
    ('0.01235', '12,346', '-3.142')
    """
    found = number(value)
    if found is None:
        return NOTHING
    size = math.floor(math.log10(abs(found))) if found else 0
    return f"{found:,.{min(12, max(0, digits - 1 - size))}f}"


def percent(value: Any, digits: int = 1) -> str:
    """Return a share as a percentage.

    >>> percent(0.8735), percent(None)
    ('87.3%', '–')
    """
    found = number(value)
    return NOTHING if found is None else f"{100 * found:.{digits}f}%"


def points(value: Any) -> str:
    """Return a difference of shares in percentage points, without sign.

    >>> points(-0.0312)
    '3.1'
    """
    found = number(value)
    return NOTHING if found is None else f"{abs(100 * found):.1f}"


def duration(value: Any) -> str:
    """Return seconds as a reader says them.

    >>> duration(0.42), duration(75), duration(3720)
    ('0.42 s', '1 min 15 s', '1 h 02 min')
    """
    found = number(value)
    if found is None:
        return NOTHING
    if found < 10:
        return f"{found:.2f} s"
    if found < 60:
        return f"{found:.1f} s"
    whole = round(found)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def visible(value: Any, limit: int = 400) -> str:
    """Return text whose hidden characters can be seen, cut after ``limit`` characters.

    Characters that reorder or hide the text around them would let a row forge what the page says; they
    are written out by number instead. Right-to-left text itself is untouched.

    >>> visible("a\\u202eb"), visible("x" * 9, 4)
    ('a[U+202E]b', 'xxxx…')
    """
    text = str(value)
    cut = text[:limit] + "…" if len(text) > limit else text
    cut = _LONE.sub("\ufffd", cut)
    return _HIDDEN.sub(lambda found: f"[U+{ord(found.group()):04X}]", cut)


def for_plotly(value: Any, limit: int = 28) -> str:
    """Return text for a plotly label: visible, and escaped, since plotly reads a subset of HTML."""
    text = visible(value, limit).replace("\n", " ")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def flattened(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield ``(dotted key, value)`` of a nested mapping, in its own order.

    >>> list(flattened({"a": {"b": 1, "c": [1, 2]}, "d": None}))
    [('a.b', '1'), ('a.c', '1, 2'), ('d', 'null')]
    """
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from flattened(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        for i, inner in enumerate(value):
            yield from flattened(inner, f"{prefix}[{i}]")
    elif isinstance(value, list | tuple):
        yield prefix, ", ".join(_scalar(item) for item in value) or "[]"
    else:
        yield prefix, _scalar(value)


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return "{}" if isinstance(value, Mapping) and not value else str(value)
