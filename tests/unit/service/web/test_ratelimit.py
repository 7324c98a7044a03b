"""Rate limits over real HTTP: what counts against whom, and what the headers say."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from service.metrics import Metrics
from service.settings import Settings
from service.web import app_factory
from tests.unit.service.web.sample_api import Client, Connect, Slow, in_memory, table

READ = "/v1/things/0198f3c2-7b4e-7d0a-9c51-f2e88a6d4b13/receipt"
PUBLIC = "/v1/things"
Start = Callable[..., Awaitable[Client]]


@pytest.fixture
def start(settings: Settings, slow: Slow, log: Any, aiohttp_client: Connect) -> Start:
    """Give a function that starts the sample API; keyword arguments are settings."""
    assert log() == []

    async def connect(**changes: Any) -> Client:
        changed = msgspec.structs.replace(settings, **changes)
        return await aiohttp_client(
            app_factory.build(
                changed, Metrics(version="1", role="api"), table(slow), quotas=in_memory()
            )
        )

    return connect


async def statuses(client: Client, times: int, path: str = PUBLIC, **headers: str) -> list[int]:
    found = []
    for _ in range(times):
        async with client.get(path, headers=headers) as answer:
            found.append(answer.status)
    return found


async def test_one_too_many_is_429_and_says_when(start: Start) -> None:
    client = await start(rate_limit_address=3)
    assert await statuses(client, 3) == [200] * 3
    async with client.get(PUBLIC) as answer:
        problem = await answer.json()
        assert (answer.status, problem["code"]) == (429, "rate_limited")
        assert 15 <= int(answer.headers["Retry-After"]) <= 20
        assert answer.headers["RateLimit-Policy"] == '"address";q=3;w=60'
        assert answer.headers["RateLimit"].startswith('"address";r=0;t=')


async def test_every_answer_tells_what_is_left(start: Start, bearer: dict[str, str]) -> None:
    client = await start(rate_limit_address=6, rate_limit_user=60)
    async with client.get(READ, headers=bearer) as answer:
        assert answer.headers["RateLimit-Policy"] == '"address";q=6;w=60, "user";q=60;w=60'
        assert answer.headers["RateLimit"] == '"address";r=5;t=10, "user";r=59;t=1'
    async with client.get("/v1/nothing") as answer:
        assert answer.status == 404
        assert answer.headers["RateLimit"].startswith('"address";r=4;t=')


async def test_a_user_is_limited_wherever_the_requests_come_from(start: Start, token: Any) -> None:
    client = await start(rate_limit_user=2, rate_limit_address=1_000, trusted_proxies="127.0.0.0/8")
    found = []
    for host in range(4):
        fresh = {"Authorization": f"Bearer {token(jti=str(host))}"}
        found += await statuses(client, 1, READ, **fresh, **{"X-Forwarded-For": f"9.9.9.{host}"})
    assert found == [200, 200, 429, 429]
    other = {"Authorization": f"bearer {token(sub='user-2')}"}
    assert await statuses(client, 1, READ, **other) == [200]


async def test_addresses_behind_a_trusted_proxy_have_a_quota_each(start: Start) -> None:
    client = await start(rate_limit_address=2, trusted_proxies="127.0.0.0/8")
    for address in ("9.9.9.1", "9.9.9.2", "[2001:db8::1]"):
        header = {"X-Forwarded-For": address}
        assert await statuses(client, 3, **header) == [200, 200, 429]
    assert await statuses(client, 1, **{"x-forwarded-for": "2001:db8::ffff:1"}) == [429]
    assert await statuses(client, 1, **{"X-Forwarded-For": "8.8.8.8, 9.9.9.1"}) == [429]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "9.9.9.9"},
        {"x-forwarded-for": "9.9.9.9"},
        {"X-Real-IP": "9.9.9.9"},
        {"Forwarded": "for=9.9.9.9"},
        {"X-Client-IP": "9.9.9.9", "True-Client-IP": "9.9.9.9", "CF-Connecting-IP": "9.9.9.9"},
        {"Host": "localhost."},
        {"Host": "EXAMPLE.org"},
        {"User-Agent": "another"},
        {"X-Correlation-ID": "another"},
    ],
    ids=str,
)
async def test_no_header_is_a_way_around(start: Start, headers: dict[str, str]) -> None:
    client = await start(rate_limit_address=2)
    await statuses(client, 2)
    assert await statuses(client, 1, **headers) == [429]


@pytest.mark.parametrize(
    "path",
    ["/V1/things", "/v1/things/", "/v1/things?limit=2", "/v1/./things", "/metrics", "/metrics/",
     "/health/live/../../v1/things", "/openapi.json", "/health/ready%2f", "/HEALTH/live"],
)  # fmt: skip
async def test_no_path_is_a_way_around(start: Start, path: str) -> None:
    client = await start(rate_limit_address=2)
    await statuses(client, 2)
    assert await statuses(client, 1, path) == [429]


async def test_tokens_that_are_refused_count_too(start: Start, token: Any) -> None:
    client = await start(rate_limit_address=3)
    headers = {"Authorization": f"Bearer {token(key='x' * 32)}"}
    assert await statuses(client, 4, READ, **headers) == [401, 401, 401, 429]


async def test_a_refused_token_is_logged_once_a_request(start: Start, token: Any, log: Any) -> None:
    client = await start()
    await statuses(client, 1, READ, Authorization=f"Bearer {token(key='x' * 32)}")
    assert len(log("token_refused")) == 1


async def test_health_checks_are_not_counted(start: Start) -> None:
    client = await start(rate_limit_address=1)
    assert await statuses(client, 5, "/health/live") == [200] * 5
    async with client.get("/health/live") as answer:
        assert "RateLimit" not in answer.headers
    assert await statuses(client, 2) == [200, 429]


async def test_zero_means_no_limit(start: Start, bearer: dict[str, str]) -> None:
    client = await start(rate_limit_address=0, rate_limit_user=0)
    assert await statuses(client, 50, READ, **bearer) == [200] * 50
    async with client.get(READ, headers=bearer) as answer:
        assert "RateLimit" not in answer.headers


async def test_a_refusal_is_logged_with_its_policy(start: Start, log: Any) -> None:
    client = await start(rate_limit_address=1)
    await statuses(client, 2)
    (line,) = log("rate_limited")
    assert (line["level"], line["policy"], line["address"]) == ("warning", "address", "127.0.0.1")
