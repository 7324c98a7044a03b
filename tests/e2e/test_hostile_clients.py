"""What hostile and unlucky clients do to a real process: nothing, and it is not its error."""

import os
from pathlib import Path

import pytest

from tests.support.raw_http import bomb, connected, request
from tests.support.services import Service, Services
from tests.support.waiting import eventually

CPU_S = 0.5
"""Of the process, for all bombs together; one took two seconds and more."""
MEGABYTES = 1_000


def cpu_s(service: Service) -> float:
    """Return the seconds of CPU that the process has used (proc(5))."""
    fields = Path(f"/proc/{service.child.pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
async def api(start_service: Services) -> Service:
    return await start_service("api")


async def statuses(service: Service, route: str) -> list[int]:
    return [line["status"] for line in service.records("http_request") if line["route"] == route]


async def test_bombs_cost_nothing(api: Service) -> None:
    body, before = bomb(MEGABYTES), cpu_s(api)
    for method, path in (
        ("POST", "/nope"),
        ("POST", "/v1/orders"),
        ("POST", "/v1/webhooks/simulator"),
        ("GET", "/health/live"),
    ):
        async with connected(api.url) as connection:
            await connection.send(request(method, path, "Content-Encoding: gzip", body=body))
            answer = await connection.answer()
        assert (answer.status, answer.problem["code"]) == (415, "unsupported_media_type")
    assert cpu_s(api) - before < CPU_S


async def test_clients_that_fail_are_not_counted_as_our_errors(api: Service) -> None:
    hook = "/v1/webhooks/simulator"
    async with connected(api.url) as connection:  # it says what it doesn't do
        await connection.send(request("POST", hook, "Content-Encoding: gzip", body=b"not gzip"))
        assert (await connection.answer()).status == 415
    async with connected(api.url) as connection:  # it hangs up
        await connection.send(request("POST", hook, "Content-Length: 100", body=b"half"))

    async def so_far() -> list[int]:
        return await statuses(api, "/v1/webhooks/{provider}")

    assert await eventually(so_far, lambda found: len(found) == 2) == [415, 499]
    async with connected(api.url) as connection:  # it sends no chunk
        await connection.send(request("POST", hook, "Transfer-Encoding: chunked"))
        await connection.send(b"zz\r\n")
        assert (await connection.answer()).status == 400
    async with connected(api.url) as connection:  # it never ends
        await connection.send(request("POST", hook, "Content-Length: 100"))
        assert (await connection.answer()).status == 408
    async with connected(api.url) as connection:  # it speaks TLS to a port that doesn't
        await connection.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        answer = await connection.answer()
        assert (answer.status, answer.headers["server"]) == (400, "coinslot")
    lines = list(api.records())
    assert not [line for line in lines if "exception" in line or line["level"] == "error"]
    assert not [line for line in lines if line.get("status", 0) >= 500]
