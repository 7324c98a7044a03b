"""Probes and metrics over real HTTP."""

import asyncio
from typing import Any

import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from service.http import frame, ops
from service.http.ops import LIFECYCLE, METRICS
from service.metric_catalog import CATALOG, EVENT_LOOP_LAG, RUNTIME_METRICS
from service.metrics import Metrics
from service.settings import Settings
from tests.unit.service.http.sample_api import Client, Connect, Lines

WAIT_S = 5.0


async def health(client: Client, path: str) -> tuple[int, dict[str, Any]]:
    async with client.get(path) as answer:
        return answer.status, await answer.json()


async def fine() -> None:
    pass


async def broken() -> None:
    raise ConnectionError("postgresql://u:hunter2@db is down")


async def hanging() -> None:
    await asyncio.Event().wait()


async def test_a_starting_process_is_alive_and_not_ready(client: Client) -> None:
    assert await health(client, "/health/live") == (200, {"status": "ok", "checks": {}})
    for path in ("/health/ready", "/health/startup"):
        assert await health(client, path) == (503, {"status": "starting", "checks": {}})


async def test_a_started_process_is_ready(client: Client, app: web.Application) -> None:
    app[LIFECYCLE].started = True
    app[LIFECYCLE].checks["database"] = fine
    assert (await health(client, "/health/startup"))[0] == 200
    status, answer = await health(client, "/health/ready")
    assert (status, answer["status"]) == (200, "ok")
    assert answer["checks"]["database"]["status"] == "ok"


async def test_a_failing_check_is_named_and_its_reason_only_logged(
    client: Client, app: web.Application, log: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops, "CHECK_TIMEOUT_S", 0.05)
    app[LIFECYCLE].started = True
    app[LIFECYCLE].checks.update(database=broken, cache=fine, provider=hanging)
    status, answer = await health(client, "/health/ready")
    assert (status, answer["status"]) == (503, "failing")
    found = {name: check["status"] for name, check in answer["checks"].items()}
    assert found == {"database": "failed", "cache": "ok", "provider": "timeout"}
    assert "down" not in str(answer)
    (line,) = log("readiness_failed")
    assert line["error"] == "ConnectionError: postgresql://u:***@db is down"


async def test_a_draining_process_is_alive_and_not_ready(
    client: Client, app: web.Application
) -> None:
    app[LIFECYCLE].started = app[LIFECYCLE].draining = True
    assert (await health(client, "/health/live"))[0] == 200
    assert await health(client, "/health/ready") == (503, {"status": "draining", "checks": {}})


async def test_the_catalog_and_the_runtime_are_exposed(client: Client) -> None:
    async with client.get("/health/live"):
        pass
    async with client.get("/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        families = {family.name for family in text_string_to_metric_families(await answer.text())}
    expected = {metric.name for metric in CATALOG} | set(RUNTIME_METRICS)
    # The parser names a counter's family without `_total`.
    assert {name.removesuffix("_total") for name in expected} <= families


async def test_the_event_loop_lag_is_measured(
    client: Client, app: web.Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = asyncio.get_running_loop().create_future()

    def note(metric: Any, value: float, /, **_labels: str) -> None:
        if metric is EVENT_LOOP_LAG and not measured.done():
            measured.set_result(value)

    monkeypatch.setattr(app[METRICS], "set", note)
    assert 0 <= await asyncio.wait_for(measured, WAIT_S) < WAIT_S
    assert client.server is not None


async def test_a_worker_serves_only_what_machines_ask(
    settings: Settings, aiohttp_client: Connect
) -> None:
    client = await aiohttp_client(frame.build(settings, Metrics(version="1", role="worker")))
    assert (await health(client, "/health/live"))[0] == 200
    for path in ("/openapi.json", "/v1/things"):
        async with client.get(path) as answer:
            assert answer.status == 404
