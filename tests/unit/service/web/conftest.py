"""The sample API on the real frame, reached over real HTTP."""

import io
import json
import logging
import time
from collections.abc import Iterator
from typing import Any, Final

import jwt
import pytest
from aiohttp import web

from service import logs
from service.metrics import Metrics
from service.setting_types import Secret
from service.settings import Settings
from service.web import app_factory
from tests.unit.service.web.sample_api import Client, Connect, Lines, Slow, Token, in_memory, table

KEY: Final = "k" * 32


@pytest.fixture
def settings() -> Settings:
    return Settings(
        log_level="debug",
        database_url=Secret("postgresql://unused"),
        jwt_secret=Secret(KEY),
        library_token=Secret("unused"),
    )


@pytest.fixture
def log(settings: Settings) -> Iterator[Lines]:
    """Return a function that gives the log lines so far, of one event if asked."""
    stream = io.BytesIO()
    logs.configure(settings.log_level, stream)

    def lines(event: str | None = None) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in stream.getvalue().splitlines()]
        return [line for line in found if event in (None, line["event"])]

    yield lines
    logging.getLogger().handlers = [
        handler
        for handler in logging.getLogger().handlers
        if type(handler).__module__ != logs.__name__
    ]


@pytest.fixture
def token() -> Token:
    """Return a function that signs a token; a claim of None is left out."""

    def sign(*, key: str = KEY, algorithm: str = "HS256", **changes: Any) -> str:
        claims = {
            "sub": "user-1",
            "scope": "things:read things:write",
            "iss": "coinslot",
            "aud": "coinslot-api",
            "exp": time.time() + 60,
            **changes,
        }
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(kept, key, algorithm=algorithm)

    return sign


@pytest.fixture
async def slow() -> Slow:
    return Slow()


@pytest.fixture
async def app(settings: Settings, slow: Slow, log: Any) -> web.Application:
    assert log() == []
    return app_factory.build(
        settings, Metrics(version="1", role="api"), table(slow), quotas=in_memory()
    )


@pytest.fixture
async def client(app: web.Application, aiohttp_client: Connect) -> Client:
    return await aiohttp_client(app)


@pytest.fixture
def bearer(token: Token) -> dict[str, str]:
    return {"Authorization": f"Bearer {token()}"}
