"""What the server does for a statement: plans with what they really read, the triggers' included.

The server explains every statement of a connection that was opened with `EXPLAINED`, nested ones
too, and sends the plans along as notices. So the plans are those of the service's own calls: of
its prepared statements, its parameters and its connection settings.
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Self
from urllib.parse import quote

from service.store.database import Database

EXPLAINED: Final = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_buffers": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_format": "json",
    "auto_explain.log_level": "notice",
}


@dataclass(frozen=True)
class Scan:
    """A node that reads a table or a part of its statement: rows looked at, kept or not."""

    kind: str
    table: str
    rows: float

    @classmethod
    def of(cls, node: Mapping[str, Any]) -> Self:
        """Return the scan of a plan's node; a loop's rows are an average in the plan."""
        dropped = sum(v for k, v in node.items() if k.startswith("Rows Removed by"))
        loops = node["Actual Loops"]
        return cls(
            node["Node Type"],
            node.get("Relation Name") or node["CTE Name"],
            (node["Actual Rows"] + dropped) * loops,
        )


@dataclass(frozen=True)
class Plan:
    """One statement as it was run."""

    query: str
    root: Mapping[str, Any] = field(repr=False)

    @cached_property
    def blocks(self) -> int:
        """Return the 8 KiB blocks that it read or wrote, from cache or not."""
        return int(self.root["Shared Hit Blocks"] + self.root["Shared Read Blocks"])

    @cached_property
    def scans(self) -> list[Scan]:
        """Return what it read from tables, and again from its own parts."""
        nodes = (node for node in _nodes(self.root) if node["Node Type"].endswith("Scan"))
        return [Scan.of(node) for node in nodes if {"Relation Name", "CTE Name"} & node.keys()]


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


class Explained:
    """A database on one connection, with the plans of what was run on it."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self._notices: list[str] = []

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, prepared: Mapping[str, str]) -> AsyncIterator[Self]:
        """Open the database as the service does, and have the server explain."""
        options = " ".join(f"-c {name}={value}" for name, value in EXPLAINED.items())
        url = f"{url}?options={quote(options)}"
        db = await Database.open(url, size=1, timeout_s=60.0, prepared=prepared)
        explained = cls(db)
        connection = await db._pool.acquire()
        connection.raw.notices = explained  # the driver's own list forgets all but the last 50
        db._pool.release(connection)
        try:
            yield explained
        finally:
            await db.close()

    def append(self, notice: str) -> None:
        """Take a notice; the driver calls it."""
        self._notices.append(notice)

    def taken(self) -> list[Plan]:
        """Return the plans since the last call."""
        plans = [notice.partition("plan:\n")[2] for notice in self._notices]
        self._notices.clear()
        found = [json.loads(text) for text in plans if text]
        return [Plan(plan["Query Text"].strip(), plan["Plan"]) for plan in found]
