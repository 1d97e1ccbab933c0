"""What a scaler remembers of its series, as arrays and a description of their shape: to keep and to recall.

A memory can be joined with those of other series and split again, so that each pool's is kept by itself and
many pools go on in one call. Nothing is executed on recall: a closed set of plain values, enumerations and
objects of `policies` and `forecasts` is filled in, field by field. What does not fit is BadInput.

Arrays have their series along the first axis, but for those that their class names in `SERIES_AXIS`; the rows
of one series lie together.
"""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from forecasts.types import BadInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Node = dict[str, Any]

_PACKAGES = ("forecasts.", "policies.")
_KINDS = "biuf"  # of arrays: truth, whole numbers, floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Memory:
    """`shape`: the description, one text for one shape; `arrays`: in the order of the description."""

    shape: str
    arrays: tuple[NDArray[Any], ...]

    def packed(self) -> bytes:
        """All arrays, one after the other, little-endian."""
        parts = (array.astype(array.dtype.newbyteorder("<"), copy=False) for array in self.arrays)
        return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)


def unpacked(shape: str, packed: bytes) -> Memory:
    """The memory of a description and what `packed` gave; BadInput where the two do not fit."""
    arrays, at = [], 0
    try:
        for node in _arrays(json.loads(shape)):
            kind = np.dtype(node["kind"])
            if kind.kind not in _KINDS:
                raise BadInput(f"an array of {kind} is no memory")
            count = math.prod(node["size"])
            array = np.frombuffer(packed, dtype=kind.newbyteorder("<"), count=count, offset=at)
            arrays.append(array.astype(kind).reshape(node["size"]))
            at += array.nbytes
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"the memory does not fit its description: {error}") from None
    if at != len(packed):
        raise BadInput(f"the memory has {len(packed)} bytes and its description {at}")
    return Memory(shape=shape, arrays=tuple(arrays))


def remember(value: object) -> Memory:
    """Everything in a state, objects within objects; TypeError names what cannot be kept."""
    arrays: list[NDArray[Any]] = []
    shape = _described(value, arrays, 0)
    return Memory(shape=_text(shape), arrays=tuple(arrays))


def recall(memory: Memory) -> Any:
    """A new state like the one that was remembered, with arrays of its own; BadInput where it has no such."""
    try:
        return _Maker(memory.arrays).make(json.loads(memory.shape))
    except (ValueError, KeyError, TypeError, AttributeError, ImportError, StopIteration) as error:
        raise BadInput(f"the memory cannot be recalled: {error}") from None


def join(memories: Sequence[Memory]) -> Memory:
    """The memories of several series as one, in their order; BadInput where they are not of one shape."""
    shape = memories[0].shape
    if any(memory.shape != shape for memory in memories):
        raise BadInput("memories of different shapes cannot be joined")
    root = json.loads(shape)
    arrays = []
    for number, node in enumerate(_arrays(root)):
        axis = node["axis"]
        arrays.append(np.concatenate([memory.arrays[number] for memory in memories], axis=axis))
        node["size"][axis] *= len(memories)
    return Memory(shape=_text(root), arrays=tuple(arrays))


def split(memory: Memory, count: int) -> list[Memory]:
    """The memories of `count` series that were joined, in their order; BadInput where they do not divide."""
    root = json.loads(memory.shape)
    parts: list[list[NDArray[Any]]] = [[] for _ in range(count)]
    for array, node in zip(memory.arrays, _arrays(root), strict=True):
        axis = node["axis"]
        rows, rest = divmod(array.shape[axis], count)
        if rest:
            raise BadInput(f"{array.shape[axis]} rows are not those of {count} series")
        for number, part in enumerate(parts):
            part.append(array.take(range(number * rows, (number + 1) * rows), axis=axis))
        node["size"][axis] = rows
    shape = _text(root)
    return [Memory(shape=shape, arrays=tuple(part)) for part in parts]


def _text(node: Node) -> str:
    return json.dumps(node, separators=(",", ":"), allow_nan=False)


def _arrays(node: Any) -> Iterator[Node]:
    """The descriptions of the arrays, in order."""
    if "kind" in node:
        yield node
    for inner in node.get("items", ()):
        yield from _arrays(inner)
    for inner in node.get("fields", {}).values():
        yield from _arrays(inner)


def _described(value: object, arrays: list[NDArray[Any]], axis: int) -> Node:
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in _KINDS:
            raise TypeError(f"an array of {value.dtype} cannot be kept")
        arrays.append(value)
        return {"kind": value.dtype.str[1:], "size": list(value.shape), "axis": axis if value.ndim else 0}
    if isinstance(value, Enum):
        return {"member": _named(type(value)), "value": value.value}
    if value is None or isinstance(value, bool | int | float | str):
        return {"value": value}
    if isinstance(value, list | tuple):
        items = [_described(inner, arrays, axis) for inner in value]
        return {"sequence": type(value).__name__, "items": items}
    if isinstance(value, Mapping):
        keys = [_described(key, arrays, axis) for key in value]
        return {"keys": keys, "items": [_described(inner, arrays, axis) for inner in value.values()]}
    name = _named(type(value))
    axes: Mapping[str, int] = getattr(type(value), "SERIES_AXIS", {})
    inner = {key: _described(held, arrays, axes.get(key, 0)) for key, held in _held(value).items()}
    return {"object": name, "fields": inner}


def _held(value: object) -> dict[str, object]:
    """What an object holds, by name."""
    if is_dataclass(value):
        return {entry.name: getattr(value, entry.name) for entry in fields(value)}
    return dict(vars(value))


def _named(kind: type) -> str:
    if not f"{kind.__module__}.".startswith(_PACKAGES):
        raise TypeError(f"{kind.__module__}.{kind.__qualname__} cannot be kept")
    return f"{kind.__module__}:{kind.__qualname__}"


def _class(name: str) -> type:
    module, _, attribute = name.partition(":")
    if not f"{module}.".startswith(_PACKAGES):
        raise BadInput(f"{name} is no memory")
    found = getattr(importlib.import_module(module), attribute)
    if not isinstance(found, type):
        raise BadInput(f"{name} is no memory")
    return found


class _Maker:
    """Builds values from their descriptions; arrays are taken in order."""

    def __init__(self, arrays: Sequence[NDArray[Any]]) -> None:
        self._left = iter(arrays)

    def make(self, node: Node) -> Any:
        if "kind" in node:
            return next(self._left).copy()
        if "member" in node:
            return self._member(node)
        if "object" in node:
            return self._object(node)
        if "items" not in node:
            return node["value"]
        items = [self.make(inner) for inner in node["items"]]
        if "keys" in node:
            return dict(zip((self.make(key) for key in node["keys"]), items, strict=True))
        return tuple(items) if node["sequence"] == "tuple" else items

    def _member(self, node: Node) -> Any:
        kind = _class(node["member"])
        if not issubclass(kind, Enum):
            raise BadInput(f"{node['member']} is no memory")
        return kind(node["value"])

    def _object(self, node: Node) -> Any:
        kind = _class(node["object"])
        if is_dataclass(kind) and {entry.name for entry in fields(kind)} != set(node["fields"]):
            raise BadInput(f"{node['object']} has other fields now")
        made: Any = object.__new__(kind)
        for name, inner in node["fields"].items():
            object.__setattr__(made, name, self.make(inner))
        return made
