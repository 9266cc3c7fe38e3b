"""Anomaly models as JSON: numbers as base64 of little-endian arrays, no pickle anywhere."""

from __future__ import annotations

import json
from typing import Any

from fusionspark.errors import DataContractError
from fusionspark.mine.anomalies.belonging import Belonging, Values
from fusionspark.mine.anomalies.forest import Forest
from fusionspark.mine.anomalies.model import AnomalyModel
from fusionspark.mine.anomalies.peers import Level, Peers
from fusionspark.mine.anomalies.rarity import Categories, Numbers
from fusionspark.mine.packed_arrays import pack, pack_all, unpack, unpack_all

_VERSION = 3


def to_json(model: AnomalyModel) -> str:
    """The model as one JSON text."""
    numbers, categories, peers = model.numbers, model.categories, model.peers
    belonging = model.belonging
    facts: dict[str, Any] = {
        "version": _VERSION,
        "numeric": model.numeric,
        "categorical": model.categorical,
        "numbers": numbers and {"values": pack_all(numbers.sorted_values), "missing": dict(numbers.missing)},
        "categories": categories and {"rows": categories.rows, "counts": categories.counts},
        "peers": peers
        and {
            "centre": pack(peers.centre),
            "whiten": pack(peers.whiten),
            "rows": peers.rows,
            "weight": peers.weight,
            "levels": [
                {
                    "names": level.names,
                    "groups": level.groups,
                    "rows": pack(level.rows),
                    "means": pack(level.means),
                }
                for level in peers.levels
            ],
        },
        "belonging": belonging
        and {
            "centre": pack(belonging.centre),
            "scale": belonging.scale,
            "columns": [
                {
                    "name": one.name,
                    "values": list(one.index),
                    **pack_all({"share": one.share, "weights": one.weights, "bias": one.bias}),
                }
                for one in belonging.columns
            ],
        },
        "forest": model.forest
        and {
            **pack_all({k: v for k, v in model.forest.arrays().items() if k != "normal"}),
            "normal": model.forest.normal,
        },
        "text_mean": pack(model.text_mean),
        "text_axes": pack(model.text_axes),
        "spread": {str(cluster): value for cluster, value in model.spread.items()},
        "known": pack_all(model.known),
        "joint": pack(model.joint),
        "ids": pack(model.ids),
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
    belonging = facts["belonging"]
    return AnomalyModel(
        tuple(facts["numeric"]),
        tuple(facts["categorical"]),
        Numbers(unpack_all(numbers["values"]), numbers["missing"]) if numbers else None,
        Categories(tuple(facts["categorical"]), categories["rows"], categories["counts"])
        if categories
        else None,
        Peers(
            unpack(peers["centre"]),
            unpack(peers["whiten"]),
            peers["rows"],
            peers["weight"],
            tuple(
                Level(tuple(one["names"]), one["groups"], unpack(one["rows"]), unpack(one["means"]))
                for one in peers["levels"]
            ),
        )
        if peers
        else None,
        Belonging(
            unpack(belonging["centre"]),
            belonging["scale"],
            tuple(
                Values(
                    one["name"],
                    {value: i for i, value in enumerate(one["values"])},
                    unpack(one["share"]),
                    unpack(one["weights"]),
                    unpack(one["bias"]),
                )
                for one in belonging["columns"]
            ),
        )
        if belonging
        else None,
        Forest(**unpack_all({k: v for k, v in forest.items() if k != "normal"}), normal=forest["normal"])
        if forest
        else None,
        unpack(facts["text_mean"]),
        unpack(facts["text_axes"]),
        {int(cluster): value for cluster, value in facts["spread"].items()},
        unpack_all(facts["known"]),
        unpack(facts["joint"]),
        unpack(facts["ids"]),
    )
