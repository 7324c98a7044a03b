"""Rows: their columns, what is read into them, and how a list is cut into pages."""

from enum import StrEnum
from typing import Any

import msgspec
import pytest

from service.store.rows import Page, columns, page_of, row_of, whole


class Color(StrEnum):
    RED = "red"


class Part(msgspec.Struct, frozen=True):
    name: str


class Thing(msgspec.Struct, frozen=True):
    id: int
    color: Color | None
    facts: dict[str, Any]
    parts: tuple[Part, ...]
    tags: list[str]


def test_columns_are_the_fields_in_their_order() -> None:
    assert columns(Thing, "t", parts="(SELECT 1)") == (
        "t.id, t.color, t.facts::text, (SELECT 1), t.tags"
    )


def test_a_row_has_enums_and_what_json_says() -> None:
    found = row_of(Thing, (1, "red", '{"a": 1}', '[{"name": "x"}]', ["b"]))
    assert found == Thing(1, Color.RED, {"a": 1}, (Part("x"),), ["b"])
    assert isinstance(found.color, Color)
    assert row_of(Thing, (1, None, "{}", "[]", [])).color is None
    with pytest.raises(ValueError, match="blue"):
        row_of(Thing, (1, "blue", "{}", "[]", []))


def test_the_row_beyond_a_page_tells_that_there_is_another() -> None:
    rows = [row_of(Thing, (number, None, "{}", "[]", [])) for number in (1, 2, 3)]
    assert page_of(rows, 2) == Page((rows[0], rows[1]), 2)
    assert page_of(rows, 3) == whole(rows) == Page(tuple(rows), None)
    assert page_of(rows[:0], 3).next_cursor is None
    assert page_of(rows, 2).map(lambda row: row.id) == Page((1, 2), 2)
