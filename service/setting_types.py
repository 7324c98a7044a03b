"""The types of settings: secrets, numbers and texts with their bounds, and how to describe them."""

from collections import Counter
from collections.abc import Callable, Iterable
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Meta

ItemT = TypeVar("ItemT")
ReadT = TypeVar("ReadT")


class Secret:
    """A value that never shows itself: not in a log, a traceback or an f-string."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value; call it only where the value leaves for its one purpose."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __format__(self, _format_spec: str) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self._value)


Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Count = Annotated[int, Meta(ge=1, le=100_000)]
Quota = Annotated[int, Meta(ge=0, le=10_000_000)]
Url = Annotated[str, Meta(pattern=r"^https?://[^\s/]+")]


def listed(text: str) -> tuple[str, ...]:
    """Return the items of a list that is written with commas."""
    return tuple(item.strip() for item in text.split(",") if item.strip())


def read_each(
    items: Iterable[ItemT], read: Callable[[ItemT], ReadT]
) -> tuple[list[ReadT], list[str]]:
    """Return what the items read as, and what is wrong with those for which `read` raises."""
    done, wrong = [], []
    for item in items:
        try:
            done.append(read(item))
        except ValueError as error:
            wrong.append(str(error))
    return done, wrong


def repeated(names: Iterable[str]) -> list[str]:
    """Return the names that come more than once, sorted."""
    return sorted(name for name, count in Counter(names).items() if count > 1)


def allowed(kind: Any) -> str:
    """Return what a setting of this type may be, in words for its author."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(allowed(part) for part in args if part is not NoneType))
    if origin is Annotated:
        return ", ".join((allowed(args[0]), *_bounds(args[1])))
    if origin is Literal:
        return " or ".join(args)
    if origin in (list, tuple):
        each = allowed(args[0])
        return f"a list, each {each}" if origin is tuple else f"{each}, or a list of such"
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        names = (field.encode_name for field in msgspec.structs.fields(kind))
        return f"a mapping of {', '.join(names)}"
    return "a mapping" if origin is dict else _NAMES.get(kind, str(kind))


def _bounds(meta: Meta) -> Iterable[str]:
    if meta.description:
        yield meta.description
        return
    for relation, limit in (
        ("at least", meta.ge),
        ("above", meta.gt),
        ("at most", meta.le),
        ("matching", meta.pattern),
    ):
        if limit is not None:
            yield f"{relation} {limit}"


_NAMES: Final = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
