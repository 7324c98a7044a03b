"""What machines ask: is it alive, is it ready, has it started, what does it measure. No tokens."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final, Literal

import msgspec
from aiohttp import hdrs, web

from service import logs
from service.metrics import CONTENT_TYPE, Metrics, sample_event_loop_lag

CHECK_TIMEOUT_S: Final = 1.0
"""Of one readiness check; below the probe's own timeout, so that the answer still arrives."""

Check = Callable[[], Awaitable[object]]
"""Returns whatever when its part works; raises when it doesn't."""

_log = logs.get_logger(__name__)
_encoder: Final = msgspec.json.Encoder()


class Lifecycle:
    """Where the process stands between its start and its end.

    `checks` are the parts without which a request can't be answered, by name.
    """

    def __init__(self) -> None:
        self.started = False
        self.draining = False
        self.checks: dict[str, Check] = {}


class CheckResult(msgspec.Struct, frozen=True):
    """How one check went; why it failed is in the logs."""

    status: Literal["ok", "failed", "timeout"]
    duration_ms: float


class Health(msgspec.Struct, frozen=True):
    """The answer of a health endpoint."""

    status: Literal["ok", "failing", "draining", "starting"]
    checks: Mapping[str, CheckResult]


LIFECYCLE: Final = web.AppKey("lifecycle", Lifecycle)
METRICS: Final = web.AppKey("metrics", Metrics)


def add_ops_routes(app: web.Application) -> None:
    """Route /health/* and /metrics; the app holds LIFECYCLE and METRICS."""
    app.router.add_get("/health/live", live, allow_head=False)
    app.router.add_get("/health/ready", ready, allow_head=False)
    app.router.add_get("/health/startup", startup, allow_head=False)
    app.router.add_get("/metrics", metrics, allow_head=False)


async def live(_request: web.Request) -> web.Response:
    """Answer 200 for as long as the event loop turns, also while draining."""
    return _health("ok")


async def startup(request: web.Request) -> web.Response:
    """Answer 200 once the process has started all its parts."""
    return _health("ok" if request.app[LIFECYCLE].started else "starting")


async def ready(request: web.Request) -> web.Response:
    """Answer 200 if a request sent here now can be answered."""
    lifecycle = request.app[LIFECYCLE]
    if lifecycle.draining:
        return _health("draining")
    if not lifecycle.started:
        return _health("starting")
    names = list(lifecycle.checks)
    results = await asyncio.gather(*(_run(name, lifecycle.checks[name]) for name in names))
    checks = dict(zip(names, results, strict=True))
    return _health("ok" if all(item.status == "ok" for item in results) else "failing", checks)


async def metrics(request: web.Request) -> web.Response:
    """Answer every series in Prometheus' text format."""
    return web.Response(
        body=request.app[METRICS].exposition(), headers={hdrs.CONTENT_TYPE: CONTENT_TYPE}
    )


async def event_loop_lag(app: web.Application) -> AsyncIterator[None]:
    """Measure the event loop's lag while the app runs (a cleanup context)."""
    sampler = asyncio.create_task(sample_event_loop_lag(app[METRICS]), name="event loop lag")
    yield
    sampler.cancel()
    with suppress(asyncio.CancelledError):
        await sampler


async def _run(name: str, check: Check) -> CheckResult:
    started = time.perf_counter()
    status: Literal["ok", "failed", "timeout"] = "ok"
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await check()
    except TimeoutError:
        status = "timeout"
    except Exception as error:  # noqa: BLE001  whatever fails in a part makes the part fail
        status = "failed"
        _log.warning("readiness_failed", check=name, error=f"{type(error).__name__}: {error}")
    return CheckResult(status, round((time.perf_counter() - started) * 1000, 2))


def _health(
    status: Literal["ok", "failing", "draining", "starting"],
    checks: Mapping[str, CheckResult] | None = None,
) -> web.Response:
    return web.Response(
        status=200 if status == "ok" else 503,
        body=_encoder.encode(Health(status, checks or {})),
        headers={hdrs.CONTENT_TYPE: "application/json"},
    )
