"""``precision = auto``: the fastest engine on this machine that passes the quality gate."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fusionspark.errors import ConfigError, FusionSparkError
from fusionspark.represent.device import Device, task_device
from fusionspark.represent.loading import EngineSettings, build_engine
from fusionspark.represent.model_source import resolve_model
from fusionspark.represent.quality import QualityFloors, QualityReport, compare, require

#: Tried in this order; float32 comes first, since it is what the others are compared with.
CANDIDATES = ("float32", "bfloat16", "float16", "int8", "static")

HALF = ("bfloat16", "float16")

#: What a half precision must show to count as rounding. Neighbours among made-up texts mean nothing.
EXACT = QualityFloors(mean_cosine=0.9999, p1_cosine=0.9999, overlap_at_10=None)

#: A candidate has to be this much faster than float32 to be worth a change of vectors.
_WORTH = 1.1


@dataclass(frozen=True)
class Trial:
    """One candidate: speed, agreement with float32, and why it was refused (empty when it was not)."""

    precision: str
    texts_per_second: float
    quality: QualityReport | None
    refused: str


@dataclass(frozen=True)
class Choice:
    """The chosen precision, and every trial behind it."""

    precision: str
    trials: tuple[Trial, ...]

    def __str__(self) -> str:
        lines = [f"precision {self.precision}"]
        for trial in self.trials:
            why = f"; refused: {trial.refused}" if trial.refused else ""
            agreement = trial.quality or "reference"
            lines.append(f"  {trial.precision}: {trial.texts_per_second:.0f} texts/s; {agreement}{why}")
        return "\n".join(lines)


def check_quality(
    settings: EngineSettings,
    sample: Sequence[str],
    floors: QualityFloors | None = None,
    device: Device | None = None,
) -> QualityReport:
    """Compare the precision of ``settings`` with float32 on ``sample``.

    Raises
    ------
    ConfigError
        A figure is below its floor; the message holds all of them.
    """
    texts = _distinct(sample)
    exact = build_engine(replace(settings, precision="float32"), device).encode(texts)
    found = build_engine(settings, device).encode(texts)
    report = compare(exact.embeddings, found.embeddings, same_space=settings.precision != "static")
    require(settings.precision, report, floors or QualityFloors())
    return report


def choose_precision(
    settings: EngineSettings,
    sample: Sequence[str],
    floors: QualityFloors | None = None,
    candidates: Sequence[str] = CANDIDATES,
    device: Device | None = None,
) -> Choice:
    """Measure ``candidates`` on this machine and keep the fastest one that passes the gate.

    Parameters
    ----------
    settings : EngineSettings
        Its precision is not looked at.
    sample : sequence of str
        The user's own texts; some hundred give stable figures.
    floors : QualityFloors, optional
        Least agreement with float32 of the compressed precisions. A half precision has to be mere rounding
        (`EXACT`) in any case.
    candidates : sequence of str
        Precisions to try besides float32.
    device : Device, optional
        Where to measure; the running task's by default.
    """
    device = device or task_device(settings.device)
    texts = _distinct(sample)
    few = texts[: max(1, min(16, len(texts) // 4))]
    at_first, exact_speed, exact = _measure(replace(settings, precision="float32"), few, texts, device)
    trials = [Trial("float32", exact_speed, None, "")]
    best, best_speed = "float32", exact_speed * _WORTH
    for precision in candidates:
        if precision == "float32":
            continue
        speed, report, refused = 0.0, None, ""
        try:
            _, speed, vectors = _measure(
                replace(settings, precision=precision), few, texts, device, at_least=at_first / 4
            )
            report = compare(exact, vectors, same_space=precision != "static")
            require(precision, report, EXACT if precision in HALF else floors or QualityFloors())
        except FusionSparkError as error:
            refused = str(error)
        except Exception as error:  # noqa: BLE001 - a library without a kernel for it fails with anything
            refused = f"precision {precision!r} failed here: {type(error).__name__}: {error}"[:300]
        trials.append(Trial(precision, speed, report, refused))
        if not refused and speed > best_speed:
            best, best_speed = precision, speed
    return Choice(best, tuple(trials))


#: Measured once a process for each model.
_AUTO_TEXT = "Measured on a sentence of this length, again and again, number"


def resolve_auto(settings: EngineSettings) -> EngineSettings:
    """``settings`` with ``auto`` replaced by float32 or a half precision, whichever is fastest here.

    A half precision is taken only where its vectors have a cosine of 0.9999 to those of float32.

    Compressed engines change vectors more than rounding does, and no texts of the user are at hand
    here, so they are not candidates.
    """
    if settings.precision != "auto":
        return settings
    source = resolve_model(settings.model)
    if source.kind != "folder":
        return replace(settings, precision="float32")
    key = (settings.model_digest or source.digest(), settings.device)
    if key not in _resolved:
        sample = [f"{_AUTO_TEXT} {i}" for i in range(64)]
        fixed = replace(settings, long_text="truncate")
        _resolved[key] = choose_precision(fixed, sample, candidates=HALF).precision
    return replace(settings, precision=_resolved[key])


_resolved: dict[tuple[str, str], str] = {}


def _distinct(sample: Sequence[str | None]) -> list[str]:
    return [text for text in dict.fromkeys(sample) if text and text.strip()]


def _measure(
    settings: EngineSettings, few: list[str], texts: list[str], device: Device, at_least: float = 0.0
) -> tuple[float, float, np.ndarray]:
    """Texts a second over ``few`` and over ``texts``, and the vectors of the latter."""
    engine = build_engine(settings, device)
    started = time.perf_counter()
    engine.encode(few)
    at_first = len(few) / (time.perf_counter() - started)
    if at_first < at_least:
        # bfloat16 without hardware for it can be forty times slower: the whole sample would take minutes.
        raise ConfigError(
            f"precision {settings.precision!r}",
            f"is slow on this machine: {at_first:.1f} texts/s on {len(few)} texts",
        )
    started = time.perf_counter()
    vectors = engine.encode(texts).embeddings
    return at_first, len(texts) / (time.perf_counter() - started), vectors
