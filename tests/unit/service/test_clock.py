"""The clock of a process: the database's, from samples, and nobody's steps in between."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from service import clock as clocks
from service.clock import DatabaseClock
from service.errors import StoreUnavailableError

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
Read = Callable[[], Awaitable[datetime]]


class Machine:
    """A machine whose clocks a test sets; what it is asked for may take its time."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.monotonic_s, self.wall_s = 1_000.0, NOON.timestamp() + 300
        patch.setattr(time, "monotonic", lambda: self.monotonic_s)
        patch.setattr(time, "time", lambda: self.wall_s)

    def says(self, at: datetime, *, there_s: float = 0.0, back_s: float = 0.0) -> Read:
        """Return what answers `at`, `there_s` after it is asked and `back_s` before it is heard."""

        async def read() -> datetime:
            self.monotonic_s += there_s + back_s
            return at

        return read


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def off_s(clock: DatabaseClock, at: datetime = NOON) -> float:
    return (clock() - at).total_seconds()


async def test_the_machine_is_believed_until_the_database_was_asked(machine: Machine) -> None:
    clock = DatabaseClock()
    assert (off_s(clock), clock.synchronized.is_set()) == (300, False)
    await clock.measure(machine.says(NOON))
    assert (off_s(clock), clock.synchronized.is_set()) == (0, True)
    assert clock.system_offset_s() == pytest.approx(300)


async def test_a_step_of_the_machines_clock_changes_nothing(machine: Machine) -> None:
    clock = DatabaseClock()
    await clock.measure(machine.says(NOON))
    machine.wall_s -= 7_200
    machine.monotonic_s += 10
    assert off_s(clock) == pytest.approx(10)
    assert clock.system_offset_s() == pytest.approx(-6_910)


@pytest.mark.parametrize(("there_s", "back_s"), [(0.4, 0.4), (0.8, 0.0), (0.0, 0.8)])
async def test_a_sample_is_wrong_by_half_its_round_trip_at_most(
    machine: Machine, there_s: float, back_s: float
) -> None:
    clock = DatabaseClock()
    await clock.measure(machine.says(NOON, there_s=there_s, back_s=back_s))
    assert abs(off_s(clock) - back_s) <= 0.4 + 1e-6


async def test_a_slow_answer_counts_only_as_the_first(machine: Machine) -> None:
    clock = DatabaseClock()
    await clock.measure(machine.says(NOON, there_s=4))
    assert off_s(clock) == pytest.approx(2)
    await clock.measure(machine.says(NOON, back_s=1.5))
    assert off_s(clock) == pytest.approx(3.5)
    await clock.measure(machine.says(NOON))
    assert off_s(clock) == pytest.approx(0)


async def test_a_database_that_takes_over_with_another_time_is_followed(machine: Machine) -> None:
    clock = DatabaseClock()
    await clock.measure(machine.says(NOON))
    later = NOON.replace(minute=10)
    await clock.measure(machine.says(later))
    assert off_s(clock, later) == pytest.approx(0)


async def test_a_database_that_is_gone_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "FIRST_RETRY_S", 0.001)
    gone = iter([StoreUnavailableError(), StoreUnavailableError()])

    async def read() -> datetime:
        if (error := next(gone, None)) is not None:
            raise error
        return NOON

    clock, stop = DatabaseClock(), asyncio.Event()
    following = asyncio.create_task(clock.follow(read, stop))
    await asyncio.wait_for(clock.synchronized.wait(), 5)
    stop.set()
    await asyncio.wait_for(following, 5)
    assert 0 <= off_s(clock) < 5


async def test_it_ends_though_its_cancellation_is_overheard() -> None:
    """So does Python 3.11's `wait_for`, when the answer comes in the same moment."""
    asked = asyncio.Event()

    async def read() -> datetime:
        asked.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return NOON

    stop = asyncio.Event()
    following = asyncio.create_task(DatabaseClock().follow(read, stop))
    await asked.wait()
    stop.set()
    following.cancel()
    await asyncio.wait_for(following, 5)
