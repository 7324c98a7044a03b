"""CPU and memory of the parts of a run: of processes here, or by a service's own metrics."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import aiohttp
import psutil

SAMPLE_INTERVAL_S: Final = 2.0
"""Reading the memory of each process takes milliseconds of the same processors."""

SCRAPE_TIMEOUT_S: Final = 1.5
MIB: Final = 2**20
_CPU: Final = re.compile(r"^process_cpu_seconds_total (\S+)", re.MULTILINE)
_MEMORY: Final = re.compile(r"^process_resident_memory_bytes (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a part used: processors (1 is one core, all the time), and memory at the end of it.

    `busiest_cores` is of its busiest process: a Python process can use one core at most.
    """

    cores: float
    memory_mib: float
    busiest_cores: float


@dataclass(frozen=True, slots=True)
class Sample:
    """What the parts used since the sample before; `at` is a Unix time."""

    at: float
    parts: Mapping[str, Usage]


@dataclass(frozen=True, slots=True)
class Reading:
    """Seconds of CPU since each process began, and the bytes of all of them."""

    cpu_s: Mapping[int, float]
    memory: float


Source = Callable[[], Awaitable[Reading | None]]
"""Reads a part; None when it can't be read, such as a process that has ended."""


def processes(pid: int) -> Source:
    """Return the source of a process and all that it has started."""

    async def read() -> Reading | None:
        try:
            root = psutil.Process(pid)
            family = [root, *root.children(recursive=True)]
        except psutil.Error:
            return None
        cpu_s, memory = {}, 0
        for process in family:
            with suppress(psutil.Error):  # it may end while we look
                times = process.cpu_times()
                cpu_s[process.pid] = times.user + times.system
                memory += _memory(process)
        return Reading(cpu_s, memory)

    return read


def metrics(ops_url: str) -> Source:
    """Return the source of a service's process, by the metrics that its operations port shows."""

    async def read() -> Reading | None:
        timeout = aiohttp.ClientTimeout(total=SCRAPE_TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"{ops_url}/metrics") as answer,
            ):
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError):
            return None
        cpu, memory = _CPU.search(text), _MEMORY.search(text)
        if cpu is None or memory is None:
            return None
        return Reading({0: float(cpu[1])}, float(memory[1]))

    return read


class Sampler:
    """Samples parts while it runs."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = dict(sources)
        self._last: Mapping[str, Reading] = {}
        self._last_at = 0.0
        self.samples: list[Sample] = []

    def add(self, part: str, source: Source) -> None:
        """Sample one more part from now on."""
        self._sources[part] = source

    async def run(self) -> None:
        """Sample until canceled."""
        while True:
            parts, sources = zip(*self._sources.items(), strict=True) if self._sources else ((), ())
            readings = await asyncio.gather(*(source() for source in sources))
            self.keep(time.time(), dict(zip(parts, readings, strict=True)))
            await asyncio.sleep(SAMPLE_INTERVAL_S)

    def keep(self, at: float, readings: Mapping[str, Reading | None]) -> None:
        """Keep what was used between the last readings and these; a part's first gives nothing."""
        known = {part: reading for part, reading in readings.items() if reading is not None}
        passed_s = at - self._last_at
        parts = {
            part: _usage(self._last[part], reading, passed_s)
            for part, reading in known.items()
            if part in self._last and passed_s > 0
        }
        self._last, self._last_at = known, at
        if parts:
            self.samples.append(Sample(at, parts))


def _usage(before: Reading, now: Reading, passed_s: float) -> Usage:
    """Compare process by process: one that has ended takes its seconds with it."""
    used = [max(0.0, cpu_s - before.cpu_s.get(pid, 0.0)) for pid, cpu_s in now.cpu_s.items()]
    return Usage(sum(used) / passed_s, now.memory / MIB, max(used, default=0.0) / passed_s)


def _memory(process: psutil.Process) -> int:
    """Return bytes; memory that processes share counts in parts, where the system can tell."""
    full = process.memory_full_info()
    return int(getattr(full, "pss", full.rss))
