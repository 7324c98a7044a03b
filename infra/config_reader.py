"""Read nested settings into typed structs, and say everything that is wrong with them at once."""

import difflib
import json
from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

MISSING: Final = object()


def read_struct(kind: type[msgspec.Struct], raw: Any, where: str, problems: list[str]) -> Any:
    """Return `raw` as a `kind`, or None after adding to `problems` what is wrong with it.

    `where` is the key as its author wrote it; fields are named in camelCase there.
    """
    if not isinstance(raw, Mapping):
        problems.append(f"{where} is {_shown(raw)}; expected a mapping of {_names(kind)}")
        return None
    before = len(problems)
    values: dict[str, Any] = {}
    hints = get_type_hints(kind, include_extras=True)
    fields = msgspec.structs.fields(kind)
    problems += unknown_keys(raw, [field.encode_name for field in fields], where + ".")
    for field in fields:
        key = f"{where}.{field.encode_name}"
        value = raw.get(field.encode_name, MISSING)
        if value is not MISSING:
            values[field.name] = read_value(hints[field.name], value, key, problems)
        elif field.required:
            problems.append(f"{key} is missing; expected {expected(hints[field.name])}")
    return kind(**values) if len(problems) == before else None


def read_value(kind: Any, raw: Any, where: str, problems: list[str]) -> Any:
    """Return `raw` as `kind`: a struct, structs in a mapping or list, or what msgspec knows."""
    struct = struct_in(kind)
    if struct is not None:
        return read_struct(struct, raw, where, problems)
    if get_origin(kind) is list and struct_in(get_args(kind)[0]):
        return _read_some(get_args(kind)[0], raw, where, problems)
    if get_origin(kind) is dict and isinstance(raw, Mapping):
        named, member = get_args(kind)
        return {
            read_value(named, str(key), f"the key {where}.{key}", problems): read_value(
                member, value, f"{where}.{key}", problems
            )
            for key, value in raw.items()
        }
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        place = str(error).partition(" - at `$")[2].rstrip("`")
        problems.append(f"{where}{place} is {_shown(raw)}; expected {expected(kind)}")
        return None


def _read_some(member: Any, raw: Any, where: str, problems: list[str]) -> list[Any]:
    """Return one mapping, or a list of them, as a list."""
    if not isinstance(raw, list):
        return [read_value(member, raw, where, problems)]
    return [
        read_value(member, item, f"{where}[{index}]", problems) for index, item in enumerate(raw)
    ]


def unknown_keys(given: Iterable[str], known: Iterable[str], prefix: str) -> list[str]:
    """Return a problem for each given key that is not known, with the nearest one that is."""
    allowed = sorted(known)
    return [
        f"{prefix}{key} is not known{_suggest(key, allowed, prefix)}"
        for key in given
        if key not in allowed
    ]


def _suggest(key: str, allowed: list[str], prefix: str) -> str:
    near = difflib.get_close_matches(key, allowed, n=1)
    return f"; did you mean {prefix}{near[0]}?" if near else f"; known: {', '.join(allowed)}"


def struct_in(kind: Any) -> type[msgspec.Struct] | None:
    """Return the struct that `kind` is, or that it is an optional one of."""
    candidates = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    structs = [
        part for part in candidates if isinstance(part, type) and issubclass(part, msgspec.Struct)
    ]
    return structs[0] if structs else None


def expected(kind: Any) -> str:
    """Describe a type in words that the author of a settings file understands."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(expected(part) for part in args if part is not NoneType))
    if origin is Annotated:
        return ", ".join((expected(args[0]), *_bounds(args[1])))
    if origin is Literal:
        return " or ".join(args)
    if origin in (list, tuple):
        each = expected(args[0])
        return f"a list, each {each}" if origin is tuple else f"{each}, or a list of such"
    if struct := struct_in(kind):
        return f"a mapping of {_names(struct)}"
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    return "a mapping" if origin is dict else names.get(kind, str(kind))


def _bounds(meta: msgspec.Meta) -> Iterable[str]:
    if meta.description:
        yield meta.description
        return
    for word, limit in (
        ("at least", meta.ge),
        ("above", meta.gt),
        ("at most", meta.le),
        ("matching", meta.pattern),
    ):
        if limit is not None:
            yield f"{word} {limit}"


def _names(kind: type[msgspec.Struct]) -> str:
    return ", ".join(field.encode_name for field in msgspec.structs.fields(kind))


def _shown(raw: Any) -> str:
    return json.dumps(raw)
