"""Reading a configuration: strict, layered, resolved and checked before the first Spark job.

Precedence, highest first: ``--set key=value``, the overlay named on the command line, the ``base.yaml``
that lies beside the overlay (if any), the defaults of `fusionspark.config`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from fusionspark.config import Config
from fusionspark.errors import ConfigError, nearest


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads ``1e-4`` as the number it is (YAML 1.1 wants ``1.0e-4``)."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"configuration {str(path)!r}", f"cannot be read ({error.strerror})", remedy="check the path"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"configuration {str(path)!r}", "is not UTF-8", remedy="save the file as UTF-8"
        ) from error
    try:
        data = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise ConfigError(
            f"configuration {str(path)!r}", f"{problem}{where}", remedy="mend the YAML"
        ) from error
    if not isinstance(data, dict):
        raise ConfigError(
            f"configuration {str(path)!r}", f"holds {type(data).__name__}", allowed="a mapping of sections"
        )
    return data


def merge(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Lay ``upper`` over ``lower``: mappings are merged key by key, everything else is replaced.

    >>> merge({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}})
    {'a': {'x': 1, 'y': 3}}
    """
    merged = dict(lower)
    for key, value in upper.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def parse_overrides(pairs: Iterable[str]) -> dict[str, Any]:
    """Turn ``["mine.cluster.k=5"]`` into nested mappings; values are read as YAML.

    >>> parse_overrides(["mine.cluster.k=5", "columns.text=[a, b]"])
    {'mine': {'cluster': {'k': 5}}, 'columns': {'text': ['a', 'b']}}
    """
    nested: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not all(key.split(".")):
            raise ConfigError(f"--set {pair!r}", "is not KEY=VALUE", remedy="write --set mine.cluster.k=5")
        try:
            parsed = yaml.load(value, _Loader)
        except yaml.YAMLError as error:
            raise ConfigError(
                f"--set {pair!r}", "has a value that is not YAML", remedy="quote the value"
            ) from error
        for part in reversed(key.split(".")):
            parsed = {part: parsed}
        nested = merge(nested, parsed)
    return nested


def load(path: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Read, layer and check a configuration.

    Parameters
    ----------
    path : str or Path
        The overlay.
    overrides : iterable of str
        ``key=value`` pairs of the command line, keys dotted.

    Raises
    ------
    ConfigError
        A file that cannot be read, an unknown key, a wrong type, sections that contradict each other.
    """
    path = Path(path)
    layers = [("--set", parse_overrides(overrides)), (str(path), _read_yaml(path))]
    base = path.parent / "base.yaml"
    if base.is_file() and base.resolve() != path.resolve():
        layers.append((str(base), _read_yaml(base)))
    data: dict[str, Any] = {}
    for _, layer in reversed(layers):
        data = merge(data, layer)
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise _explain(error, layers) from None


def _explain(error: ValidationError, layers: list[tuple[str, dict[str, Any]]]) -> ConfigError:
    """The first problem that pydantic found, in our words: key, file, value, what is allowed."""
    # A misspelt section shows twice, as unknown and as missing: the unknown key is the cause.
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    loc = [str(part) for part in first["loc"]]
    # pydantic appends the branch of a union to the place; the user knows only the key.
    while loc and not any(_holds(layer, loc) for _, layer in layers) and len(loc) > 1:
        loc.pop()
    key = ".".join(loc)
    file = next((name for name, layer in layers if loc and _holds(layer, loc)), layers[1][0])
    kind = first["type"]
    if kind == "extra_forbidden":
        return ConfigError(
            f"key {key!r} in {file}",
            f"unknown{nearest(loc[-1], _known_keys(loc[:-1]))}",
            allowed=", ".join(sorted(_known_keys(loc[:-1]))),
            remedy="mend the key; `conf/base.yaml` explains them all",
        )
    if kind == "missing":
        return ConfigError(
            f"key {key!r} in {file}", "missing", remedy=f"add the section {key!r}; see conf/base.yaml"
        )
    if kind == "value_error":
        return ConfigError(f"configuration {file}", str(first["ctx"]["error"]), remedy="mend the file")
    return ConfigError(f"key {key!r} in {file}", f"{first['input']!r} is not usable", allowed=first["msg"])


def _holds(layer: Any, loc: list[str]) -> bool:
    for part in loc:
        if isinstance(layer, list) and part.isdigit() and int(part) < len(layer):
            layer = layer[int(part)]
        elif isinstance(layer, Mapping) and part in layer:
            layer = layer[part]
        else:
            return False
    return True


def _known_keys(loc: list[str]) -> list[str]:
    section: type[BaseModel] = Config
    for part in loc:
        section = section.model_fields[part].annotation  # type: ignore[assignment]
    return list(section.model_fields)
