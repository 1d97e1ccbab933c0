"""The tree of keys: which keys may stand where, the JSON Schema of the file, and a manual page for a key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from autoscaler.errors import ConfigError
from autoscaler.settings import File
from autoscaler.settings_kinds import nearest
from autoscaler.settings_pools import PoolSection, SizingSection
from autoscaler.yaml_lines import Place

ANY = "*"


def json_schema() -> dict[str, Any]:
    """Draft 2020-12, with a `default` wherever a key has one."""
    schema = File.model_json_schema(mode="validation")
    schema["title"] = "Loadline"
    for name in SizingSection.model_fields:
        entry = schema["$defs"]["PoolSection"]["properties"][name]
        # A pool's own default is whatever `defaults` says, which a schema cannot express.
        entry.pop("default", None)
        entry["description"] += " Left out: as in `defaults`."
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def keys_at(place: Place) -> tuple[str, ...]:
    """The keys that may stand in the section at `place`; empty where keys are free or none may stand."""
    found: Any = File
    for step in place:
        found = _below(found, str(step))
    return _keys(found)


def explain(key_path: str) -> str:
    """A few lines on one key, or the keys of a section. `*` or any name stands for a pool or a list entry."""
    steps = [step for step in key_path.strip().split(".") if step]
    found: Any = File
    field: FieldInfo | None = None
    for depth, step in enumerate(steps):
        field = next((s.model_fields[step] for s in _sections(found) if step in s.model_fields), None)
        below = _below(found, step)
        if below is None:
            keys = _keys(found)
            where = ".".join(steps[:depth]) or "the top"
            raise ConfigError(f"no key {step!r} at {where}; {nearest(step, keys)}")
        inherited = found is PoolSection and step in SizingSection.model_fields
        found = below
    lines = [".".join(steps) or "(top)"]
    if field is not None:
        lines += _about(field, inherited=inherited)
    return "\n".join([*lines, *_contents(found)])


def _about(field: FieldInfo, *, inherited: bool) -> list[str]:
    lines = [f"  {field.description}"]
    if inherited:
        lines.append(f"  default: as in defaults ({_default(field)} there, unless set)")
    else:
        lines.append("  required" if field.is_required() else f"  default: {_default(field)}")
    written = _written(field)
    return [*lines, f"  {written}"] if written else lines


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None:
        return "none"
    if isinstance(value, BaseModel):
        return ", ".join(f"{key}: {getattr(value, key)}" for key in type(value).model_fields)
    return str(value) if value not in ([], {}, ()) else "empty"


def _written(field: FieldInfo) -> str:
    """What may be written: the values of a closed list, or examples of the notation."""
    for note in (*field.metadata, *_notes(field.annotation)):
        shape: Mapping[str, Any] = getattr(note, "json_schema", None) or {}
        if "enum" in shape:
            return "one of: " + ", ".join(shape["enum"])
        if "examples" in shape:
            return "for example: " + ", ".join(str(entry) for entry in shape["examples"])
    return ""


def _notes(annotation: Any) -> Iterator[Any]:
    """The metadata inside an annotation such as `Annotated[...] | None`."""
    if get_origin(annotation) is Annotated:
        yield from get_args(annotation)[1:]
    elif get_origin(annotation) in {Union, UnionType}:
        for part in get_args(annotation):
            yield from _notes(part)


def _contents(found: Any) -> list[str]:
    inner = found
    prefix = ""
    while get_origin(inner) in {dict, list}:
        inner, prefix = _unwrapped(get_args(inner)[-1]), f"{prefix}{ANY}."
    fields = {name: field for one in reversed(_sections(inner)) for name, field in one.model_fields.items()}
    if not fields:
        return []
    width = max(len(name) for name in fields) + len(prefix)
    return ["keys:", *(f"  {prefix + name:<{width}}  {fields[name].description}" for name in _keys(inner))]


def _below(found: Any, step: str) -> Any:
    """What stands at a key or an index of a section, mapping or list; None where nothing can."""
    for section in _sections(found):
        if step in section.model_fields:
            return _unwrapped(section.model_fields[step].annotation)
    if get_origin(found) is dict:
        return _unwrapped(get_args(found)[1])
    if get_origin(found) is list and (step == ANY or step.isdigit()):
        return _unwrapped(get_args(found)[0])
    return None


def _unwrapped(annotation: Any) -> Any:
    """Without `Annotated[...]` and `| None`; a choice of sections stays one."""
    if get_origin(annotation) is Annotated:
        return _unwrapped(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        known = [part for part in get_args(annotation) if part is not NoneType]
        return annotation if len(known) > 1 and all(map(_is_section, known)) else _unwrapped(known[0])
    return annotation


def _sections(found: Any) -> tuple[type[BaseModel], ...]:
    """The sections that may stand here: one, several to choose from, or none."""
    if _is_section(found):
        return (found,)
    parts = get_args(found) if get_origin(found) in {Union, UnionType} else ()
    return tuple(part for part in parts if _is_section(part))


def _keys(found: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for section in _sections(found) for name in section.model_fields))


def _is_section(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, BaseModel)
