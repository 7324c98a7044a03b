"""To which of a server's addresses connections are made, when one refuses to set them up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiopg
import pytest
from psycopg2.errors import UndefinedTable

from service.store import pool
from service.store.pool import Connector

URL = "postgresql://shop@10.0.0.1,10.0.0.2/shop"


class Server:
    """Every address of a server; `refusing` are those that lack the schema."""

    def __init__(self) -> None:
        self.refusing: set[str] = set()
        self.asked: list[str] = []

    async def connect(self, _: str, *, host: str, **_more: Any) -> "Connection":
        self.asked.append(host)
        return Connection(refuses=host in self.refusing)


class Connection:
    def __init__(self, *, refuses: bool) -> None:
        self.raw = self
        self.closed = False
        self._refuses = refuses

    @asynccontextmanager
    async def cursor(self) -> AsyncIterator["Connection"]:
        yield self

    async def execute(self, _: str) -> None:
        if self._refuses:
            raise UndefinedTable("relation payments does not exist")

    def get_parameter_status(self, _: str) -> str:
        return "off"

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    monkeypatch.setattr(aiopg, "connect", made.connect)
    return made


@pytest.fixture
def connector() -> Connector:
    return Connector(URL, timeout_s=5, set_up="PREPARE settle AS SELECT 1")


async def test_an_address_that_refuses_keeps_nobody_from_the_others(
    server: Server, connector: Connector
) -> None:
    server.refusing = {"10.0.0.1"}
    for _ in range(2):
        assert not (await connector()).closed
    assert server.asked == ["10.0.0.1", "10.0.0.2", "10.0.0.2"]


async def test_a_refusal_is_the_same_error_while_it_pauses(
    server: Server, connector: Connector
) -> None:
    server.refusing = {"10.0.0.1", "10.0.0.2"}
    raised = []
    for _ in range(3):
        with pytest.raises(UndefinedTable) as refused:
            await connector()
        raised.append(refused.value)
    assert raised[1:] == raised[:1] * 2
    assert server.asked == ["10.0.0.1", "10.0.0.2"]


async def test_an_address_is_tried_again_after_a_pause(
    server: Server, connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "REFUSED_PAUSE_S", 0.0)
    server.refusing = {"10.0.0.1"}
    await connector()
    server.refusing = set()
    await connector()
    assert server.asked == ["10.0.0.1", "10.0.0.2", "10.0.0.1"]
