"""Which port of a process answers what, at which addresses."""

import socket

import aiohttp
import pytest

from scripts.platform.embedded import LOOPBACK
from tests.support.services import Services

HEALTH = ("/health/live", "/health/ready", "/health/startup")


async def asked(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def test_the_public_port_tells_a_stranger_nothing(start_service: Services) -> None:
    api = await start_service("api")
    for path in HEALTH:
        assert await asked(api.url + path) == (200, '{"status":"ok"}')
    assert (await asked(f"{api.url}/metrics"))[0] == 404
    assert (await asked(f"{api.url}/docs"))[0] == 200

    assert "http_requests_total" in (await asked(f"{api.ops_url}/metrics"))[1]
    status, body = await asked(f"{api.ops_url}/health/ready")
    assert status == 200
    assert '"database":{"status":"ok"' in body
    for path in ("/v1/orders", "/docs", "/openapi.json"):
        assert (await asked(api.ops_url + path))[0] == 404


async def test_a_worker_listens_on_its_operations_port_alone(start_service: Services) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:  # its PORT is no concern of a worker's
        port = taken.getsockname()[1]
        worker = await start_service("worker", PORT=str(port))
    assert "worker_last_round" in (await asked(f"{worker.ops_url}/metrics"))[1]


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
async def test_both_families_are_served(start_service: Services) -> None:
    api = await start_service("api", HOST=f"{LOOPBACK},::1")
    for url in (f"{api.url}/health/live", f"{api.ops_url}/metrics"):
        assert (await asked(url))[0] == 200
        assert (await asked(url.replace(LOOPBACK, "[::1]")))[0] == 200
