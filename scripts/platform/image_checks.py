"""Checks of an image: what is in it; its roles, as containers, take a payment and stop in order."""

import asyncio
import json
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
from scripts.platform.embedded import EmbeddedError
from scripts.platform.launcher import Platform, PlatformError, Start, platform
from scripts.platform.processes import Child, ProcessDiedError, spawn

GAMES: Final = ("game-7",)
STOP_TIMEOUT_S: Final = 30.0  # nothing is in flight: well under a second, but containers are slow
ROLES: Final = ("worker", "api")  # those that run until they are stopped
PYTHON: Final = ("python3", "-m", "service")

SCAN: Final = Path(__file__).with_name("image_scan.py")
USER: Final = 10001
WRITABLE: Final = {"/tmp", "/var/tmp", "/run/lock"}  # noqa: S108  every Debian has them
SCAN_TIMEOUT_S: Final = 120.0  # it reads every small file of a Debian: two seconds when idle
MANY_FILES: Final = 1_000
"""Fewer than in any image with a Python: then something else was scanned."""
REASONS: Final = {
    "setuid": "runs with its owner's rights (setuid or setgid)",
    "compilers": "is a compiler or linker",
    "installers": "is a package installer",
    "development": "belongs to the stage development",
    "dated": "is compiled for a time of its source that a layer changes: each start compiles anew",
    "secrets": "looks like a secret or a private key",
    "settings": "is a secret's setting that the image brings along",
    "writable": "can be written to",
}

Found = dict[str, list[str]]
Image = Callable[[], AbstractContextManager[Container]]
"""Makes a new container of the image."""


class ImageError(Exception):
    """The image does not do what it must; the message says what."""


FAILURES: Final = (ImageError, PlatformError, ProcessDiedError, EmbeddedError, TimeoutError)
"""What a check of an image raises."""


def pay(image: Image, folder: Path, report: Callable[[str], None]) -> None:
    """Start migrate, worker and api in containers, pay one payment and stop them."""
    with ExitStack() as stack:

        def start(role: str, settings: Mapping[str, str], log: Path) -> Child:
            container = stack.enter_context(image())
            return spawn(role, container((*PYTHON, role), settings), log=log)

        asyncio.run(_run(start, folder, report))


async def _run(start: Start, folder: Path, report: Callable[[str], None]) -> None:
    def ready(part: str, _seconds: float, where: str) -> None:
        report(f"{part} is ready: {where}")

    async with platform(folder, durable=False, environ={}, report=ready, start=start) as running:
        report(await one_sale(running, "ada"))
        for role in ROLES:
            report(stop(running.children[role]))


async def one_sale(running: Platform, user: str) -> str:
    """Let a user without games buy one, and say so; raise ImageError with the roles' last lines."""
    try:
        payment = await _pay(running, user)
        shelf = await running.simulator().shelf(user)
    except (UnexpectedAnswerError, aiohttp.ClientError, TimeoutError) as error:
        lines = "\n".join(running.children[role].tail() for role in ROLES)
        raise ImageError(f"the sale failed: {error}; the last lines:\n{lines}") from error
    if len(shelf) != len(GAMES):
        raise ImageError(f"{len(GAMES)} game at the Library, not {len(shelf)}")
    return f"payment {payment} succeeded, {len(GAMES)} game granted"


async def _pay(running: Platform, user: str) -> str:
    async with running.client(user) as client:
        order = await client.order(GAMES)
        payment = (await client.pay(order["id"])).expect(201, 202).body
        payment = await client.until_status(f"/v1/payments/{payment['id']}", "succeeded")
        await client.until_status(f"/v1/orders/{order['id']}", "fulfilled")
    return str(payment["id"])


def stop(child: Child, program: str = "", number: signal.Signals = signal.SIGTERM) -> str:
    """Send a signal to the program inside, as a kubelet does, expect a clean end, and say so.

    Without a name it is the innermost process. Where the child is a client of an engine there is
    none inside, and it hands the signal on.
    """
    inside = psutil.Process(child.pid).children(recursive=True)
    named = [process for process in inside if process.name() == program] or inside[-1:]
    os.kill(named[0].pid if named else child.pid, number)
    code = child.wait(STOP_TIMEOUT_S)
    if code != 0:
        raise ImageError(f"{child.name} ended with {code} after {number.name}:\n{child.tail()}")
    return f"role {child.name} stopped by {number.name} with exit code 0"


def scan(container: Container, folder: Path) -> Found:
    """Scan a container's files; raise ProcessDiedError when it prints no result."""
    log = folder / "scan.log"
    child = spawn("scan", container(("python3", "-c", SCAN.read_text()), {}), log=log)
    child.wait(SCAN_TIMEOUT_S)
    lines = [line for line in child.tail().splitlines() if line.startswith("SCAN ")]
    if not lines:
        raise child.died()
    found: Found = json.loads(lines[0].removeprefix("SCAN "))
    return found


def problems(found: Found) -> list[str]:
    wrong = [
        f"{path} {reason}"
        for kind, reason in REASONS.items()
        for path in found[kind]
        if kind != "writable" or path not in WRITABLE
    ]
    if found["user"] != [str(USER), str(USER)]:
        wrong.append(f"runs as {':'.join(found['user'])}, not {USER}:{USER}")
    if (seen := int(found["files"][0])) < MANY_FILES:
        wrong.append(f"only {seen} files were seen; that is not the image")
    return wrong
