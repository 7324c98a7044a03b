"""A stress run: steps up to the knee and past it, overloads, and the way back."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from loadtest.arrivals import Arrival, Outcome, Stage
from loadtest.generator import Generators, now
from loadtest.knee import Course, StageResult, find_knee, results
from loadtest.stress_verdict import StressResults

LEAD_S: Final = 0.5
"""Before a stage starts: the generators must have it by then."""
GAP_S: Final = 1.0
"""After a step: flows that are fast enough have ended by then, and it can be judged."""
DRAIN_S: Final = 30.0
"""The longest flow has three requests of which each ends within 15 s, the first two mostly not."""
FURTHER: Final = (3.0, 4.0, 5.0)
"""Times the knee, one after the other, while the ones before were no overload."""
SHED_RATIO: Final = 0.05
"""Refused for certain, and not by a hiccup alone."""
TICK_S: Final = 1.0

Show = Callable[[Stage, str], None]
"""Called each second with the stage that runs, and its label."""


class Runner:
    """Makes a stress run; `arrivals` grows by what the generators tell."""

    def __init__(
        self, course: Course, generators: Generators, arrivals: Sequence[Arrival], show: Show
    ) -> None:
        self._course = course
        self._generators = generators
        self._arrivals = arrivals
        self._show = show
        self._number = 0

    async def run(self) -> StressResults:
        """Make the run; the last answers are counted by `StressResults` that is made after it."""
        course = self._course
        steps = await self._climb()
        await self._generators.until_idle(DRAIN_S)
        knee = find_knee(self._results(steps))
        if knee is None:
            return self._found(steps, [], None)
        past = await self._overload(knee.stage.rate)
        rate = course.back * knee.stage.rate
        back = (
            self._stage(past[-1][0].ends_at, rate, course.back_s),
            f"{course.back:g} times the knee",
        )
        await self._generators.follow(back[0])
        await self._until(*back, back[0].ends_at)
        await self._generators.until_idle(DRAIN_S)
        return self._found(steps, past, back)

    async def _overload(self, knee: float) -> list[tuple[Stage, str]]:
        """Go past the knee without a pause, as far as it takes until something is refused."""
        course, at = self._course, now() + LEAD_S
        past: list[tuple[Stage, str]] = []
        for times in (*course.overloads, *FURTHER):
            if len(past) >= len(course.overloads) and self._shed(past[-1]):
                break
            stage = self._stage(at, times * knee, course.overload_s)
            past.append((stage, f"{times:g} times the knee"))
            await self._generators.follow(stage)
            await self._until(*past[-1], stage.ends_at - LEAD_S)
            at = stage.ends_at
        return past

    def _shed(self, stage: tuple[Stage, str]) -> bool:
        one = self._results([stage])[0]
        return one.count(Outcome.SHED) > SHED_RATIO * len(one.arrivals)

    async def _climb(self) -> list[tuple[Stage, str]]:
        course = self._course
        warm_up = self._stage(now() + LEAD_S, course.first_rate, course.step_s)
        await self._generators.follow(warm_up)
        await self._until(warm_up, "warm-up", warm_up.ends_at)
        steps: list[tuple[Stage, str]] = []
        for step in range(course.most_steps):
            rate = course.rate(step)
            if await self._holds(steps, rate, f"{rate:.0f}/s"):
                continue
            await self._generators.until_idle(DRAIN_S)
            if not await self._holds(steps, rate, f"{rate:.0f}/s again"):
                break  # twice: it was no hiccup
        return steps

    async def _holds(self, steps: list[tuple[Stage, str]], rate: float, label: str) -> bool:
        """Make one more step, and tell whether the service holds it."""
        stage = self._stage(now() + LEAD_S, rate, self._course.step_s)
        steps.append((stage, label))
        await self._generators.follow(stage)
        await self._until(stage, label, stage.ends_at + GAP_S)
        return self._results(steps[-1:])[0].holds

    def _stage(self, starts_at: float, rate: float, seconds: float) -> Stage:
        self._number += 1
        return Stage(self._number, starts_at, rate, seconds)

    async def _until(self, stage: Stage, label: str, end: float) -> None:
        while (left_s := end - now()) > 0:
            self._show(stage, label)
            await asyncio.sleep(min(TICK_S, left_s))

    def _results(self, stages: Sequence[tuple[Stage, str]]) -> Sequence[StageResult]:
        return results(stages, self._arrivals)

    def _found(
        self,
        steps: Sequence[tuple[Stage, str]],
        past: Sequence[tuple[Stage, str]],
        back: tuple[Stage, str] | None,
    ) -> StressResults:
        return StressResults(
            self._results(steps),
            self._results(past),
            self._results([back])[0] if back else None,
        )
