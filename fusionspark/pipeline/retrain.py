"""Which models a night applies: those of an earlier run, or its own.

The decision falls once a run, before the stage prepare, and is kept in the facts of that stage: a run that
was stopped goes on with the models it began with.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fusionspark import columns as c
from fusionspark.config import Config, Every
from fusionspark.errors import ConfigError
from fusionspark.mine.stability import count_bins, learn_bins, psi
from fusionspark.pipeline.context import Context, earlier_runs
from fusionspark.pipeline.pictures import same_image_model
from fusionspark.represent.loading import EngineSettings, effective_digest
from fusionspark.tables import RunFolder


@dataclass(frozen=True)
class Models:
    """The models of a run, as `run.json` names them: of which run, how old, and why these."""

    of: str
    age_days: int
    retrained: bool
    why: str


def choose(ctx: Context, rows: DataFrame) -> dict[str, Any]:
    """Decide whether earlier models are applied, and set ``ctx.kept`` where they are.

    Parameters
    ----------
    rows : DataFrame
        The collected rows of tonight, which ``on_drift`` compares with those of the training night.

    Returns
    -------
    dict
        The fields of `Models`, and what a later night needs in order to decide: ``policy`` and ``digest`` of
        the configuration, ``distribution`` of the rows, and under ``drift`` what was measured.
    """
    policy = ctx.config.mine.retrain
    facts: dict[str, Any] = {
        "policy": policy.model_dump() if isinstance(policy, Every) else policy,
        "digest": ctx.config.models_digest(),
    }
    if ctx.config.columns.number:
        rows = rows.withColumn(c.LABEL, F.col(c.LABEL).cast("double"))
    keep, why, trainer = False, "mine.retrain is always", None
    if ctx.full:
        why = "--full takes nothing over from an earlier run"
    elif policy != "always":
        trainer, why = _usable(ctx)
    if trainer:
        keep, why, found = _judge(ctx, trainer, rows)
        facts |= found
    if not (keep and trainer):
        if policy == "on_drift":
            facts["distribution"] = _distribution(ctx, rows)
        return {**asdict(Models(ctx.run.run_date, 0, True, why)), **facts}
    ctx.kept = trainer
    # Models of an earlier start of this date would be taken for those that were applied.
    ctx.run.files.delete(ctx.run.model_path(""))
    return {**asdict(Models(trainer.run_date, _age(ctx, trainer), False, why)), **facts}


def restore(ctx: Context) -> None:
    """Set ``ctx.kept`` as the stage prepare decided when it ran."""
    chosen = ctx.facts["prepare"]["models"]
    if chosen["retrained"]:
        return
    ctx.kept = _published(ctx.run, chosen["of"])
    if ctx.kept is None or not ctx.kept.files.exists(ctx.kept.model_path("prepare")):
        raise ConfigError(
            f"models of {ctx.run.root}/{chosen['of']}",
            f"are gone, and the stages of {ctx.run.path} that are whole were made with them",
            remedy="run with --from prepare, which chooses models anew",
        )


def stated(ctx: Context) -> dict[str, Any]:
    """The models of a run for its manifest: `Models`, what drift was measured, how they still do."""
    if ctx.kept is not None and ctx.scoring:
        why = "scoring applies the models of the newest published run"
        return asdict(Models(ctx.kept.run_date, _age(ctx, ctx.kept), False, why))
    chosen = ctx.facts["prepare"]["models"]
    shown = {name: chosen[name] for name in ("of", "age_days", "retrained", "why", "drift") if name in chosen}
    return {**shown, **ctx.facts["report"].get("models", {})}


def still_holds(config: Config, prepare: dict[str, Any]) -> bool:
    """Whether the choice in the facts of a whole stage prepare would still be allowed."""
    chosen = prepare["models"]
    policy = config.mine.retrain
    same_policy = chosen["policy"] == (policy.model_dump() if isinstance(policy, Every) else policy)
    # A run with models of its own may train its later stages in another way; one with kept models cannot.
    return bool(chosen["retrained"] or (same_policy and chosen["digest"] == config.models_digest()))


def trainer_of(run: RunFolder) -> RunFolder:
    """The run that trained the models which ``run`` applied; itself where it trained its own."""
    models = (run.stage_facts("prepare") or {}).get("models", {})
    of = models.get("of", run.run_date)
    return run if of == run.run_date else _published(run, of) or run


def _published(beside: RunFolder, run_date: str) -> RunFolder | None:
    """The run of another date, held to what is published now; None where nothing is."""
    folder = RunFolder(beside.spark, beside.root, run_date, beside.table_format)
    attempt = folder.published_attempt()
    return None if attempt is None else folder.at(attempt)


def _usable(ctx: Context) -> tuple[RunFolder | None, str]:
    """The run whose models the newest fitting run applied, or None with the reason why there is none."""
    newest = ""
    for folder in earlier_runs(ctx.run):
        newest = newest or folder.run_date
        models = (folder.stage_facts("prepare") or {}).get("models")
        if not models or models["digest"] != ctx.config.models_digest():
            continue
        trainer = _published(ctx.run, models["of"])
        if trainer is None or not trainer.files.exists(trainer.model_path("prepare")):
            continue
        if _same_vectors(ctx.config, trainer):
            return trainer, ""
    if not newest:
        return None, "no earlier run is published, and a first run always trains"
    return None, f"no earlier run, {newest} the newest, has models of this configuration and language model"


def _same_vectors(config: Config, trainer: RunFolder) -> bool:
    """Whether tonight's texts become vectors of the very model that the saved ones were trained on."""
    trained = (trainer.stage_facts("represent") or {}).get("represent")
    if not same_image_model(config, trainer.stage_facts("represent") or {}):
        return False
    if not config.columns.text or not trained:
        return not config.columns.text
    settings = config.represent
    # With `auto` new texts are encoded as the trainer did, whatever is fastest tonight.
    precision = trained["precision"] if settings.precision == "auto" else settings.precision
    engine = EngineSettings(model=settings.model, precision=precision, cache_dir=settings.cache_dir)
    return bool(effective_digest(engine) == trained["model_digest"])


def _age(ctx: Context, trainer: RunFolder) -> int:
    return (dt.date.fromisoformat(ctx.run.run_date) - dt.date.fromisoformat(trainer.run_date)).days


def _judge(ctx: Context, trainer: RunFolder, rows: DataFrame) -> tuple[bool, str, dict[str, Any]]:
    """Whether the policy keeps the models of ``trainer``, why, and what was measured for that."""
    policy, age = ctx.config.mine.retrain, _age(ctx, trainer)
    of = f"the models of {trainer.run_date} are {age} {'day' if age == 1 else 'days'} old"
    if isinstance(policy, Every):
        return age < policy.every, f"{of}, and mine.retrain.every is {policy.every}", {}
    if policy == "never":
        return True, f"{of}, and mine.retrain is never", {}
    learnt = (trainer.stage_facts("prepare") or {})["models"].get("distribution")
    if learnt is None:
        return False, f"{of} and came without the figures that drift is measured against", {}
    drift = _drift(ctx.config.mine.drift_psi, learnt, count_bins(rows, learnt["bins"]))
    if drift["beyond"]:
        name = drift["beyond"][0]
        limit = f"above mine.drift_psi = {ctx.config.mine.drift_psi:g}"
        why = f"{name!r} has moved: stability index {drift['psi'][name]:.2f}, {limit}"
        return False, why, {"drift": drift}
    fell = _fell(ctx, trainer)
    if fell:
        return False, fell, {"drift": drift}
    largest = max(drift["psi"].values(), default=0.0)
    return True, f"{of} and no column has moved (largest stability index {largest:.2f})", {"drift": drift}


def _drift(limit: float, learnt: dict[str, Any], now: dict[str, list[int]]) -> dict[str, Any]:
    """Stability index of each column, and which are beyond both the limit and chance, the worst first."""
    found = {name: psi(learnt["counts"][name], counts) for name, counts in now.items()}
    beyond = [name for name, (index, chance) in found.items() if index > max(limit, chance)]
    return {
        "psi": {name: round(index, 4) for name, (index, _) in found.items()},
        "limit": limit,
        "beyond": sorted(beyond, key=lambda name: -found[name][0]),
    }


def _fell(ctx: Context, trainer: RunFolder) -> str:
    """Say how the figures on test rows fell on the last night that applied these models; empty if not."""
    for folder in earlier_runs(ctx.run):
        if trainer_of(folder).run_date != trainer.run_date:
            continue
        found = folder.manifest().get("models", {})
        if not found.get("dropped"):
            return ""
        metric = found["metric"]
        went = "rose" if metric == "rmse" else "fell"
        fell = f"{metric} on test rows {went} from {found['then'][metric]:.3f} to {found['now'][metric]:.3f}"
        return f"{fell} by {folder.run_date}, more than the {found['margin']:.3f} that chance explains"
    return ""


def _distribution(ctx: Context, rows: DataFrame) -> dict[str, Any]:
    """Bins of the structured columns and the label, and the rows in each, for later nights."""
    columns = ctx.config.columns
    label = [c.LABEL] if columns.label else []
    numbers, kinds = (label, []) if columns.number else ([], label)
    bins = learn_bins(rows, [*columns.numeric, *numbers], [*columns.categorical, *kinds])
    return {"bins": bins, "counts": count_bins(rows, bins)}
