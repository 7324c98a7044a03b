"""Checks of an image of the stage `development`: its unit tests, and a service that restarts."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from scripts import ROOT
from scripts.platform import image_checks
from scripts.platform.containers import Engine
from scripts.platform.image_checks import PYTHON, ROLES, ImageError
from scripts.platform.launcher import Platform, platform
from scripts.platform.processes import Child, spawn

SOURCE: Final = "/src/service"
RELOADER: Final = ("scripts/reload.sh",)
WATCHER: Final = "watchfiles"
CHANGED: Final = "__init__.py"
RESTART_TIMEOUT_S: Final = 60.0  # an end without traffic and a start: three seconds when idle
RESTART_POLL_S: Final = 0.1
STARTED: Final = "process_start_time_seconds"

TESTS: Final = ("python3", "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "tests/unit")
TESTS_TIMEOUT_S: Final = 15 * 60.0  # three minutes on two busy cores
TEST_TOOLS: Final = ("promtool", "amtool")
"""Programs of the rules' tests. They come from Go, so this machine lends them to the container."""
TOOLS_FOLDER: Final = "/usr/local/bin"


def check(engine: Engine, tag: str, folder: Path, report: Callable[[str], None]) -> None:
    """Run the unit tests in a container, then a platform whose roles restart; raise ImageError."""
    report(unit_tests(engine, tag, folder))
    asyncio.run(_reload(engine, tag, folder, report))


def unit_tests(engine: Engine, tag: str, folder: Path) -> str:
    """Run the tests of the image's own source; return pytest's last line."""
    links = {name: ROOT / ".tools" / "bin" / name for name in TEST_TOOLS}
    mounts = {link.resolve(): f"{TOOLS_FOLDER}/{name}" for name, link in links.items()}
    with engine.container(tag, mounts) as container:
        child = spawn("unit tests", container(TESTS, {}), log=folder / "tests.log")
        try:
            code = child.wait(TESTS_TIMEOUT_S)
        finally:
            child.stop()
    if code:
        raise ImageError(f"the unit tests ended with {code}; their last lines:\n{child.tail()}")
    return f"unit tests in a container: {child.tail(1)}"


async def _reload(engine: Engine, tag: str, folder: Path, report: Callable[[str], None]) -> None:
    source = folder / "service"
    shutil.copytree(ROOT / "service", source, ignore=shutil.ignore_patterns("__pycache__"))
    async with _running(engine, tag, source, folder) as running:
        report(await image_checks.one_sale(running, "ada"))
        urls = {"worker": running.worker_url, "api": running.ops_url}
        before = {role: await _started(url) for role, url in urls.items()}
        with (source / CHANGED).open("a") as file:
            file.write("# changed\n")
        for role, url in urls.items():
            await _until_restarted(running.children[role], url, before[role])
            report(f"role {role} restarted by itself after a change of service/{CHANGED}")
        report(await image_checks.one_sale(running, "eve"))
        for role in ROLES:
            report(image_checks.stop(running.children[role], WATCHER))


@asynccontextmanager
async def _running(engine: Engine, tag: str, source: Path, folder: Path) -> AsyncIterator[Platform]:
    """Run the platform: the long-running roles restart when a file of `source` changes."""
    with ExitStack() as stack:

        def start(role: str, settings: Mapping[str, str], log: Path) -> Child:
            container = stack.enter_context(engine.container(tag, {source: SOURCE}))
            command = RELOADER if role in ROLES else PYTHON
            return spawn(role, container((*command, role), settings), log=log)

        async with platform(folder, durable=False, environ={}, start=start) as running:
            yield running


async def _until_restarted(child: Child, url: str, before: float) -> None:
    deadline = time.monotonic() + RESTART_TIMEOUT_S
    while await _started(url) in {0.0, before}:
        if time.monotonic() > deadline or child.returncode is not None:
            raise ImageError(f"{child.name} did not restart; its last lines:\n{child.tail()}")
        await asyncio.sleep(RESTART_POLL_S)


async def _started(url: str) -> float:
    """Return when the process that answers there was started, in seconds; 0 if it isn't ready."""
    timeout = aiohttp.ClientTimeout(total=2)
    try:
        async with aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as session:
            await session.get(f"{url}/health/ready")
            text = await (await session.get(f"{url}/metrics")).text()
    except (aiohttp.ClientError, TimeoutError):
        return 0.0
    samples = [each for family in text_string_to_metric_families(text) for each in family.samples]
    return next(each.value for each in samples if each.name == STARTED)
