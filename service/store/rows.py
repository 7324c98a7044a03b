"""Rows of the database as structs, and lists of them page by page."""

from collections.abc import Callable, Mapping, Sequence
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
Cursor = UUID | int | None


class Page(msgspec.Struct, Generic[ItemT], frozen=True):
    """A page of a list; `next_cursor` is where the next one begins, and null on the last."""

    items: tuple[ItemT, ...]
    next_cursor: UUID | int | None

    def map(self, view: Callable[[ItemT], ViewT]) -> "Page[ViewT]":
        """Return the page with its items as `view` shows them."""
        return Page(tuple(map(view, self.items)), self.next_cursor)


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


async def read_page(
    row: type[RowT],
    db: Database,
    sql: str,
    values: Mapping[str, Any],
    *,
    key: str,
    cursor: Cursor,
    limit: int,
    newest_first: bool = False,
) -> Page[RowT]:
    """Return a page of what `sql` selects, from `cursor` on (exclusive) in the order of `key`.

    `sql` ends in a WHERE clause; `key` is unique, and a field of the row.
    """
    sign, order = ("<", "DESC") if newest_first else (">", "ASC")
    after = "" if cursor is None else f"AND {key} {sign} %(cursor)s"
    rows = await db.read(
        f"{sql} {after} ORDER BY {key} {order} LIMIT %(limit)s",
        {**values, "cursor": cursor, "limit": limit + 1},
    )
    return page_of(rows_of(row, rows), limit, key.rpartition(".")[2])


def page_of(rows: Sequence[ItemT], limit: int, key: str = "id") -> Page[ItemT]:
    """Return the page of rows of which `limit + 1` were asked for."""
    items = tuple(rows[:limit])
    return Page(items, getattr(items[-1], key) if len(rows) > limit else None)


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
