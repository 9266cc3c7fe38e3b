"""Arrays inside JSON: base64 of little-endian numbers, no pickle anywhere."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from fusionspark.errors import DataContractError

#: Types an array may have; also the least that is read back.
_TYPES = ("<f8", "<f4", "<i8", "<i4")


def pack(array: Any) -> dict[str, Any]:
    """The array as JSON values: type, shape and base64."""
    array = np.ascontiguousarray(array)
    kind = array.dtype.newbyteorder("<").str
    return {
        "type": kind,
        "shape": array.shape,
        "base64": base64.b64encode(array.astype(kind).tobytes()).decode("ascii"),
    }


def unpack(facts: dict[str, Any]) -> Any:
    """Read back what `pack` gave.

    Raises
    ------
    DataContractError
        The type is none that `pack` writes.
    """
    if facts["type"] not in _TYPES:
        raise DataContractError("saved array", f"is of type {facts['type']!r}", allowed=", ".join(_TYPES))
    raw = np.frombuffer(base64.b64decode(facts["base64"]), dtype=facts["type"])
    return raw.reshape(facts["shape"]).astype(raw.dtype.newbyteorder("="))


def pack_all(arrays: Any) -> dict[str, Any]:
    """Pack each array of a mapping."""
    return {name: pack(array) for name, array in arrays.items()}


def unpack_all(arrays: Any) -> dict[str, Any]:
    """Unpack each array of a mapping."""
    return {name: unpack(array) for name, array in arrays.items()}
