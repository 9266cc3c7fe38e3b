"""Anomaly models as JSON: numbers as base64 of little-endian arrays, no pickle anywhere."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

from fusionspark.errors import DataContractError
from fusionspark.mine.anomalies.forest import Forest
from fusionspark.mine.anomalies.model import AnomalyModel
from fusionspark.mine.anomalies.peers import Level, Peers
from fusionspark.mine.anomalies.rarity import Categories, Numbers

#: Types an array may have; also the least that is read back.
_TYPES = ("<f8", "<f4", "<i8", "<i4")
_VERSION = 1


def to_json(model: AnomalyModel) -> str:
    """The model as one JSON text."""
    numbers, categories, peers = model.numbers, model.categories, model.peers
    facts: dict[str, Any] = {
        "version": _VERSION,
        "numeric": model.numeric,
        "categorical": model.categorical,
        "numbers": numbers and {"values": _packed(numbers.sorted_values), "missing": dict(numbers.missing)},
        "categories": categories and {"rows": categories.rows, "counts": categories.counts},
        "peers": peers
        and {
            "centre": _pack(peers.centre),
            "whiten": _pack(peers.whiten),
            "rows": peers.rows,
            "weight": peers.weight,
            "levels": [
                {
                    "names": level.names,
                    "groups": level.groups,
                    "rows": _pack(level.rows),
                    "means": _pack(level.means),
                }
                for level in peers.levels
            ],
        },
        "forest": model.forest
        and {
            **_packed({k: v for k, v in model.forest.arrays().items() if k != "normal"}),
            "normal": model.forest.normal,
        },
        "text_mean": _pack(model.text_mean),
        "text_axes": _pack(model.text_axes),
        "spread": {str(cluster): value for cluster, value in model.spread.items()},
        "known": _packed(model.known),
        "joint": _pack(model.joint),
        "ids": _pack(model.ids),
    }
    return json.dumps(facts, ensure_ascii=False, allow_nan=False)


def from_json(text: str) -> AnomalyModel:
    """Read back what `to_json` gave.

    Raises
    ------
    DataContractError
        The text is of another version.
    """
    facts = json.loads(text)
    if facts.get("version") != _VERSION:
        raise DataContractError(
            "saved anomaly model", f"is of version {facts.get('version')!r}", allowed=str(_VERSION),
            remedy="train again with `fusionspark run`",
        )  # fmt: skip
    numbers, categories, peers, forest = (facts[n] for n in ("numbers", "categories", "peers", "forest"))
    return AnomalyModel(
        tuple(facts["numeric"]),
        tuple(facts["categorical"]),
        Numbers(_unpacked(numbers["values"]), numbers["missing"]) if numbers else None,
        Categories(tuple(facts["categorical"]), categories["rows"], categories["counts"])
        if categories
        else None,
        Peers(
            _unpack(peers["centre"]),
            _unpack(peers["whiten"]),
            peers["rows"],
            peers["weight"],
            tuple(
                Level(tuple(one["names"]), one["groups"], _unpack(one["rows"]), _unpack(one["means"]))
                for one in peers["levels"]
            ),
        )
        if peers
        else None,
        Forest(**_unpacked({k: v for k, v in forest.items() if k != "normal"}), normal=forest["normal"])
        if forest
        else None,
        _unpack(facts["text_mean"]),
        _unpack(facts["text_axes"]),
        {int(cluster): value for cluster, value in facts["spread"].items()},
        _unpacked(facts["known"]),
        _unpack(facts["joint"]),
        _unpack(facts["ids"]),
    )


def _pack(array: Any) -> dict[str, Any]:
    array = np.ascontiguousarray(array)
    kind = array.dtype.newbyteorder("<").str
    return {
        "type": kind,
        "shape": array.shape,
        "base64": base64.b64encode(array.astype(kind).tobytes()).decode("ascii"),
    }


def _unpack(facts: dict[str, Any]) -> Any:
    if facts["type"] not in _TYPES:
        raise DataContractError(
            "saved anomaly model", f"holds an array of {facts['type']!r}", allowed=", ".join(_TYPES)
        )
    raw = np.frombuffer(base64.b64decode(facts["base64"]), dtype=facts["type"])
    return raw.reshape(facts["shape"]).astype(raw.dtype.newbyteorder("="))


def _packed(arrays: Any) -> dict[str, Any]:
    return {name: _pack(array) for name, array in arrays.items()}


def _unpacked(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: _unpack(array) for name, array in facts.items()}
