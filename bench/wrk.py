"""wrk, the load generator: every request pays an order of its own, with a token of its owner."""

import asyncio
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench import orders
from scripts.platform import token

SCRIPT: Final = Path(__file__).with_name("payments.lua")
WRK: Final = "wrk"
REQUEST_TIMEOUT_S: Final = 10
"""Longer than any answer takes at 1,000 connections; a request beyond it counts as an error."""

RUN_MARGIN_S: Final = 60.0
TOKEN_TTL_S: Final = 7_200


class WrkError(Exception):
    """wrk is missing or failed; the message says what to do."""


class Load(msgspec.Struct, frozen=True):
    """What wrk measured; times in microseconds. `requests` were answered, `refused` of them badly.

    `errors` are those, and requests without an answer.
    """

    requests: int
    duration_us: int
    refused: int
    errors: int
    p50_us: int
    p95_us: int
    p99_us: int

    @property
    def rate(self) -> float:
        """Return good answers a second."""
        return (self.requests - self.refused) / self.duration_us * 1e6


def require() -> str:
    """Return wrk's path, also that in our venv; raise WrkError if it is not installed."""
    found = shutil.which(WRK) or shutil.which(WRK, path=str(Path(sys.executable).parent))
    if found is None:
        raise WrkError("wrk is not installed; run tools/bootstrap wrk, or install it")
    return found


def write_orders(path: Path, *, secret: str, series: int, start: int, stop: int) -> None:
    """Write what payments.lua reads."""
    tokens = [
        token.make(secret, orders.user(n), token.DEFAULT_SCOPES, ttl_s=TOKEN_TTL_S, environ={})
        for n in range(orders.USERS)
    ]
    path.write_text(
        "".join(
            f"{orders.order_id(series, n)} {tokens[n % orders.USERS]}\n"
            for n in range(start, stop + 1)
        )
    )


async def load(urls: Sequence[str], files: Sequence[Path], connections: int, seconds: int) -> Load:
    """Load every URL at the same time, the connections divided among them."""
    each = connections // len(urls)
    runs = (_wrk(url, file, each, seconds) for url, file in zip(urls, files, strict=True))
    return together(await asyncio.gather(*runs))


async def _wrk(url: str, file: Path, connections: int, seconds: int) -> Load:
    process = await asyncio.create_subprocess_exec(
        require(),
        *("-t", "1", "-c", str(connections), "-d", f"{seconds}s"),
        *("--timeout", f"{REQUEST_TIMEOUT_S}s", "-s", str(SCRIPT), url, "--", str(file)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(seconds + RUN_MARGIN_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    lines = [line for line in output.splitlines() if line.startswith(b'{"requests"')]
    if process.returncode or not lines:
        raise WrkError(f"wrk failed:\n{output.decode(errors='replace')}")
    return msgspec.json.decode(lines[0], type=Load)


def together(loads: Sequence[Load]) -> Load:
    """Return the loads as one; percentiles are those of the worse process."""
    return Load(
        requests=sum(load.requests for load in loads),
        duration_us=max(load.duration_us for load in loads),
        refused=sum(load.refused for load in loads),
        errors=sum(load.errors for load in loads),
        p50_us=max(load.p50_us for load in loads),
        p95_us=max(load.p95_us for load in loads),
        p99_us=max(load.p99_us for load in loads),
    )
