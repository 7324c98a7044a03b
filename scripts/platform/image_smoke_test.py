"""Smoke test of an image: its three roles, as containers, take a payment and stop in order."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Final

import aiohttp
import psutil

from scripts.platform.client import UnexpectedAnswerError
from scripts.platform.containers import Container
from scripts.platform.launcher import Platform, Start, platform
from scripts.platform.processes import Child, spawn

GAMES: Final = ("game-7",)
STOP_TIMEOUT_S: Final = 30.0  # nothing is in flight: well under a second, but containers are slow
PYTHON: Final = ("python3", "-m", "service")


Image = Callable[[], AbstractContextManager[Container]]
"""Makes a new container of the image."""


class SmokeTestError(Exception):
    """The image does not do what it must; the message says what."""


def run(image: Image, folder: Path, report: Callable[[str], None]) -> None:
    """Start migrate, worker and api in containers, pay one payment and stop them.

    Raises SmokeTestError, PlatformError or ProcessDiedError.
    """
    with ExitStack() as stack:

        def start(role: str, settings: Mapping[str, str], log: Path) -> Child:
            container = stack.enter_context(image())
            return spawn(role, container((*PYTHON, role), settings), log=log)

        asyncio.run(_run(start, folder, report))


async def _run(start: Start, folder: Path, report: Callable[[str], None]) -> None:
    def ready(part: str, _seconds: float, where: str) -> None:
        report(f"{part} is ready: {where}")

    async with platform(folder, durable=False, environ={}, report=ready, start=start) as running:
        roles = [running.children[role] for role in ("worker", "api")]
        try:
            payment = await _one_sale(running)
        except (UnexpectedAnswerError, aiohttp.ClientError, TimeoutError) as error:
            lines = "\n".join(child.tail() for child in roles)
            raise SmokeTestError(f"the sale failed: {error}; the last lines:\n{lines}") from error
        report(f"payment {payment} succeeded, {len(GAMES)} game granted")
        for child in roles:
            _stop(child)
            report(f"role {child.name} stopped by SIGTERM with exit code 0")


async def _one_sale(running: Platform) -> str:
    async with running.client("ada") as ada:
        order = await ada.order(GAMES)
        payment = (await ada.pay(order["id"])).expect(201, 202).body
        payment = await ada.until_status(f"/v1/payments/{payment['id']}", "succeeded")
        await ada.until_status(f"/v1/orders/{order['id']}", "fulfilled")
    shelf = await running.simulator().shelf("ada")
    if len(shelf) != len(GAMES):
        raise SmokeTestError(f"{len(GAMES)} game at the Library, not {len(shelf)}")
    return str(payment["id"])


def _stop(child: Child) -> None:
    """Send SIGTERM to the process inside, as a kubelet does, and expect a clean end."""
    inside = psutil.Process(child.pid).children(recursive=True)
    os.kill(inside[-1].pid if inside else child.pid, signal.SIGTERM)
    code = child.wait(STOP_TIMEOUT_S)
    if code != 0:
        raise SmokeTestError(f"{child.name} ended with {code} after SIGTERM:\n{child.tail()}")
