"""Packing what a plan was decided from: JSON for the values, arrays as bytes beside it, zlib over both.

Nothing is executed when it is read: a closed set of our own frozen dataclasses and enumerations is filled in,
field by field. Arrays are kept to the last bit.
"""

from __future__ import annotations

import importlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np

from autoscaler.errors import StoreError
from policies.inputs import Inputs, trimmed

_MODULES = (
    *("policies.model", "policies.policy", "policies.conditions", "policies.plan", "policies.outlook"),
    *("policies.standing", "policies.inputs", "forecasts.types"),
)
_PLAIN = (str, int, float, bool, type(None))
_KINDS = "biuf"  # of arrays: truth, whole numbers, floats


def packed(inputs: Inputs) -> bytes:
    """The bytes of what `decide` looks at: about 0.3 kB a pool, and the past that its scaler wants."""
    arrays: list[np.ndarray[Any, Any]] = []
    body = json.dumps(_shown(trimmed(inputs), arrays), separators=(",", ":"), ensure_ascii=False).encode()
    parts = [len(body).to_bytes(8, "big"), body, *(_shuffled(array) for array in arrays)]
    return zlib.compress(b"".join(parts), 6)


def unpacked(packing: bytes) -> Inputs:
    """What was packed; StoreError where it cannot be read."""
    try:
        raw = zlib.decompress(packing)
        size = int.from_bytes(raw[:8], "big")
        value = _Reader(raw[8 + size :]).value(json.loads(raw[8 : 8 + size]))
    except (zlib.error, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(f"the inputs of a plan cannot be read: {error}") from error
    if not isinstance(value, Inputs):
        raise StoreError("the inputs of a plan cannot be read: they are something else")
    return value


@cache
def _known() -> Mapping[str, type]:
    """The dataclasses, tuples with names and enumerations that may be read, by module and name."""
    return MappingProxyType(
        {
            _name(one): one
            for module in map(importlib.import_module, _MODULES)
            for one in vars(module).values()
            if isinstance(one, type) and one.__module__ == module.__name__
        }
    )


def _name(kind: type) -> str:
    return f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"


def _shown(value: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
    """The JSON of a value: what is no plain value or sequence is an object with one tag."""
    kind = value.__class__
    if kind in _PLAIN:
        return value
    if isinstance(value, Enum):
        return {"e": [_name(kind), value.value]}
    if isinstance(value, datetime):
        return {"t": value.isoformat()}
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"a": [value.dtype.str, list(value.shape)]}
    if isinstance(value, Mapping):
        return {"m": [[key, _shown(entry, arrays)] for key, entry in value.items()]}
    return _structure(value, arrays)


def _structure(value: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
    kind = value.__class__
    if is_dataclass(value):
        given = [entry for entry in fields(value) if entry.init]
        return {
            "o": [_name(kind), {entry.name: _shown(getattr(value, entry.name), arrays) for entry in given}]
        }
    if hasattr(kind, "_fields"):
        return {"n": [_name(kind), [_shown(entry, arrays) for entry in value]]}
    if isinstance(value, tuple | list):
        return [_shown(entry, arrays) for entry in value]
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{kind.__name__} cannot be packed")


class _Reader:
    """Reads values back, and takes their arrays from the bytes in the order in which they come."""

    def __init__(self, arrays: bytes) -> None:
        self._arrays = arrays
        self._at = 0

    def value(self, raw: Any) -> Any:
        if raw.__class__ in _PLAIN:
            return raw
        if isinstance(raw, list):
            return tuple(self.value(entry) for entry in raw)
        ((tag, content),) = raw.items()
        return getattr(self, f"_{_TAGS[tag]}")(content)

    def _enumeration(self, content: Any) -> Any:
        name, value = content
        return _known()[name](value)

    def _moment(self, content: Any) -> datetime:
        return datetime.fromisoformat(content)

    def _array(self, content: Any) -> np.ndarray[Any, Any]:
        dtype, shape = np.dtype(content[0]), tuple(content[1])
        if dtype.kind not in _KINDS:
            raise ValueError(f"an array of {dtype}")
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        raw = np.frombuffer(self._arrays[self._at : self._at + size], dtype=np.uint8)
        self._at += size
        array: np.ndarray[Any, Any] = np.ascontiguousarray(raw.reshape(dtype.itemsize, -1).T).view(dtype)
        return array.reshape(shape)

    def _mapping(self, content: Any) -> Mapping[str, Any]:
        return MappingProxyType({key: self.value(entry) for key, entry in content})

    def _named(self, content: Any) -> Any:
        name, entries = content
        return _known()[name](*(self.value(entry) for entry in entries))

    def _object(self, content: Any) -> Any:
        name, entries = content
        return _known()[name](**{field: self.value(entry) for field, entry in entries.items()})


_TAGS = {"e": "enumeration", "t": "moment", "a": "array", "m": "mapping", "n": "named", "o": "object"}


def _shuffled(array: np.ndarray[Any, Any]) -> bytes:
    """All first bytes, then all second ones ...: like numbers share their first, so it packs well."""
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8).reshape(-1, array.dtype.itemsize)
    return np.ascontiguousarray(flat.T).tobytes()
