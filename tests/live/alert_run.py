"""Every panel has data, every recording a value, and every alert fires by its fault."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from alerts import all_alerts, all_recordings
from alerts.model import Alert
from tests.live.fault_context import Fault, FaultContext, Phase
from tests.live.faults import CANNOT, PHASES, caused
from tests.live.scale import shown
from tests.live.stack import SCRAPE_S, Live

WARM_UP_S: Final = 15.0
"""So many seconds of a healthy service, in which nothing may fire."""

PATIENCE_S: Final = 90.0
"""For all alerts of a phase: the slowest takes fifty seconds on an idle machine."""

LOOK_S: Final = 0.25

PrintLine = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """What became of one alert. Seconds are from its fault to the first look that saw it fire."""

    alert: str
    fault: str
    fired_after_s: float | None
    problem: str = ""

    @property
    def summary(self) -> str:
        """The outcome in a few words."""
        if self.problem:
            return self.problem
        return "cannot fire here" if self.fired_after_s is None else f"{self.fired_after_s:.0f} s"


@dataclass
class Report:
    """What the run has shown; empty lists are what we want."""

    alerts: list[Row] = field(default_factory=list)
    panels: int = 0
    empty_panels: list[str] = field(default_factory=list)
    recordings: int = 0
    empty_recordings: list[str] = field(default_factory=list)
    broken_rules: list[str] = field(default_factory=list)
    fired_when_well: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def problems(self) -> Iterator[str]:
        """Yield everything that is not as it should be."""
        yield from (f"{row.alert}: {row.problem}" for row in self.alerts if row.problem)
        yield from (f"a panel has no data: {panel}" for panel in self.empty_panels)
        yield from (f"a recording has no value: {name}" for name in self.empty_recordings)
        yield from (f"a rule can't be evaluated: {rule}" for rule in self.broken_rules)
        yield from (f"{name} fires while all is well" for name in self.fired_when_well)


async def run_alerts(
    live: Live, print_line: PrintLine = lambda _: None, phases: Sequence[Phase] = PHASES
) -> Report:
    """Cause every fault, a phase at a time, and report what fired and what had data."""
    report, began = Report(), time.monotonic()
    watch = Watch(live.firing)
    watching = asyncio.create_task(watch.run())
    try:
        await asyncio.sleep(WARM_UP_S)
        report.fired_when_well = sorted(watch.fired)
        print_line(f"{WARM_UP_S:g} s of a healthy service: {len(watch.fired)} alerts fired")
        for phase in phases:
            async with AsyncExitStack() as undoing:
                undoing.push_async_callback(live.control.clear_faults)
                await _run_phase(phase, FaultContext(live, undoing), watch, print_line)
                if phase is phases[0]:
                    await _check_panels(live, report)
                    empty = len(report.empty_panels)
                    print_line(f"{report.panels} queries of panels, {empty} without data")
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    report.alerts = [
        outcome(alert, watch.fired.get(alert.name), watch.injected.get(alert.name))
        for alert in all_alerts()
    ]
    report.seconds = round(time.monotonic() - began, 1)
    return report


class Watch:
    """Looks all the time which alerts fire; `fired` and `injected` are by monotonic time."""

    def __init__(self, firing: Callable[[], Awaitable[set[str]]]) -> None:
        self.fired: dict[str, float] = {}
        self.injected: dict[str, float] = {}
        self._firing = firing
        self._now: set[str] = set()

    async def run(self) -> None:
        """Poll until canceled."""
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):  # a busy Prometheus; look again
                await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Note what fires now and did not before."""
        self._now = await self._firing()
        for name in self._now:
            self.fired.setdefault(name, time.monotonic())

    def inject(self, alerts: Iterable[str]) -> None:
        """Note that their fault is caused now: what fired once, and fires no more, is forgotten."""
        for name in alerts:
            self.injected[name] = time.monotonic()
            if name not in self._now:
                self.fired.pop(name, None)

    async def until(self, alerts: set[str], print_line: PrintLine) -> None:
        """Wait until all have fired, or patience ends."""
        deadline = time.monotonic() + PATIENCE_S
        reported: set[str] = set()
        while reported != alerts and time.monotonic() < deadline:
            for name in sorted((alerts & self.fired.keys()) - reported):
                reported.add(name)
                print_line(f"  {name} fires")
            await asyncio.sleep(LOOK_S)
        for name in sorted(alerts - reported):
            print_line(f"  {name} did not fire within {PATIENCE_S:g} s")


async def _run_phase(
    phase: Phase, context: FaultContext, watch: Watch, print_line: PrintLine
) -> None:
    print_line(f"{phase.name}: {len(phase.faults)} faults")
    await asyncio.gather(*(_cause(fault, context, watch) for fault in phase.faults))
    await watch.until({alert.name for fault in phase.faults for alert in fault.fires}, print_line)


async def _cause(fault: Fault, context: FaultContext, watch: Watch) -> None:
    if fault.after is not None:
        query, least = fault.after
        await context.until(query, least=least)
    watch.inject(alert.name for alert in fault.fires)
    await fault.cause(context)


async def _check_panels(live: Live, report: Report) -> None:
    """Ask every panel's queries over all of the run, and every recording's value."""
    end = time.time()
    for query in shown():
        report.panels += 1
        if not await _has_data(live, query.expression, end):
            report.empty_panels.append(f"{query.dashboard}, {query.panel}: {query.expression}")
    for recording in all_recordings():
        report.recordings += 1
        if not await _has_data(live, recording.metric.name, end):
            report.empty_recordings.append(recording.metric.name)
    rules = [rule for group in await live.prometheus.groups() for rule in group["rules"]]
    report.broken_rules = [
        f"{rule['name']}: {rule.get('lastError')}" for rule in rules if rule["health"] != "ok"
    ]


async def _has_data(live: Live, expression: str, end: float) -> bool:
    found = await live.prometheus.query_range(expression, live.started, end, SCRAPE_S)
    return any(math.isfinite(value) for one in found for _, value in one.points)


def outcome(alert: Alert, fired: float | None, injected: float | None) -> Row:
    """Return what became of an alert that was seen to fire, and whose fault was caused, then."""
    if alert.name in CANNOT:
        return Row(alert.name, CANNOT[alert.name], None)
    fault = caused()[alert.name].name
    if fired is None or injected is None:
        return Row(alert.name, fault, None, "did not fire")
    after_s = round(fired - injected, 1)
    return Row(alert.name, fault, after_s, "fired before its fault" if after_s < 0 else "")
