"""A role as a running process: which ports it listens on, and how it starts and stops."""

import asyncio
import errno
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from aiohttp import web

from service.app import Role, build
from service.clock import Clock
from service.settings import Settings
from service.web import app_factory
from service.web.ops import LIFECYCLE, METRICS

YOUNG_OBJECTS: Final = 20_000
"""Allocations before a collection of the young generation. At Python's 700 the
collector took an eighth of the process's time under load; at this number a fiftieth
(docs/develop/performance.md)."""

MIDDLE_ROUNDS, OLD_ROUNDS = 20, 50
"""Collections of a generation before one of the next older one."""


class PortInUseError(Exception):
    """Something else listens where this process is to; the message names the setting."""


def serve(settings: Settings, role: Role, now: Clock | None = None) -> None:
    """Run a role until it is told to stop; raise PortInUseError.

    It goes by `now`, or by the database's clock.
    """
    app = build(settings, role, now)
    setting, port = "OPS_PORT", settings.ops_port
    if role == "api":
        setting, port = "PORT", settings.port
        # The first to start and the last to stop, so that a start and a drain can be watched.
        app.cleanup_ctx.insert(0, partial(_operations, settings))
    tune_gc()
    with _listening(setting, settings.host, port):
        web.run_app(
            app,
            host=settings.hosts,
            port=port,
            shutdown_timeout=settings.shutdown_drain_s,
            access_log=None,
            print=None,
            loop=new_event_loop(),
        )


async def _operations(settings: Settings, app: web.Application) -> AsyncIterator[None]:
    """Serve the operations port beside the API's (a cleanup context)."""
    ops = app_factory.build_ops(settings, app[METRICS], app[LIFECYCLE])
    runner = web.AppRunner(ops, access_log=None)
    await runner.setup()
    try:
        with _listening("OPS_PORT", settings.host, settings.ops_port):
            for host in settings.hosts:
                await web.TCPSite(runner, host, settings.ops_port).start()
        yield
    finally:
        await runner.cleanup()


@contextmanager
def _listening(setting: str, host: str, port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise PortInUseError(
            f"port {port} on {host} is in use; stop what listens there"
            f" or choose another one with {setting}"
        ) from error


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's, or asyncio's where the extra `fast` is not installed."""
    try:
        import uvloop  # noqa: PLC0415  only a process that serves has a use for it
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def tune_gc() -> None:
    """Collect once, freeze what is there to stay, and collect more seldom from now on.

    Call it when everything is imported and built.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, MIDDLE_ROUNDS, OLD_ROUNDS)
