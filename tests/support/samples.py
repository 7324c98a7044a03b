"""Arguments for any function of the store, made from its annotations.

A value is looked up by the parameter's (or struct field's) name in what the test knows, and made
from its type otherwise. So a function that is added to the store is tried without a word in a test.
"""

import types
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from inspect import signature
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID, uuid4

import msgspec


class Samples:
    """Makes arguments; `known` gives values by name, without `optional` what may be None is."""

    def __init__(self, known: Mapping[str, Any], *, now: datetime, optional: bool) -> None:
        self._known = known
        self._optional = optional
        self._plain: dict[Any, Callable[[], Any]] = {
            UUID: uuid4,
            datetime: lambda: now,
            int: lambda: 50,
            str: lambda: "x",
            bool: lambda: True,
            bytes: lambda: b"x",
        }

    def arguments(self, function: Callable[..., Any]) -> dict[str, Any]:
        """Return a value for each parameter but the first; raise TypeError if there is none."""
        hints = get_type_hints(function)
        names = list(signature(function).parameters)[1:]
        return {name: self._value(name, hints[name]) for name in names}

    def _value(self, name: str, kind: Any) -> Any:
        origin, inner = get_origin(kind), get_args(kind)
        if origin in (Union, types.UnionType):
            wanted = next(each for each in inner if each is not type(None))
            return self._value(name, wanted) if self._optional else None
        if origin in (list, tuple, Sequence) and name not in self._known:
            return self._several(name, origin, inner)
        return self._fitting(name, kind) if name in self._known else self._made(name, kind)

    def _fitting(self, name: str, kind: Any) -> Any:
        """Return what is known by a name; one word can mean different types to two functions."""
        value = self._known[name]
        value = value() if callable(value) else value
        if kind in self._plain and not isinstance(value, kind):
            return str(value) if kind is str else self._plain[kind]()
        return value

    def _several(self, name: str, origin: Any, inner: tuple[Any, ...]) -> Any:
        if origin is tuple and Ellipsis not in inner:
            return tuple(self._value(name, kind) for kind in inner)
        one = self._value(name.removesuffix("s"), inner[0])
        return (one,) if origin is tuple else [one]

    def _made(self, name: str, kind: Any) -> Any:
        if kind in self._plain:
            return self._plain[kind]()
        if get_origin(kind) is Literal:
            return get_args(kind)[0]
        if get_origin(kind) is dict or kind is dict:
            return {}
        if isinstance(kind, type) and issubclass(kind, Enum):
            return next(iter(kind))
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            hints = get_type_hints(kind)
            fields = {f: self._value(f, hints[f]) for f in kind.__struct_fields__}
            return kind(**fields)
        raise TypeError(f"no sample for {name}: {kind}; add one to the test")
