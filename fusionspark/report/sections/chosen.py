"""Which algorithm and split the page talks about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fusionspark.columns import SPLITS, TEST, TRAIN, VALIDATION
from fusionspark.report.display import dig, number


@dataclass(frozen=True)
class Chosen:
    """The best algorithm and the split it is judged on: test, else validation, else train."""

    name: str
    count: int
    split: str
    figures: Mapping[str, Any]
    train: Mapping[str, Any]
    #: Whether the algorithms could be compared on rows held out for that.
    validated: bool

    @property
    def majority(self) -> tuple[str, float] | None:
        """The most frequent class of the training rows and the accuracy of always answering it."""
        label, accuracy = dig(self.figures, "majority", "label"), dig(self.figures, "majority", "accuracy")
        found = number(accuracy)
        return (str(label), found) if label is not None and found is not None else None

    @property
    def gap(self) -> float | None:
        """Accuracy on the training rows minus accuracy on the split it is judged on."""
        here, there = number(self.figures.get("accuracy")), number(self.train.get("accuracy"))
        return there - here if here is not None and there is not None and self.split != TRAIN else None


def algorithms(run: Mapping[str, Any]) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Return the splits of each algorithm that have labelled rows, splits in their usual order."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    classified = run.get("classify")
    for name, splits in classified.items() if isinstance(classified, Mapping) else ():
        kept = {
            split: splits[split]
            for split in SPLITS
            if isinstance(splits, Mapping)
            and isinstance(splits.get(split), Mapping)
            and number(splits[split].get("accuracy")) is not None
        }
        if kept:
            found[str(name)] = kept
    return found


def choose(run: Mapping[str, Any]) -> Chosen | None:
    """Return the best algorithm as the run names it, else the first; None where nothing was classified."""
    found = algorithms(run)
    if not found:
        return None
    best = run.get("best")
    name = best if isinstance(best, str) and best in found else min(found)
    splits = found[name]
    split = next((candidate for candidate in (TEST, VALIDATION, TRAIN) if candidate in splits), TRAIN)
    return Chosen(
        name, len(found), split, splits[split], splits.get(TRAIN, {}),
        any(VALIDATION in kept for kept in found.values()),
    )  # fmt: skip
