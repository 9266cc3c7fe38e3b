"""All sections together, and digests of what they say."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import Field, model_validator

from fusionspark.columns import STAGES
from fusionspark.config.columns import Columns
from fusionspark.config.contract import Contract
from fusionspark.config.credentials import REDACTED, is_credential, without_user_info
from fusionspark.config.fuse import Fuse
from fusionspark.config.log import Log
from fusionspark.config.mine import Mine
from fusionspark.config.plan import Plan
from fusionspark.config.prepare import Prepare, Split
from fusionspark.config.report import Report
from fusionspark.config.represent import SPEED_ONLY, Represent, Store
from fusionspark.config.score import Score, Stream
from fusionspark.config.section import Section
from fusionspark.config.source import Drift, Source
from fusionspark.config.tune import Tune


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
    contract: Contract = Contract()
    drift: Drift = Drift()
    split: Split = Split()
    prepare: Prepare = Prepare()
    represent: Represent = Represent()
    store: Store = Store()
    fuse: Fuse = Fuse()
    mine: Mine = Mine()
    report: Report = Report()
    score: Score = Score()
    stream: Stream = Stream()
    plan: Plan = Plan()
    log: Log = Log()
    tune: Tune = Tune()
    spark: dict[str, str] = {}

    @model_validator(mode="after")
    def _sections_agree(self) -> Config:
        if self.split.by == "date" and not self.columns.date:
            raise ValueError("split.by is 'date' but columns.date is not set; name the date column there")
        near = self.prepare.near_duplicates
        if self.split.counted and near.find and near.keep_together:
            raise ValueError(
                "split holds out numbers of rows, which near-duplicates on one side would not let it keep; "
                "give shares below 1, or set prepare.near_duplicates.keep_together: false"
            )
        fuse = self.fuse
        if fuse.method != "concat" and not self.columns.label:
            raise ValueError(
                f"fuse.method is {fuse.method!r}, which learns from columns.label; set it, or use concat"
            )
        if fuse.fold_by == "date" and not self.columns.date:
            raise ValueError("fuse.fold_by is 'date' but columns.date is not set; name the date column there")
        known = [*self.columns.numeric, *self.columns.categorical]
        if fuse.fold_by == "group" and fuse.group not in known:
            raise ValueError(
                f"fuse.fold_by is 'group' and fuse.group {fuse.group!r}; allowed are columns.numeric and "
                f"columns.categorical: {', '.join(known) or 'none are set'}"
            )
        history = self.prepare.table.history
        if history is not None:
            if not self.columns.date:
                raise ValueError(
                    "prepare.table.history needs the time of a row; name its column in columns.date"
                )
            for part, names in (("by", self.columns.categorical), ("values", self.columns.numeric)):
                for name in getattr(history, part):
                    if name not in names:
                        where = "columns.categorical" if part == "by" else "columns.numeric"
                        raise ValueError(
                            f"prepare.table.history.{part}: {name!r} is not in {where}; name it there"
                        )
        if self.prepare.table.rare == "target" and not self.columns.label:
            raise ValueError(
                "prepare.table.rare is 'target' but columns.label is not set; there is no target"
            )
        return self

    @model_validator(mode="after")
    def _a_number_is_estimated(self) -> Config:
        if not self.columns.number:
            return self
        for key, value, allowed in (
            ("fuse.method", self.fuse.method, "concat"),
            ("prepare.table.rare", self.prepare.table.rare, "hash"),
        ):
            if value in ("stack", "gated", "auto", "target"):
                raise ValueError(
                    f"{key} is {value!r}, which learns classes, and columns.label_kind is 'number'; "
                    f"use {allowed}"
                )
        return self

    def redacted(self) -> dict[str, Any]:
        """The configuration as plain data in which no credential can be read."""
        data = self.model_dump()
        for section, place in (("source", self.source), ("stream", self.stream)):
            data[section]["options"] = {
                key: REDACTED if is_credential(key) else without_user_info(value)
                for key, value in place.options.items()
            }
            data[section]["path"] = without_user_info(place.path)
        data["stream"]["output"] = without_user_info(self.stream.output)
        data["output"] = without_user_info(self.output)
        data["store"]["path"] = without_user_info(self.store.path)
        data["report"]["mlflow"]["uri"] = without_user_info(self.report.mlflow.uri)
        data["spark"] = {k: REDACTED if is_credential(k) else v for k, v in self.spark.items()}
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
            "collect": ("source", "columns", "contract"),
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
        data["report"].pop("mlflow")
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
