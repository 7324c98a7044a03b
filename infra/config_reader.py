"""Reads nested settings into typed structs, and names all that is wrong with them at once."""

import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import UnionType
from typing import Any, Final, Never, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from service.setting_types import allowed

T = TypeVar("T")


class UnreadError(Exception):
    """A check asks for a value that could not be read, which has been said already."""


class _Unread:
    """Stands where a value could not be read: whoever asks it anything gets UnreadError."""

    def _refuse(self, *_: object) -> Never:
        raise UnreadError

    __getattr__ = __bool__ = __contains__ = __iter__ = __len__ = __str__ = _refuse
    __mul__ = __rmul__ = __sub__ = __rsub__ = _refuse
    __eq__ = __ne__ = __lt__ = __gt__ = __ge__ = __le__ = __hash__ = _refuse


UNREAD: Final[Any] = _Unread()


def as_far_as_read(message: Iterable[str]) -> Iterator[str]:
    """Yield what a check says until it asks for what could not be read."""
    try:
        yield from message
    except UnreadError:
        return


def read_or(default: Any, ask: Callable[[], T]) -> T:
    """Return an answer, or the default where it rests on what could not be read."""
    otherwise: T = default
    try:
        return ask()
    except UnreadError:
        return otherwise


def read_struct(
    kind: type[msgspec.Struct], raw: Any, where: Callable[[str], str], problems: list[str]
) -> dict[str, Any]:
    """Return the values of a struct's fields by name, UNREAD for what is missing or wrong.

    `where` makes a key, as its author wrote it, of a field's name in camelCase.
    """
    hints = get_type_hints(kind, include_extras=True)
    fields = msgspec.structs.fields(kind)
    problems += unknown_keys(raw, [field.encode_name for field in fields], where(""))
    values: dict[str, Any] = {}
    for field in fields:
        key = where(field.encode_name)
        if field.encode_name in raw:
            values[field.name] = read_value(
                hints[field.name], raw[field.encode_name], key, problems
            )
        elif field.required:
            values[field.name] = UNREAD
            problems.append(f"{key} is missing; expected {allowed(hints[field.name])}")
    return values


def read_value(kind: Any, raw: Any, where: str, problems: list[str]) -> Any:
    """Return `raw` as `kind`, a struct, structs in a mapping or list, or what msgspec knows.

    UNREAD, after adding to `problems` what is wrong with it, if it is no such thing.
    """
    struct = _struct_in(kind)
    if struct is not None and isinstance(raw, Mapping):
        return struct(**read_struct(struct, raw, lambda name: f"{where}.{name}", problems))
    if get_origin(kind) is list and _struct_in(get_args(kind)[0]):
        return _read_some(get_args(kind)[0], raw, where, problems)
    if get_origin(kind) is dict and isinstance(raw, Mapping):
        named, member = get_args(kind)
        for key in raw:
            read_value(named, str(key), f"the key {where}.{key}", problems)
        return {
            str(key): read_value(member, value, f"{where}.{key}", problems)
            for key, value in raw.items()
        }
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        place = str(error).partition(" - at `$")[2].rstrip("`")
        problems.append(f"{where}{place} is {json.dumps(raw)}; expected {allowed(kind)}")
        return UNREAD


def _read_some(member: Any, raw: Any, where: str, problems: list[str]) -> list[Any]:
    """Return one mapping, or a list of them, as a list."""
    if not isinstance(raw, list):
        return [read_value(member, raw, where, problems)]
    return [
        read_value(member, item, f"{where}[{index}]", problems) for index, item in enumerate(raw)
    ]


def unknown_keys(given: Iterable[str], known: Iterable[str], prefix: str) -> list[str]:
    """Return a problem for each given key that is not known, with the nearest one that is."""
    names = sorted(known)
    return [
        f"{prefix}{key} is not known{_suggest(key, names, prefix)}"
        for key in given
        if key not in names
    ]


def _suggest(key: str, names: list[str], prefix: str) -> str:
    near = difflib.get_close_matches(key, names, n=1)
    return f"; did you mean {prefix}{near[0]}?" if near else f"; known: {', '.join(names)}"


def _struct_in(kind: Any) -> type[msgspec.Struct] | None:
    candidates = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    structs = (
        part for part in candidates if isinstance(part, type) and issubclass(part, msgspec.Struct)
    )
    return next(structs, None)
