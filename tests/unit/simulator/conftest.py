"""A simulator behind real HTTP, with a client for each of its audiences."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import ClientSession, ClientTimeout, web

from simulator.app import Config, make_app
from simulator.client import Control

API_KEY, LIBRARY_TOKEN = "key", "token"
MAX_RECORDS = 20


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: Any


class Caller:
    """Calls below one prefix with one token."""

    def __init__(self, session: ClientSession, prefix: str, token: str) -> None:
        self._session = session
        self._prefix = prefix
        self._headers = {"Authorization": f"Bearer {token}"}

    async def __call__(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, **options: Any
    ) -> Answer:
        headers = dict(self._headers)
        if key is not None:
            headers["Idempotency-Key"] = key
        if body is not None:
            options["json"] = body
        async with self._session.request(
            method, self._prefix + path, headers=headers, **options
        ) as response:
            return Answer(response.status, dict(response.headers), await response.json())


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """Serve as `python -m simulator` does: a client that hangs up cancels nothing."""
    config = Config(api_key=API_KEY, library_token=LIBRARY_TOKEN, max_records=MAX_RECORDS)
    runner = web.AppRunner(make_app(config), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def session(url: str) -> AsyncIterator[ClientSession]:
    async with ClientSession(url, timeout=ClientTimeout(total=10)) as session:
        yield session


@pytest.fixture
def simpay(session: ClientSession) -> Caller:
    return Caller(session, "/provider/v1", API_KEY)


@pytest.fixture
def library(session: ClientSession) -> Caller:
    return Caller(session, "/library/v1", LIBRARY_TOKEN)


@pytest.fixture
def catalog(session: ClientSession) -> Caller:
    return Caller(session, "/catalog/v1", "")


@pytest.fixture
def raw_control(session: ClientSession) -> Caller:
    return Caller(session, "/control", "")


@pytest.fixture
def control(url: str) -> Control:
    return Control(url, library_token=LIBRARY_TOKEN)


@pytest.fixture
def new_charge() -> dict[str, Any]:
    return {
        "amount": 1999,
        "currency": "EUR",
        "capture": True,
        "payment_method": "pm_ok",
        "reference": str(uuid4()),
    }
