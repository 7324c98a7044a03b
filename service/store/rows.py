"""Rows of the database as structs, and lists of them page by page."""

from collections.abc import Callable, Sequence
from enum import Enum
from functools import cache
from types import NoneType
from typing import Any, Generic, TypeVar, get_args, get_origin
from uuid import UUID

import msgspec

from service.store.database import Database

RowT = TypeVar("RowT", bound=msgspec.Struct)
ItemT = TypeVar("ItemT")
ViewT = TypeVar("ViewT")


class Page(msgspec.Struct, Generic[ItemT], frozen=True):
    """A page of a list; `next_cursor` is where the next one begins, and null on the last."""

    items: tuple[ItemT, ...]
    next_cursor: UUID | int | None

    def map(self, view: Callable[[ItemT], ViewT]) -> "Page[ViewT]":
        """Return the page with its items as `view` shows them."""
        return Page(tuple(map(view, self.items)), self.next_cursor)


class Keyset(Generic[RowT]):
    """A list of rows in the order of their id, to be read page by page; `source` has an alias."""

    def __init__(
        self, row: type[RowT], what: str, source: str, *, newest_first: bool = False
    ) -> None:
        self._row, self._table = row, source.split()[-1]
        self._select = f"SELECT {what} FROM {source}"  # noqa: S608  constants only
        self._sign, self._order = ("<", "DESC") if newest_first else (">", "ASC")

    async def page(
        self, db: Database, cursor: UUID | int | None, limit: int, where: str = "true", **equal: Any
    ) -> Page[RowT]:
        """Return the page after `cursor` of the rows with these values; None asks for no value."""
        values = {name: value for name, value in equal.items() if value is not None}
        conditions = [where, *(f"{self._table}.{name} = %({name})s" for name in values)]
        if cursor is not None:
            conditions.append(f"{self._table}.id {self._sign} %(cursor)s")
        rows = await db.read(
            f"{self._select} WHERE {' AND '.join(conditions)}"
            f" ORDER BY {self._table}.id {self._order} LIMIT %(limit)s",
            {**values, "cursor": cursor, "limit": limit + 1},
        )
        return page_of(rows_of(self._row, rows), limit)


def columns(row: type[msgspec.Struct], table: str, **instead: str) -> str:
    """Return the SELECT list of a row: its fields as columns of `table`, or as `instead` says."""
    found = (
        instead.get(field.name) or f"{table}.{field.name}{'::text' if _is_json(field.type) else ''}"
        for field in msgspec.structs.fields(row)
    )
    return ", ".join(found)


def row_of(row: type[RowT], values: Sequence[Any]) -> RowT:
    """Return the row of these values: enums as such, dicts and tuples read from JSON."""
    found = list(values)
    for index, read in _readers(row):
        if found[index] is not None:
            found[index] = read(found[index])
    return row(*found)


def rows_of(row: type[RowT], rows: Sequence[Sequence[Any]]) -> list[RowT]:
    """Return the rows of these values."""
    return [row_of(row, values) for values in rows]


def page_of(rows: Sequence[ItemT], limit: int) -> Page[ItemT]:
    """Return the page of rows of which `limit + 1` were asked for."""
    items = tuple(rows[:limit])
    last: Any = items[-1] if len(rows) > limit else None
    return Page(items, last and last.id)


def whole(items: Sequence[ItemT]) -> Page[ItemT]:
    """Return a short list, which is never cut, as its only page."""
    return Page(tuple(items), None)


@cache
def _readers(row: type[Any]) -> tuple[tuple[int, Callable[[Any], Any]], ...]:
    found = [_reader(field.type) for field in msgspec.structs.fields(row)]
    return tuple((index, read) for index, read in enumerate(found) if read is not None)


def _reader(kind: Any) -> Callable[[Any], Any] | None:
    if _is_json(kind):
        return msgspec.json.Decoder(kind).decode
    for each in (kind, *get_args(kind)):
        if isinstance(each, type) and issubclass(each, Enum):
            return each
    return None


def _is_json(kind: Any) -> bool:
    """Tell whether a column holds JSON; a list is an array."""
    kinds = [each for each in get_args(kind) if each is not NoneType] or [kind]
    return get_origin(kind) in (dict, tuple) or get_origin(kinds[0]) in (dict, tuple)
