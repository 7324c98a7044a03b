"""Side B: the service answers POST /v1/payments, loaded by wrk.

Real processes, real HTTP on both sides of it, real tokens; every payment is of an order of its own.
"""

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import msgspec
import psutil

from bench import orders
from scripts.platform import token
from scripts.platform.embedded import LOOPBACK, free_port
from scripts.platform.launcher import listens, start_role, until_ready
from scripts.platform.processes import Child

SCRIPT: Final = Path(__file__).with_name("payments.lua")
WRK: Final = "wrk"
REQUEST_TIMEOUT_S: Final = 10
"""Longer than any answer takes at 1,000 connections; a request beyond it counts as an error."""

RUN_MARGIN_S: Final = 60.0
TOKEN_TTL_S: Final = 7_200


class WrkError(Exception):
    """wrk is missing or failed; the message says what to do."""


class Load(msgspec.Struct, frozen=True):
    """What one wrk measured; times in microseconds."""

    requests: int
    duration_us: int
    errors: int
    p50_us: int
    p95_us: int
    p99_us: int

    @property
    def rate(self) -> float:
        """Return answers a second."""
        return self.requests / self.duration_us * 1e6


def require_wrk() -> str:
    """Return wrk's path; raise WrkError if it is not installed."""
    found = shutil.which(WRK)
    if found is None:
        raise WrkError("wrk is not installed; run tools/bootstrap wrk, or install it")
    return found


def start(stack: ExitStack, environ: Mapping[str, str], processes: int, logs: Path) -> list[Child]:
    """Start the API processes; wait for them with `ready`."""
    children = []
    for number in range(processes):
        url = f"http://{LOOPBACK}:{free_port()}"
        settings = {**environ, **listens("api", url, f"http://{LOOPBACK}:{free_port()}")}
        child = start_role("api", settings, logs / f"api-{number}.log")
        stack.callback(child.stop)
        asyncio.run(until_ready(child, url))
        child.name = url
        children.append(child)
    return children


def write_orders(path: Path, *, secret: str, round_: int, start: int, stop: int) -> None:
    """Write what payments.lua reads."""
    tokens = [
        token.make(secret, orders.user(n), token.DEFAULT_SCOPES, ttl_s=TOKEN_TTL_S, environ={})
        for n in range(orders.USERS)
    ]
    path.write_text(
        "".join(
            f"{orders.order_id(round_, n)} {tokens[n % orders.USERS]}\n"
            for n in range(start, stop + 1)
        )
    )


async def load(urls: Sequence[str], files: Sequence[Path], connections: int, seconds: int) -> Load:
    """Load every process at the same time, the connections divided among them."""
    each = connections // len(urls)
    runs = (_wrk(url, file, each, seconds) for url, file in zip(urls, files, strict=True))
    return _together(await asyncio.gather(*runs))


async def _wrk(url: str, file: Path, connections: int, seconds: int) -> Load:
    process = await asyncio.create_subprocess_exec(
        require_wrk(),
        *("-t", "1", "-c", str(connections), "-d", f"{seconds}s"),
        *("--timeout", f"{REQUEST_TIMEOUT_S}s", "-s", str(SCRIPT), url, "--", str(file)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(seconds + RUN_MARGIN_S):
        output, _ = await process.communicate()
    lines = [line for line in output.splitlines() if line.startswith(b'{"requests"')]
    if process.returncode or not lines:
        raise WrkError(f"wrk failed:\n{output.decode(errors='replace')}")
    return msgspec.json.decode(lines[0], type=Load)


def _together(loads: Sequence[Load]) -> Load:
    """Return the loads as one; percentiles are those of the worse process."""
    return Load(
        requests=sum(load.requests for load in loads),
        duration_us=max(load.duration_us for load in loads),
        errors=sum(load.errors for load in loads),
        p50_us=max(load.p50_us for load in loads),
        p95_us=max(load.p95_us for load in loads),
        p99_us=max(load.p99_us for load in loads),
    )


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process and of its children, also of those that have ended."""
    process = psutil.Process(pid)
    alive = []
    for child in process.children():
        with suppress(psutil.NoSuchProcess):  # it has ended meanwhile, and is counted below
            alive.append(child.cpu_times())
    times = process.cpu_times()
    own = times.user + times.system + times.children_user + times.children_system
    return float(own + sum(each.user + each.system for each in alive))
