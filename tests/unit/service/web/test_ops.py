"""Probes and metrics over real HTTP: everything for operators, yes or no for strangers."""

import asyncio
from typing import Any

import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from service.metric_catalog import CATALOG, EVENT_LOOP_LAG, RUNTIME_METRICS
from service.metrics import Metrics
from service.settings import Settings
from service.web import app_factory
from service.web.ops import LIFECYCLE, METRICS, event_loop_lag, keep_checking
from tests.unit.service.web.sample_api import Client, Connect, Lines, in_memory

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


@pytest.fixture
async def ops(app: web.Application, settings: Settings, aiohttp_client: Connect) -> Client:
    """Give the operations port of the same process as `client`."""
    return await aiohttp_client(app_factory.build_ops(settings, app[METRICS], app[LIFECYCLE]))


async def test_a_starting_process_is_alive_and_not_ready(client: Client, ops: Client) -> None:
    assert await health(ops, "/health/live") == (200, {"status": "ok", "checks": {}})
    assert await health(client, "/health/live") == (200, {"status": "ok"})
    for path in ("/health/ready", "/health/startup"):
        assert await health(ops, path) == (503, {"status": "starting", "checks": {}})
        assert await health(client, path) == (503, {"status": "unavailable"})


async def test_a_started_process_is_ready(
    client: Client, ops: Client, app: web.Application
) -> None:
    app[LIFECYCLE].started = True
    app[LIFECYCLE].checks["database"] = fine
    assert (await health(ops, "/health/startup"))[0] == 200
    assert await health(client, "/health/startup") == (200, {"status": "ok"})
    status, answer = await health(ops, "/health/ready")
    assert (status, answer["status"]) == (200, "ok")
    assert answer["checks"]["database"]["status"] == "ok"
    assert await health(client, "/health/ready") == (200, {"status": "ok"})


async def test_a_stranger_learns_no_parts_and_makes_nobody_work(
    client: Client, app: web.Application
) -> None:
    asked = 0

    async def check() -> None:
        nonlocal asked
        asked += 1
        raise ConnectionError("the database")

    app[LIFECYCLE].started = app[LIFECYCLE].passing = True
    app[LIFECYCLE].checks["database"] = check
    for _ in range(100):
        assert await health(client, "/health/ready") == (200, {"status": "ok"})
    assert asked == 0
    for path in ("/metrics", "/health", "/health/metrics"):
        async with client.get(path) as answer:
            assert answer.status == 404
            assert "coinslot_build_info" not in await answer.text()


async def test_strangers_are_told_what_the_last_round_found(
    settings: Settings, aiohttp_client: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.web.ops.CHECK_INTERVAL_S", 0.01)
    well, rounds = asyncio.Event(), asyncio.Semaphore(0)

    async def check() -> None:
        rounds.release()
        if not well.is_set():
            raise ConnectionError("the database")

    app = app_factory.build(settings, Metrics(version="1", role="api"), quotas=in_memory())
    app[LIFECYCLE].started, app[LIFECYCLE].checks["database"] = True, check
    app.cleanup_ctx.append(keep_checking)
    client = await aiohttp_client(app)

    async def after_a_round() -> tuple[int, dict[str, Any]]:
        for _ in range(rounds._value + 2):  # one may be half-way, the next is all of it
            await asyncio.wait_for(rounds.acquire(), WAIT_S)
        return await health(client, "/health/ready")

    assert await health(client, "/health/ready") == (503, {"status": "unavailable"})
    well.set()
    assert await after_a_round() == (200, {"status": "ok"})
    well.clear()
    assert await after_a_round() == (503, {"status": "unavailable"})


async def test_a_failing_check_is_named_and_its_reason_only_logged(
    client: Client, ops: Client, app: web.Application, log: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.web.ops.CHECK_TIMEOUT_S", 0.05)
    app[LIFECYCLE].started = True
    app[LIFECYCLE].checks.update(database=broken, cache=fine, provider=hanging)
    status, answer = await health(ops, "/health/ready")
    assert (status, answer["status"]) == (503, "failing")
    found = {name: check["status"] for name, check in answer["checks"].items()}
    assert found == {"database": "failed", "cache": "ok", "provider": "timeout"}
    assert "down" not in str(answer)
    assert await health(client, "/health/ready") == (503, {"status": "unavailable"})
    (line,) = log("readiness_failed")
    assert line["error"] == "ConnectionError: postgresql://u:***@db is down"


async def test_a_draining_process_is_alive_and_not_ready(
    client: Client, ops: Client, app: web.Application
) -> None:
    app[LIFECYCLE].started = app[LIFECYCLE].passing = app[LIFECYCLE].draining = True
    assert (await health(ops, "/health/live"))[0] == 200
    assert await health(ops, "/health/ready") == (503, {"status": "draining", "checks": {}})
    assert await health(client, "/health/live") == (200, {"status": "ok"})
    assert await health(client, "/health/ready") == (503, {"status": "unavailable"})


async def test_the_catalog_and_the_runtime_are_exposed(ops: Client) -> None:
    async with ops.get("/health/live"):
        pass
    async with ops.get("/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        families = {family.name for family in text_string_to_metric_families(await answer.text())}
    expected = {metric.name for metric in CATALOG} | set(RUNTIME_METRICS)
    # The parser names a counter's family without `_total`.
    assert {name.removesuffix("_total") for name in expected} <= families


async def test_the_event_loop_lag_is_measured(
    app: web.Application, aiohttp_client: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.cleanup_ctx.append(event_loop_lag)
    measured = asyncio.get_running_loop().create_future()

    def note(metric: Any, value: float, /, **_labels: str) -> None:
        if metric is EVENT_LOOP_LAG and not measured.done():
            measured.set_result(value)

    monkeypatch.setattr(app[METRICS], "set", note)
    await aiohttp_client(app)
    assert 0 <= await asyncio.wait_for(measured, WAIT_S) < WAIT_S


async def test_the_operations_port_serves_only_what_machines_ask(ops: Client) -> None:
    for path in ("/openapi.json", "/docs", "/v1/things"):
        async with ops.get(path) as answer:
            assert answer.status == 404
