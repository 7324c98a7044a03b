"""The open model on the real platform: what is served, what is refused, and a run that is ended."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from loadtest.arrivals import Arrival, Outcome, Stage
from loadtest.generator import generators, now
from scripts.platform.embedded import free_port
from scripts.platform.launcher import platform

pytestmark = pytest.mark.timeout(240)

COMMAND = (sys.executable, "-m", "loadtest.stress", "--smoke")
START_TIMEOUT_S = 90  # six processes on a busy machine
SECONDS = 4.0


async def arrive(folder: Path, rate: float, **settings: str) -> list[Arrival]:
    """Return what became of some seconds of arrivals at a platform with these settings."""
    arrivals: list[Arrival] = []
    environ = {**os.environ, **settings}
    async with platform(folder / "platform", durable=False, environ=environ) as running:
        tokens = [running.token(f"arrival-{n}") for n in range(200)]
        async with generators(
            running.api_url, tokens, folder, arrivals.extend, in_flight=200
        ) as generator:
            await generator.follow(Stage(1, now() + 0.5, rate, SECONDS))
            await generator.finish()
    return arrivals


async def test_every_arrival_is_told_of_with_its_times(tmp_path: Path) -> None:
    arrivals = await arrive(tmp_path, 10)
    assert len(arrivals) == pytest.approx(10 * SECONDS, rel=0.6)
    assert {(one.outcome, one.what) for one in arrivals} == {(Outcome.GOOD, "")}
    assert all(0 <= one.started_s < one.ended_s for one in arrivals)
    assert all(one.pay_s is not None and one.pay_s < one.ended_s for one in arrivals)
    assert not list(tmp_path.glob("generator-*.json")), "plans have tokens"


async def test_what_is_too_much_is_refused_as_it_should_be(tmp_path: Path) -> None:
    """Three requests at a time, and one new order: a tenth of what the arrivals need."""
    arrivals = await arrive(tmp_path, 60, HTTP_MAX_IN_FLIGHT="3")
    found = {one.outcome for one in arrivals}
    assert found == {Outcome.GOOD, Outcome.SHED}, {one.what for one in arrivals}
    assert {one.what.split(": ")[1] for one in arrivals if one.what} == {"503 overloaded"}


async def test_the_command_ends_with_2_when_there_is_nothing_to_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JWT_SECRET", "a secret that is as long as HS256 wants")
    url = f"http://127.0.0.1:{free_port()}"
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "--url", url, cwd=tmp_path, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await asyncio.wait_for(process.communicate(), START_TIMEOUT_S)
    assert process.returncode == 2
    assert b"stress: nothing answers at" in errors


async def test_an_interrupted_run_leaves_nothing_behind(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "--out", str(tmp_path)), cwd=tmp_path, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    async with asyncio.timeout(START_TIMEOUT_S):
        while b"warm-up" not in (line := await process.stderr.readline()):
            assert line, "it ended before the load began"
    family = psutil.Process(process.pid).children(recursive=True)
    assert any("locust" in " ".join(child.cmdline()) for child in family)
    process.send_signal(signal.SIGINT)
    _, errors = await asyncio.wait_for(process.communicate(), START_TIMEOUT_S)
    assert process.returncode == 130, errors
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    assert not list(tmp_path.glob("generator-*.json"))
