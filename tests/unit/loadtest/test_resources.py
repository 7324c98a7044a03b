"""CPU and memory are read from processes and from metrics, and told apart by part."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from loadtest.resources import MIB, Reading, Sampler, metrics, processes

METRICS = """# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 12.5
process_resident_memory_bytes 1.048576e+08
"""


@pytest.fixture
async def ops_url() -> AsyncIterator[str]:
    async def show(_: web.Request) -> web.Response:
        return web.Response(text=METRICS)

    app = web.Application()
    app.router.add_get("/metrics", show)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


async def test_a_service_is_read_by_its_metrics(ops_url: str) -> None:
    assert await metrics(ops_url)() == Reading({0: 12.5}, 100 * MIB)
    assert await metrics(f"{ops_url}/nowhere")() is None


async def test_a_process_is_read_with_its_children() -> None:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "input()"), stdin=asyncio.subprocess.PIPE
    )
    try:
        reading = await processes(os.getpid())()
    finally:
        await asyncio.wait_for(child.communicate(b"\n"), 10)
    assert reading is not None
    assert {os.getpid(), child.pid} <= set(reading.cpu_s)
    assert reading.memory > MIB
    assert await processes(child.pid)() is None


def test_usage_is_what_came_since_the_last_sample() -> None:
    sampler = Sampler({})
    sampler.keep(100.0, {"api": Reading({1: 5.0, 2: 1.0}, 10 * MIB), "worker": None})
    assert sampler.samples == []
    sampler.keep(102.0, {"api": Reading({1: 6.0, 3: 0.5}, 20 * MIB), "worker": None})
    (sample,) = sampler.samples
    assert set(sample.parts) == {"api"}
    usage = sample.parts["api"]
    assert (usage.cores, usage.busiest_cores, usage.memory_mib) == (0.75, 0.5, 20)


async def test_a_part_may_join_while_the_others_are_read() -> None:
    async def read() -> Reading:
        sampler.add("late", read)
        return Reading({1: 1.0}, MIB)

    sampler = Sampler({"first": read})
    with pytest.raises(TimeoutError):
        await _run_for_a_moment(sampler)
    assert sampler.samples == []  # one reading gives no usage


async def _run_for_a_moment(sampler: Sampler) -> None:
    async with asyncio.timeout(0.05):
        await sampler.run()
