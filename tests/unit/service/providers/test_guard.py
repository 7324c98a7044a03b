"""Breaker, repeats and the bound, with a provider that does what each test says."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import cast

import pytest

from service.domain.amounts import AmountRange
from service.domain.money import Money
from service.domain.payment import Charge, ChargeOutcome
from service.errors import OverloadedError
from service.ids import new_id
from service.providers import guard
from service.providers.breaker import Breaker
from service.providers.guard import GuardedProvider
from service.providers.port import (
    ChargeRequest,
    HeldRequest,
    NotSentError,
    OutcomeUnknownError,
    Provider,
    ProviderCharge,
    RefundRequest,
    RefundResult,
)
from service.providers.registry import Providers
from service.retry import full_jitter_s

PRICE = Money(1999, "EUR")
PAID = Charge(ChargeOutcome.SUCCEEDED, "ch_1", PRICE)
DECLINED = Charge(ChargeOutcome.DECLINED, "ch_1", None, "card_declined")
REFUNDED = RefundResult(succeeded=True, provider_ref="re_1", amount=PRICE)
REQUEST = ChargeRequest(new_id(), new_id(), PRICE, capture=True, payment_method="pm_ok")
HELD = HeldRequest(new_id(), "ch_1", PRICE)
REFUND = RefundRequest(new_id(), "ch_1", PRICE)
OPEN_S = 30.0


class Scripted:
    """A provider in memory: it answers in order, and then always that all is well."""

    def __init__(self, name: str = "scripted") -> None:
        self.name = name
        self.limits = {"EUR": AmountRange(1, 5_000)}
        self.script: list[Charge | Exception] = []
        self.calls = 0
        self.called = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def charge(self, _request: ChargeRequest) -> Charge:
        self.calls += 1
        self.called.set()
        await self.gate.wait()
        step = self.script.pop(0) if self.script else PAID
        if isinstance(step, Exception):
            raise step
        return step

    async def find_charge(self, request: ChargeRequest) -> Charge | None:
        return await self.charge(request)

    async def get_charge(self, _charge_ref: str) -> Charge:
        return await self.charge(REQUEST)

    async def capture(self, _request: HeldRequest) -> Charge:
        return await self.charge(REQUEST)

    async def cancel(self, _request: HeldRequest) -> Charge:
        return await self.charge(REQUEST)

    async def refund(self, _request: RefundRequest) -> RefundResult:
        await self.charge(REQUEST)
        return REFUNDED

    async def find_refund(self, request: RefundRequest) -> RefundResult | None:
        return await self.refund(request)

    async def list_charges(
        self, _since: datetime, until: datetime
    ) -> AsyncIterator[ProviderCharge]:
        yield ProviderCharge("ch_1", None, None, PRICE, 0, 0, until)

    async def list_changed(self, since: datetime, until: datetime) -> AsyncIterator[ProviderCharge]:
        yield ProviderCharge("ch_0", None, None, PRICE, 0, 0, since, until)

    list_disputes = list_changed


class Clock:
    """The breaker's clock, which a test can move."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        """Return the seconds of a clock that never goes back."""
        return time.monotonic() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()


@pytest.fixture
def provider(scripted: Scripted, clock: Clock) -> GuardedProvider:
    return guarded(scripted, clock=clock)


def guarded(
    scripted: Scripted,
    *,
    failures: int = 3,
    max_in_flight: int = 2,
    clock: Callable[[], float] = time.monotonic,
) -> GuardedProvider:
    breaker = Breaker(scripted.name, failures=failures, open_s=OPEN_S, now=clock)
    return GuardedProvider(cast("Provider", scripted), breaker, max_in_flight=max_in_flight)


def lost() -> OutcomeUnknownError:
    return OutcomeUnknownError("no answer in time")


async def fails(provider: GuardedProvider, kind: type[Exception], times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(kind):
            await provider.charge(REQUEST)


async def test_it_opens_after_so_many_failures_in_a_row_and_then_calls_nobody(
    provider: GuardedProvider, scripted: Scripted, clock: Clock
) -> None:
    scripted.script = [lost(), lost(), PAID, lost(), lost(), lost()]
    await fails(provider, OutcomeUnknownError, 2)
    await provider.charge(REQUEST)  # a success in between: they were not in a row
    await fails(provider, OutcomeUnknownError, 3)
    assert (provider.breaker.state, provider.breaker.allows_call) == ("open", False)
    await fails(provider, NotSentError, 5)
    assert scripted.calls == 6
    clock.ahead = OPEN_S - 1
    await fails(provider, NotSentError)
    assert scripted.calls == 6


async def test_one_call_tries_and_closes_it(
    provider: GuardedProvider, scripted: Scripted, clock: Clock
) -> None:
    scripted.script = [lost(), lost(), lost()]
    await fails(provider, OutcomeUnknownError, 3)
    clock.ahead = OPEN_S + 1
    assert provider.breaker.allows_call
    scripted.gate.clear()
    scripted.called.clear()
    trial = asyncio.create_task(provider.charge(REQUEST))
    await asyncio.wait_for(scripted.called.wait(), 5)
    assert scripted.calls == 4
    assert (provider.breaker.state, provider.breaker.allows_call) == ("half_open", False)
    await fails(provider, NotSentError, 3)  # nobody else goes along with the trial
    assert scripted.calls == 4
    scripted.gate.set()
    assert await trial == PAID
    assert provider.breaker.state == "closed"
    assert await provider.charge(REQUEST) == PAID


@pytest.mark.parametrize("step_s", [-86_400.0, 86_400.0])
async def test_a_step_of_the_wall_clock_changes_no_pause(
    provider: GuardedProvider,
    scripted: Scripted,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    step_s: float,
) -> None:
    scripted.script = [lost(), lost(), lost()]
    await fails(provider, OutcomeUnknownError, 3)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + step_s)
    await fails(provider, NotSentError)
    assert scripted.calls == 3
    clock.ahead = OPEN_S + 1
    assert await provider.charge(REQUEST) == PAID
    assert provider.breaker.state == "closed"


async def test_a_trial_that_fails_opens_it_again(
    provider: GuardedProvider, scripted: Scripted, clock: Clock
) -> None:
    scripted.script = [lost() for _ in range(4)]
    await fails(provider, OutcomeUnknownError, 3)
    clock.ahead = OPEN_S + 1
    await fails(provider, OutcomeUnknownError)
    assert (provider.breaker.state, provider.breaker.allows_call) == ("open", False)
    clock.ahead = 2 * OPEN_S + 2
    assert await provider.charge(REQUEST) == PAID


async def test_a_trial_that_is_canceled_leaves_room_for_another(
    provider: GuardedProvider, scripted: Scripted, clock: Clock
) -> None:
    scripted.script = [lost(), lost(), lost()]
    await fails(provider, OutcomeUnknownError, 3)
    clock.ahead = OPEN_S + 1
    scripted.gate.clear()
    scripted.called.clear()
    trial = asyncio.create_task(provider.charge(REQUEST))
    await asyncio.wait_for(scripted.called.wait(), 5)
    assert scripted.calls == 4
    trial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trial
    scripted.gate.set()
    clock.ahead = 2 * OPEN_S + 2
    assert await provider.charge(REQUEST) == PAID


@pytest.mark.parametrize(
    "answer", [DECLINED, OutcomeUnknownError("still processing", answered=True)]
)
async def test_a_provider_that_answers_is_well_whatever_it_says(
    provider: GuardedProvider, scripted: Scripted, answer: Charge | Exception
) -> None:
    scripted.script = [answer] * 10
    for _ in range(10):
        try:
            assert await provider.charge(REQUEST) == DECLINED
        except OutcomeUnknownError as error:
            assert error is answer  # noqa: PT017
    assert provider.breaker.state == "closed"


async def test_what_reached_nobody_is_sent_again_a_few_times(
    provider: GuardedProvider, scripted: Scripted
) -> None:
    scripted.script = [NotSentError("refused", passing=True), NotSentError("again", passing=True)]
    assert await provider.charge(REQUEST) == PAID
    assert scripted.calls == guard.TRIES
    scripted.script = [NotSentError("refused", passing=True)] * guard.TRIES
    await fails(provider, NotSentError)
    assert scripted.calls == 2 * guard.TRIES


@pytest.mark.parametrize("error", [NotSentError("limit reached"), lost()])
async def test_nothing_else_is_sent_again(
    provider: GuardedProvider, scripted: Scripted, error: Exception
) -> None:
    scripted.script = [error]
    await fails(provider, type(error))
    assert scripted.calls == 1


async def test_a_provider_that_asks_for_rest_gets_it_within_bounds(
    provider: GuardedProvider, scripted: Scripted
) -> None:
    rest_s = 0.3
    scripted.script = [NotSentError("429", passing=True, retry_after_s=rest_s)] * 2
    started = time.monotonic()
    assert await provider.charge(REQUEST) == PAID
    assert scripted.calls == guard.TRIES
    assert time.monotonic() - started >= 2 * rest_s


async def test_a_rest_that_a_buyer_would_not_wait_for_is_not_waited_for(
    provider: GuardedProvider, scripted: Scripted
) -> None:
    too_long = NotSentError("429", passing=True, retry_after_s=guard.REPEAT_WITHIN_S)
    scripted.script = [too_long]
    started = time.monotonic()
    await fails(provider, NotSentError)
    assert scripted.calls == 1
    assert time.monotonic() - started < guard.REPEAT_WITHIN_S


async def test_rests_together_are_bounded_too(
    provider: GuardedProvider, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "REPEAT_WITHIN_S", 1.0)
    scripted.script = [NotSentError("429", passing=True, retry_after_s=0.6)] * 2
    await fails(provider, NotSentError)
    assert scripted.calls == 2  # a second rest would end after the second


async def test_pauses_are_random_and_bounded(
    provider: GuardedProvider, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds: list[float] = []

    def shortest(tries: int, **bound: float) -> float:
        bounds.append(full_jitter_s(tries, random=lambda: 1.0, **bound))
        return 0.0

    monkeypatch.setattr(guard, "full_jitter_s", shortest)
    scripted.script = [NotSentError("refused", passing=True)] * 2
    await provider.charge(REQUEST)
    assert bounds == [0.1, 0.2]


async def test_a_place_is_taken_and_given_back(provider: GuardedProvider) -> None:
    with provider.admit(), provider.admit():
        assert (provider.in_flight, provider.has_room) == (2, False)
        with pytest.raises(OverloadedError) as caught, provider.admit():
            pass
        assert caught.value.retry_after_s == 1
    assert provider.in_flight == 0
    with pytest.raises(RuntimeError), provider.admit():
        raise RuntimeError
    assert provider.in_flight == 0


async def test_every_call_is_guarded(provider: GuardedProvider, scripted: Scripted) -> None:
    calls: list[Callable[[], object]] = [
        lambda: provider.charge(REQUEST),
        lambda: provider.find_charge(REQUEST),
        lambda: provider.get_charge("ch_1"),
        lambda: provider.capture(HELD),
        lambda: provider.cancel(HELD),
        lambda: provider.refund(REFUND),
        lambda: provider.find_refund(REFUND),
    ]
    for call in calls:
        assert await call() in (PAID, REFUNDED)  # type: ignore[misc]
    scripted.script = [lost(), lost(), lost()]
    await fails(provider, OutcomeUnknownError, 3)
    for call in calls:
        with pytest.raises(NotSentError):
            await call()  # type: ignore[misc]
    now = datetime.now().astimezone()
    assert [charge.provider_ref async for charge in provider.list_charges(now, now)] == ["ch_1"]
    assert [charge.provider_ref async for charge in provider.list_changed(now, now)] == ["ch_0"]


async def test_the_first_provider_that_would_take_a_payment_is_chosen() -> None:
    names = ["first", "second", "third"]
    made = {name: Scripted(name) for name in names}
    providers = Providers([guarded(one, failures=1, max_in_flight=1) for one in made.values()])
    assert list(providers) == names
    assert len(providers) == 3
    assert providers.choose(names) == "first"
    made["first"].script = [lost()]
    await fails(providers["first"], OutcomeUnknownError)
    assert providers.choose(names) == "second"
    with providers["second"].admit():
        assert providers.choose(names) == "third"
        assert not providers.any_usable(["first", "second"])
        assert providers.choose(["first", "second"]) == "first"  # the caller meets the reason
    assert providers.any_usable(["first", "second"])
    assert not providers.any_usable([])
