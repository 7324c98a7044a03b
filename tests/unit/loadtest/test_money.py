"""After a load the money is asked for until it can be judged, and no answer is a pass."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from loadtest.money import Money, SetUpError, check_money, check_ready

TOKEN = "a-token"


@dataclass
class Service:
    """Answers as the operators' API does; its reconciliation leaves out the last `grace_s`."""

    grace_s: float = 0.0
    status: str = "succeeded"
    pending: list[int] = field(default_factory=lambda: [0])
    differences: list[dict[str, str]] = field(default_factory=list)
    next_cursor: int | None = None
    busy: int = 0
    runs: int = 0
    url: str = ""

    async def invariants(self, request: web.Request) -> web.Response:
        if request.headers["Authorization"] != f"Bearer {TOKEN}":
            return web.json_response({"code": "unauthenticated"}, status=401)
        if self.busy:
            self.busy -= 1
            return web.json_response({"code": "overloaded"}, status=503)
        left = self.pending.pop(0) if len(self.pending) > 1 else self.pending[0]
        return web.json_response({"invariants": {"ledger": 0}, "pending": {"outbox": left}})

    def _run(self, status: str) -> dict[str, Any]:
        until = datetime.now(UTC) - timedelta(seconds=self.grace_s)
        ended = status in {"succeeded", "failed"}
        return {
            "id": f"run-{self.runs}",
            "status": status,
            "error": "library: timed out" if status == "failed" else None,
            "window_to": until.isoformat() if ended else None,
            "charges": 7,
            "grants": 6,
        }

    async def ask(self, _: web.Request) -> web.Response:
        self.runs += 1
        return web.json_response(self._run("requested"), status=202)

    async def look(self, request: web.Request) -> web.Response:
        assert request.match_info["run_id"] == f"run-{self.runs}"
        return web.json_response(self._run(self.status))

    async def list_differences(self, _: web.Request) -> web.Response:
        return web.json_response({"items": self.differences, "next_cursor": self.next_cursor})

    async def ready(self, _: web.Request) -> web.Response:
        return web.Response()


@pytest.fixture
async def service(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    monkeypatch.setattr("loadtest.money.POLL_S", 0.01)
    service, app = Service(), web.Application()
    app.add_routes(
        [
            web.get("/health/ready", service.ready),
            web.get("/v1/admin/invariants", service.invariants),
            web.post("/v1/admin/reconciliation/runs", service.ask),
            web.get("/v1/admin/reconciliation/runs/{run_id}", service.look),
            web.get("/v1/admin/reconciliation/differences", service.list_differences),
        ]
    )
    async with TestServer(app) as server:
        service.url = str(server.make_url("")).rstrip("/")
        yield service


async def check(service: Service) -> tuple[Money, list[str]]:
    lines: list[str] = []
    return await check_money(service.url, TOKEN, lines.append), lines


async def test_a_service_whose_books_agree(service: Service) -> None:
    service.pending = [3, 1, 0]
    money, _ = await check(service)
    assert money.pending == {"outbox": 0}
    assert money.reconciliation.error is None
    assert (money.reconciliation.charges, money.reconciliation.differences) == (7, ())


async def test_a_service_that_is_still_busy_is_asked_again(service: Service) -> None:
    service.busy = 3
    money, _ = await check(service)
    assert money.invariants == {"ledger": 0}


async def test_a_service_that_stays_busy_ends_the_run(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadtest.money.PATIENCE_S", 0.05)
    service.busy = 1_000
    with pytest.raises(SetUpError, match=r"answers 503 overloaded; look at the service's log"):
        await check(service)


async def test_a_service_that_is_busy_before_the_run_is_told_at_once(service: Service) -> None:
    service.busy = 1
    with pytest.raises(SetUpError, match="503 overloaded"):
        await check_ready(service.url, TOKEN)


async def test_a_run_that_leaves_out_the_load_is_made_again(service: Service) -> None:
    service.grace_s = 0.2
    money, lines = await check(service)
    assert service.runs == 2
    assert money.reconciliation.error is None
    assert "reconciliation reaches the end of the load" in lines[0]


async def test_a_long_wait_says_how_long_now_and_then(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadtest.money.WAIT_SAID_S", 0.1)
    service.grace_s = 0.5
    _, lines = await check(service)
    assert len(lines) >= 4


async def test_a_load_that_reconciliation_can_not_reach_is_no_pass(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadtest.money.REACH_TIMEOUT_S", 10.0)
    service.grace_s = 900
    money, _ = await check(service)
    assert service.runs == 1
    assert money.reconciliation.error is not None
    assert "leaves out the last 900 s" in money.reconciliation.error


async def test_a_reconciliation_that_failed_says_why(service: Service) -> None:
    service.status = "failed"
    money, _ = await check(service)
    assert money.reconciliation.error == "failed: library: timed out"


async def test_a_reconciliation_that_does_not_end_is_no_pass(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadtest.money.RECONCILE_TIMEOUT_S", 0.05)
    service.status = "running"
    money, _ = await check(service)
    assert money.reconciliation.error == "running: no run within the time allowed"


async def test_what_stays_pending_is_told(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadtest.money.IDLE_TIMEOUT_S", 0.05)
    service.pending = [4]
    money, _ = await check(service)
    assert money.pending == {"outbox": 4}


async def test_open_differences_are_named(service: Service) -> None:
    service.differences = [{"kind": "missing_here", "source": "simulator"}]
    service.next_cursor = 101
    money, _ = await check(service)
    assert money.reconciliation.differences == ("missing_here at simulator", "and more")


async def test_a_token_that_is_refused_is_noticed_before_the_run(service: Service) -> None:
    await check_ready(service.url, TOKEN)
    with pytest.raises(SetUpError, match=r"401 unauthenticated.*JWT_SECRET"):
        await check_ready(service.url, "another")
