"""Rate limits of the real API: shared by its processes, and no reason to fail without Valkey."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from scripts.platform import embedded
from tests.integration.api.conftest import Api, Start
from tests.support.services import bearer

LIMITS = {"RATE_LIMIT_USER": "20", "RATE_LIMIT_ADDRESS": "0"}


async def listings(apis: list[Api], user: str, times: int) -> list[int]:
    """List orders in turn at each of the processes."""
    headers = {"Authorization": f"Bearer {bearer(user)}"}
    found = []
    async with aiohttp.ClientSession(headers=headers) as session:
        for turn in range(times):
            async with session.get(f"{apis[turn % len(apis)].url}/v1/orders") as answer:
                found.append(answer.status)
    return found


async def test_processes_share_a_users_quota(start_api: Start) -> None:
    apis = [await start_api(**LIMITS), await start_api(**LIMITS)]
    found = await listings(apis, f"grace-{apis[0].url}", 30)
    # A request comes back every three seconds, so a slow machine may see one or two of them.
    assert found[:20] == [200] * 20
    assert 8 <= found[20:].count(429) <= 10


async def test_the_quota_holds_in_each_process_when_valkey_goes(
    start_api: Start, tmp_path: Path
) -> None:
    with embedded.valkey(tmp_path, environ={}) as server:
        api = await start_api(**LIMITS, REDIS_URL=server.url)
        assert await listings([api], "heidi", 10) == [200] * 10
    found = await listings([api], "heidi", 30)
    assert 500 not in found
    assert found[:20] == [200] * 20
    assert 8 <= found[20:].count(429) <= 10


@pytest.mark.parametrize("path", ["/v1/payments", "/v1/orders"])
async def test_what_is_refused_changes_nothing(start_api: Start, path: str) -> None:
    api = await start_api(RATE_LIMIT_USER="1")
    user = f"ivan-{api.url}-{path}"
    headers: dict[str, Any] = {"Authorization": f"Bearer {bearer(user)}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.get(f"{api.url}/v1/orders") as answer:
            assert answer.status == 200
        async with session.post(f"{api.url}{path}", json={}) as answer:
            problem = await answer.json()
            assert (answer.status, problem["code"]) == (429, "rate_limited")
            assert 0 < int(answer.headers["Retry-After"]) <= 60
