"""Health checks and metrics for probes, load balancers and Prometheus; without tokens.

The operations port answers in detail. The public port answers yes or no from the last round of
checks: no stranger learns what the service consists of, or makes it ask the database.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final, Literal

import msgspec
from aiohttp import hdrs, web

from service import logs
from service.metrics import CONTENT_TYPE, Metrics, sample_event_loop_lag

CHECK_TIMEOUT_S: Final = 1.0
"""Of one readiness check; below the probe's own timeout, so that the answer still arrives."""
CHECK_INTERVAL_S: Final = 1.0
"""Between two rounds of checks: a load balancer that asks each second sees an outage within two."""

Check = Callable[[], Awaitable[object]]
"""Returns if its part works, and raises if it doesn't."""

_log = logs.get_logger(__name__)
_encoder: Final = msgspec.json.Encoder()


class Lifecycle:
    """Whether the process has started, is ready, or is draining.

    `checks` are the parts without which a request can't be answered, by name; `passing` says
    whether all passed in the last round.
    """

    def __init__(self) -> None:
        self.started = False
        self.draining = False
        self.passing = False
        self.checks: dict[str, Check] = {}

    @property
    def ready(self) -> bool:
        """Return whether a request sent here can be answered, by the last round of checks."""
        return self.started and self.passing and not self.draining

    async def check(self) -> "Mapping[str, CheckResult]":
        """Run all checks concurrently, keep whether they pass, and return each result."""
        names = list(self.checks)
        found = await asyncio.gather(*(_run(name, self.checks[name]) for name in names))
        self.passing = all(item.status == "ok" for item in found)
        return dict(zip(names, found, strict=True))


class CheckResult(msgspec.Struct, frozen=True):
    """How one check went; why it failed is in the logs."""

    status: Literal["ok", "failed", "timeout"]
    duration_ms: float


class Health(msgspec.Struct, frozen=True):
    """The answer of a health endpoint of the operations port."""

    status: Literal["ok", "failing", "draining", "starting"]
    checks: Mapping[str, CheckResult]


LIFECYCLE: Final = web.AppKey("lifecycle", Lifecycle)
METRICS: Final = web.AppKey("metrics", Metrics)


def add_ops_routes(app: web.Application) -> None:
    """Route what the operations port serves: /health/* and /metrics, with all details."""
    app.router.add_get("/health/live", live, allow_head=False)
    app.router.add_get("/health/ready", ready, allow_head=False)
    app.router.add_get("/health/startup", startup, allow_head=False)
    app.router.add_get("/metrics", metrics, allow_head=False)


def add_public_routes(app: web.Application) -> None:
    """Route what strangers may ask: /health/*, answered with yes or no and nothing else."""
    answers: Mapping[str, Callable[[Lifecycle], bool]] = {
        "live": lambda _: True,
        "ready": lambda lifecycle: lifecycle.ready,
        "startup": lambda lifecycle: lifecycle.started,
    }
    for name, ask in answers.items():
        app.router.add_get(f"/health/{name}", partial(_yes_or_no, ask), allow_head=False)


async def _yes_or_no(ask: Callable[[Lifecycle], bool], request: web.Request) -> web.Response:
    yes = ask(request.app[LIFECYCLE])
    return _json({"status": "ok" if yes else "unavailable"}, ok=yes)


async def live(_request: web.Request) -> web.Response:
    """Answer 200 for as long as the event loop turns, also while draining."""
    return _health("ok")


async def startup(request: web.Request) -> web.Response:
    """Answer 200 once the process has started all its parts."""
    return _health("ok" if request.app[LIFECYCLE].started else "starting")


async def ready(request: web.Request) -> web.Response:
    """Check all parts, and answer 200 if a request sent here now can be answered."""
    lifecycle = request.app[LIFECYCLE]
    if lifecycle.draining:
        return _health("draining")
    if not lifecycle.started:
        return _health("starting")
    checks = await lifecycle.check()
    return _health("ok" if lifecycle.passing else "failing", checks)


async def metrics(request: web.Request) -> web.Response:
    """Answer every series in Prometheus' text format."""
    return web.Response(
        body=request.app[METRICS].exposition(), headers={hdrs.CONTENT_TYPE: CONTENT_TYPE}
    )


async def keep_checking(app: web.Application) -> AsyncIterator[None]:
    """Run the checks once a second while the app runs (a cleanup context, after its parts)."""
    lifecycle = app[LIFECYCLE]
    await lifecycle.check()

    async def rounds() -> None:
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            await lifecycle.check()

    async with _running(rounds(), "readiness checks"):
        yield


async def event_loop_lag(app: web.Application) -> AsyncIterator[None]:
    """Measure the event loop's lag while the app runs (a cleanup context)."""
    async with _running(sample_event_loop_lag(app[METRICS]), "event loop lag"):
        yield


@asynccontextmanager
async def _running(endless: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    task = asyncio.create_task(endless, name=name)
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


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
    return _json(Health(status, checks or {}), ok=status == "ok")


def _json(body: Any, *, ok: bool) -> web.Response:
    return web.Response(
        status=200 if ok else 503,
        body=_encoder.encode(body),
        headers={hdrs.CONTENT_TYPE: "application/json"},
    )
