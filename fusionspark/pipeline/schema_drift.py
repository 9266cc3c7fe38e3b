"""What changed in the shape of the source since the run before; plain data in and out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fusionspark.config import Drift
from fusionspark.errors import DataContractError

#: Findings that an error spells out; run.json has them all.
_SPELT_OUT = 20


def compare(before: Mapping[str, Any], now: Mapping[str, Any], limits: Drift) -> list[dict[str, Any]]:
    """Compare two results of `pipeline.profile.profile`.

    Returns
    -------
    list of dict
        ``column``, ``kind`` (``gone``, ``new``, ``type``, ``null_share`` or ``category_share``), ``before``,
        ``now`` and ``says``, the finding as a sentence; a category also has ``value``.
    """
    old, new = before["columns"], now["columns"]
    found = [
        _finding(name, "gone", old[name]["type"], None, f"column {name!r} ({old[name]['type']}) is gone")
        for name in old
        if name not in new
    ]
    for name, shape in new.items():
        if name not in old:
            found.append(
                _finding(name, "new", None, shape["type"], f"column {name!r} ({shape['type']}) is new")
            )
            continue
        found += _changes(name, old[name], shape, limits)
    return found


def _changes(
    name: str, old: Mapping[str, Any], new: Mapping[str, Any], limits: Drift
) -> Iterator[dict[str, Any]]:
    if old["type"] != new["type"]:
        says = f"column {name!r} was {old['type']} and is {new['type']}"
        yield _finding(name, "type", old["type"], new["type"], says)
    was, share = old["null_share"], new["null_share"]
    if abs(share - was) > limits.null_share:
        says = f"missing values of {name!r} went from {was:.1%} to {share:.1%}"
        yield _finding(name, "null_share", was, share, says)
    if "categories" not in old or "categories" not in new:
        return
    for value in dict.fromkeys((*old["categories"], *new["categories"])):
        was = old["categories"].get(value, _unlisted(old, new["categories"].get(value)))
        share = new["categories"].get(value, _unlisted(new, was))
        if abs(share - was) > limits.category_share:
            says = f"the share of {value!r} in {name!r} went from {was:.1%} to {share:.1%}"
            yield {**_finding(name, "category_share", was, share, says), "value": value}


def _unlisted(shape: Mapping[str, Any], elsewhere: float | None) -> float:
    """Share of a category that is not listed: 0, or where the list was cut what is nearest to ``elsewhere``.

    It may have had any share up to the smallest listed one, and no jump is to be made up.
    """
    most = 0.0 if shape["whole"] else min(shape["categories"].values(), default=0.0)
    return most if elsewhere is None else min(most, elsewhere)


def _finding(column: str, kind: str, before: Any, now: Any, says: str) -> dict[str, Any]:
    return {"column": column, "kind": kind, "before": before, "now": now, "says": says}


def check(place: str, schema: Mapping[str, Any], limits: Drift) -> None:
    """Raise `DataContractError` where the source changed and the configuration wants to stop then."""
    drift = schema["drift"]
    if limits.action == "report" or not drift:
        return
    spelt = [finding["says"] for finding in drift[:_SPELT_OUT]]
    more = len(drift) - len(spelt)
    raise DataContractError(
        f"source {place}",
        f"differs from that of the run {schema['compared_with']}: "
        + "; ".join([*spelt, *([f"and {more} more"] if more else [])]),
        allowed=f"the same columns and types, shares within drift.null_share = {limits.null_share:g} and "
        f"drift.category_share = {limits.category_share:g}",
        remedy="mend the source, or publish one run with drift.action: report; later ones are compared to it",
    )
