"""Which attempt at a run date a command writes to, and how much of it is whole already."""

from __future__ import annotations

from collections.abc import Callable

from fusionspark import columns as c
from fusionspark.config import Config
from fusionspark.errors import ConfigError
from fusionspark.pipeline import retrain
from fusionspark.tables import RunFolder, number_of

#: What each stage leaves in the folder of its attempt.
LEFT_BY = {
    "collect": (c.COLLECTED, c.QUARANTINE),
    "prepare": (c.PREPARED, "models/prepare"),
    "represent": (c.EMBEDDINGS,),
    "fuse": (c.FEATURE_TABLE, "models/fuse"),
    "mine": (
        *(c.PREDICTIONS, c.CLUSTERS, c.RULES, c.ANOMALIES),
        *("models/classify", "models/regress", "models/cluster", "models/anomalies"),
    ),
    "report": (),
}


def begin(
    home: RunFolder,
    config: Config,
    *,
    first: str,
    full: bool,
    fingerprint: Callable[[], str | None],
    say: Callable[[str], None],
) -> tuple[RunFolder, int]:
    """The attempt to go on with, or a new one, and how many of its stages are whole.

    What is published is never written to. An attempt that was stopped goes on after its last whole stage,
    if neither the configuration nor the source changed; with ``first`` past the first stage, the stages
    before it are taken from the stopped attempt or else copied from the published one.

    Parameters
    ----------
    home : RunFolder
        The run date, locked by this process.
    full : bool
        Whatever was stopped is thrown away.
    fingerprint : callable
        Returns what the source's files look like now; called only where it decides.

    Raises
    ------
    ConfigError
        ``first`` needs a stage that is not there, or was made with another configuration.
    """
    published = home.published_attempt()
    newest_first = list(reversed(home.attempts()))
    stopped = next((name for name in newest_first if name != published), None)
    if stopped is not None and (
        number_of(stopped) < number_of(published or "") or _is_replay(home.at(stopped))
    ):
        home.delete_attempt(stopped)
        stopped = None
    start = c.STAGES.index(first)
    if start:
        return _take_over(home, config, first, [name for name in (stopped, published) if name is not None])
    if stopped is not None and not full:
        attempt = home.at(stopped)
        whole = _whole_stages(attempt, config)
        if whole and (attempt.stage_facts(c.STAGES[0]) or {}).get("fingerprint") != fingerprint():
            say("the source changed since the run was stopped: it starts anew")
        elif whole:
            return attempt, whole
    fresh = home.new_attempt()
    if stopped is not None:
        home.delete_attempt(stopped)
    return fresh, 0


def tidy(home: RunFolder) -> None:
    """Delete all attempts but the published one."""
    published = home.published_attempt()
    for name in home.attempts():
        if name != published:
            home.delete_attempt(name)


def is_whole(attempt: RunFolder, config: Config, stage: str) -> bool:
    """Whether ``stage`` was finished in this attempt, with a configuration that gives the same."""
    facts = attempt.stage_facts(stage)
    if facts is None or facts["config_digest"] != config.stage_digest(stage):
        return False
    return stage != "prepare" or retrain.still_holds(config, facts)


def _is_replay(attempt: RunFolder) -> bool:
    """Whether a replay made this attempt, out of tables that `run` would not make."""
    return bool((attempt.stage_facts(c.STAGES[0]) or {}).get("replayed"))


def _whole_stages(attempt: RunFolder, config: Config) -> int:
    """How many stages, from the first one on, are whole."""
    for i, stage in enumerate(c.STAGES):
        if not is_whole(attempt, config, stage):
            return i
    return len(c.STAGES)


def _take_over(home: RunFolder, config: Config, first: str, candidates: list[str]) -> tuple[RunFolder, int]:
    start = c.STAGES.index(first)
    for name in candidates:
        attempt = home.at(name)
        if _whole_stages(attempt, config) < start:
            continue
        if name != home.published_attempt():
            return attempt, start
        fresh = home.new_attempt()
        for stage in c.STAGES[:start]:
            for left in (*LEFT_BY[stage], f"_stages/{stage}.json"):
                home.files.copy(f"{attempt.place}/{left}", f"{fresh.place}/{left}")
        return fresh, start
    newest = home.at(candidates[0] if candidates else None)
    stage = c.STAGES[_whole_stages(newest, config)]
    there = newest.stage_facts(stage) is not None
    raise ConfigError(
        f"--from {first}",
        f"stage {stage!r} of {newest.path} is " + ("made with another configuration" if there else "missing"),
        remedy=f"run without --from, or with --from {stage}",
    )
