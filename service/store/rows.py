"""Rows of the database as structs, and lists of them page by page."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from enum import Enum
from functools import cache
from types import NoneType
from typing import Annotated, Any, Final, Generic, TypeVar, get_args, get_origin
from uuid import UUID

import msgspec
from msgspec import Meta

from service.store.database import Database

Timestamp = Annotated[datetime, Meta(tz=True)]
"""With its zone, so that the API's document calls it a date-time."""

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


class Select(Generic[RowT]):
    """What reads rows: from `source`, a table with an alias, by the values of its columns.

    `instead` gives the SQL of fields that are no column of it.
    """

    def __init__(
        self,
        row: type[RowT],
        source: str,
        *,
        newest_first: bool = False,
        order: str = "id",
        **instead: str,
    ) -> None:
        self._row, self._table, self._by = row, source.split()[-1], order
        self.columns: Final = columns(row, self._table, **instead)
        self._select = f"SELECT {self.columns} FROM {source}"  # noqa: S608  constants only
        self._sign, self._order = ("<", "DESC") if newest_first else (">", "ASC")

    async def one(self, db: Database, **equal: Any) -> RowT | None:
        """Return the row with these values, which are unique."""
        rows = await db.read(f"{self._select} WHERE {self._equal(equal)}", equal)
        return row_of(self._row, rows[0]) if rows else None

    async def all(self, db: Database, **equal: Any) -> list[RowT]:
        """Return the few rows with these values, oldest first."""
        rows = await db.read(
            f"{self._select} WHERE {self._equal(equal)} ORDER BY {self._table}.{self._by}", equal
        )
        return rows_of(self._row, rows)

    async def page(
        self, db: Database, cursor: UUID | int | None, limit: int, where: str = "true", **equal: Any
    ) -> Page[RowT]:
        """Return the page after `cursor` of the rows with these values; None asks for no value."""
        values = {name: value for name, value in equal.items() if value is not None}
        conditions = [where, self._equal(values)]
        if cursor is not None:
            conditions.append(f"{self._table}.id {self._sign} %(cursor)s")
        rows = await db.read(
            f"{self._select} WHERE {' AND '.join(filter(None, conditions))}"
            f" ORDER BY {self._table}.id {self._order} LIMIT %(limit)s",
            {**values, "cursor": cursor, "limit": limit + 1},
        )
        return page_of(rows_of(self._row, rows), limit)

    def _equal(self, names: Iterable[str]) -> str:
        return " AND ".join(f"{self._table}.{name} = %({name})s" for name in names)


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
