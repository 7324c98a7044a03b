"""Random customers, faults, crashes and leaps of time; afterwards the money must be right.

Hypothesis generates the scenarios and shrinks those that fail. The API is a process that is really
killed; the database, the cache, the simulator and HTTP are real. There is no model that predicts
each answer: it would be the service written twice, with the same mistakes.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)

from scripts.platform.embedded import Valkey
from simulator.client import Control
from tests.resilience.conftest import Say
from tests.resilience.platform_harness import Ask, PlatformHarness
from tests.resilience.provider_events import BANK, DASHBOARD
from tests.support import services
from tests.support.databases import Databases
from tests.support.forks import Forks, SharedClock
from tests.support.services import SIMULATOR_SECRETS

T = TypeVar("T")
CONFLICT, BUSY = 409, 503
WORKERS_CALLS = ("provider.find", "provider.refund", "provider.dispute", "library.grant")
PART_MINOR = 300
EXAMPLES = {"short": 15, "long": 400}
STEPS = {"short": 30, "long": 60}
IMPATIENT = {
    "PROVIDER_TIMEOUT_S": "0.3",  # short: only that a timeout happens matters
    "INTEGRATION_TIMEOUT_S": "0.3",
    "RATE_LIMIT_WEBHOOKS": "0",
    "BREAKER_OPEN_S": "0.05",  # an open breaker would hide the faults behind it
}
BROKEN_CALLS = st.sampled_from(
    (
        *("timeout_before", "timeout_after", "reset_before", "reset_after"),
        *("status", "malformed", "wrong_amount"),
    )
)
TROUBLE = st.none() | BROKEN_CALLS
CALLS = ("charge", "capture", "refund", "find", "dispute")
FAULTS = st.one_of(
    st.tuples(
        st.sampled_from([f"provider.{call}" for call in CALLS]),
        BROKEN_CALLS,
    ),
    st.tuples(
        st.sampled_from(("library.grant", "library.revoke")),
        st.sampled_from(("timeout_before", "timeout_after", "reset_after", "status")),
    ),
)
Order = tuple[str, str]
"""A user and an order's id."""

Request = tuple[str, str, Ask]
"""A user, a key and what is asked."""

ORDERS = Bundle("orders")
REQUESTS = Bundle("requests")
WHO = st.integers(0, 1)
GAMES = st.lists(st.integers(1, 20), min_size=1, max_size=2, unique=True)
PAYING = st.sampled_from(("pay", "pay", "authorize", "authorize", "decline"))
CHANGING = st.sampled_from(("capture", "capture_part", "cancel", "refund"))
PROVIDER_EVENTS = st.sampled_from(tuple(DASHBOARD))
"""Actions in the provider's dashboard, or of the provider itself."""

BANK_ACTS = st.sampled_from(tuple(BANK))
COURSES = st.sampled_from(
    (
        ("authorize", "capture", "fail"),
        ("authorize", "capture", "refund_part", "fail"),
        ("authorize", "capture_part", "refund"),
        ("pay", "refund_part", "send_back", "refund"),
        ("pay", "warn", "dispute", "submit", "lose"),
        ("pay", "dispute", "submit", "win", "reinstate"),
        ("pay", "inquire", "close", "escalate", "withdraw", "lose"),
        ("pay", "refund_part", "dispute_part", "lose", "escalate", "win", "reinstate"),
    )
)
"""Typical courses of a purchase; `escalate` after an end is a bank's second round."""

CLOCKS = st.integers(-300, 300)
"""The offset of a process's clock, in seconds."""

MOMENTS = st.sampled_from(("hold_before", "hold_after"))
TARGETS = {
    "capture": "provider.capture",
    "capture_part": "provider.capture",
    "cancel": "provider.cancel",
    "refund": "provider.refund",
}


class Environment:
    """Starts one platform for all scenarios, and a new one after a scenario that failed."""

    def __init__(self, databases: Databases, environ: dict[str, str], folder: Path) -> None:
        self._databases, self._environ, self._folder = databases, environ, folder
        self.runner = asyncio.Runner()
        self.users = count(1)
        self.steps = self.crashes = self.scenarios = 0
        self.outcomes: Counter[str] = Counter()
        self._harnesses: list[tuple[Any, PlatformHarness]] = []

    def harness(self) -> PlatformHarness:
        """Return a platform whose records are right."""
        self.scenarios += 1
        if not self._harnesses:
            database = self._databases.fresh()
            environ = {**self._environ, "DATABASE_URL": database.__enter__().service}
            simulator = Control(
                environ["SIMULATOR_URL"], library_token=SIMULATOR_SECRETS["LIBRARY_TOKEN"]
            )
            self.run(simulator.reset())
            forks = Forks(self._folder, environ, SharedClock())
            self._harnesses.append((database, self.run(PlatformHarness.open(forks, simulator))))
        return self._harnesses[-1][1]

    def run(self, action: Awaitable[T]) -> T:
        """Run a coroutine."""

        async def act() -> T:
            return await action

        return self.runner.run(act())

    def finished(self, harness: PlatformHarness, *, well: bool) -> None:
        """Count a scenario; end its platform if it failed."""
        self.steps, self.crashes = self.steps + harness.steps, self.crashes + harness.crashes
        self.outcomes += harness.outcomes
        harness.steps, harness.crashes, harness.outcomes = 0, 0, Counter()
        if not well:
            self.close()

    def close(self) -> None:
        """End the platform that runs."""
        while self._harnesses:
            database, harness = self._harnesses.pop()
            self.run(harness.close())
            database.__exit__(None, None, None)


class Scenario(RuleBasedStateMachine):
    """The rules of a scenario."""

    def __init__(self, environment: Environment) -> None:
        super().__init__()
        self.environment, self.harness, self.well = environment, environment.harness(), False
        scenario = next(environment.users)
        self.users = [f"ada-{scenario}", f"bob-{scenario}"]
        self.keys = count(1)

    def do(self, action: Awaitable[T]) -> T:
        """Do one step."""
        self.harness.steps += 1
        return self.environment.run(action)

    @initialize(api=CLOCKS, workers=CLOCKS)
    def clocks(self, api: int, workers: int) -> None:
        """Give each process a clock that is off by so many seconds."""
        self.do(self.harness.begin(api_clock_s=api, workers_clock_s=workers))

    @rule(target=ORDERS, who=WHO, games=GAMES)
    def order(self, who: int, games: list[int]) -> Any:
        """Order games; a user may order the same game twice."""
        user = self.users[who]
        made = self.do(self.harness.order(user, [f"game-{game}" for game in games]))
        return (user, made) if made else multiple()

    @rule(target=ORDERS, who=WHO, games=GAMES, kind=PAYING, fault=TROUBLE)
    def buy(self, who: int, games: list[int], kind: str, fault: str | None) -> Any:
        """Order games and pay them, whatever happens to the charge."""
        user = self.users[who]
        made = self.do(self.harness.order(user, [f"game-{game}" for game in games]))
        if not made:
            return multiple()
        self.asked((user, made), kind, fault)
        return user, made

    @rule(target=REQUESTS, order=ORDERS, kind=st.one_of(PAYING, CHANGING), fault=TROUBLE)
    def ask(self, order: Order, kind: str, fault: str | None) -> Request:
        """Pay an order, or change its payment, whether that is possible or not."""
        return self.asked(order, kind, fault)

    @rule(request=REQUESTS, twice=st.booleans())
    def ask_again(self, request: Request, twice: Any) -> None:
        """Send the same request under the same key, once or twice at the same time."""

        async def again() -> None:
            await asyncio.gather(*(self.harness.ask(*request) for _ in range(2 if twice else 1)))

        self.do(again())

    @rule(order=ORDERS)
    def cancel_order(self, order: Order) -> None:
        """Cancel an order."""
        user, order_id = order
        path = f"/v1/orders/{order_id}/cancel"
        self.do(self.harness.ask(user, path, lambda customer: customer.call("POST", path)))

    @rule(fault=FAULTS, times=st.integers(1, 3))
    def fail(self, fault: tuple[str, str], times: int) -> None:
        """Begin a fault of the provider or the Library."""
        self.do(self.harness.simulator.fault(*fault, times=times))

    @rule()
    def end_faults(self) -> None:
        """End the faults, and release held requests."""
        self.do(self.harness.simulator.clear_faults())
        self.do(self.harness.simulator.release())

    @rule(seconds=st.sampled_from((1, 31, 150, 3_600, 2 * 86_400, 7 * 86_400)))
    def work(self, seconds: int) -> None:
        """Let time pass, a moment or a week, and run the workers."""
        self.harness.forks.clock.forward(seconds=seconds)
        self.do(self.harness.work())

    @rule(back=st.integers(0, 5), times=st.integers(1, 2))
    def receive_webhook(self, back: int, times: int) -> None:
        """Deliver a webhook: in any order, twice, or a week late."""
        self.do(self.harness.deliver_webhook(back, times))

    @rule(what=PROVIDER_EVENTS, back=st.integers(0, 3), known=st.booleans())
    def provider_event(self, what: str, back: int, known: Any) -> None:
        """Act in the provider's dashboard, or reverse something as a bank does."""
        self.do(self.harness.provider_event(what, back))
        if known:
            self.do(self.harness.deliver_webhook(0, 1))

    @rule(what=BANK_ACTS, back=st.integers(0, 3), known=st.booleans())
    def bank(self, what: str, back: int, known: Any) -> None:
        """Let a buyer's bank begin or continue a dispute."""
        self.provider_event(what, back, known)

    @rule(target=ORDERS, who=WHO, games=GAMES, course=COURSES, known=st.booleans())
    def buy_and_regret(
        self, who: int, games: list[int], course: tuple[str, ...], known: Any
    ) -> Any:
        """Buy games, and go through a typical course of events at the provider or the bank."""
        made = self.buy(who, games, course[0], None)
        for act in course[1:]:
            self.provider_event(act, 0, known)
        return made

    @rule(target=REQUESTS, order=ORDERS, known=st.booleans())
    def dispute_and_ask(self, order: Order, known: Any) -> Request:
        """Let a buyer dispute a payment and ask for its refund, before or after we know of it."""
        payment = self.environment.run(self.harness.payment(*order))
        if payment:
            self.do(self.harness.dispute(payment))
        if known:
            self.do(self.harness.deliver_webhook(0, 1))
            self.do(self.harness.work())
        return self.asked(order, "refund", None)

    @rule(
        target=REQUESTS,
        order=ORDERS,
        kind=st.one_of(PAYING, CHANGING),
        moment=MOMENTS,
        later=st.booleans(),
        clock=CLOCKS,
    )
    def crash(self, order: Order, kind: str, moment: str, later: Any, clock: int) -> Request:
        """Kill the API while the provider holds its call, which continues now or much later.

        The next process has another clock offset.
        """
        request = self.request(order, kind)
        target = TARGETS.get(kind, "provider.charge")
        self.do(self.harness.crash_during(*request, target=target, moment=moment, clock_s=clock))
        if not later:
            self.do(self.harness.simulator.release())
        return request

    @rule(target_=st.sampled_from(WORKERS_CALLS), moment=MOMENTS, clock=CLOCKS)
    def crash_workers(self, target_: str, moment: str, clock: int) -> None:
        """Kill the workers in the middle of a round; the next ones have another clock offset."""
        self.do(self.harness.crash_workers_during(target=target_, moment=moment, clock_s=clock))

    def asked(self, order: Order, kind: str, fault: str | None) -> Request:
        """Send a request; return it, so that it can be repeated."""
        request = self.request(order, kind)
        if fault is not None:
            target = TARGETS.get(kind, "provider.charge")
            self.do(self.harness.simulator.fault(target, fault, times=1))
        refused = self.refusal(order) if kind == "refund" else None
        reply = self.do(self.harness.ask(*request))
        if refused is not None and reply is not None and reply.status != BUSY:
            assert (reply.status, reply.body.get("code")) == (CONFLICT, refused), reply
        return request

    def refusal(self, order: Order) -> str | None:
        """Return the code with which a refund must be refused because of a known dispute."""
        payment = self.environment.run(self.harness.payment(*order))
        return (
            self.environment.run(self.harness.refund_code(order[0], payment)) if payment else None
        )

    def request(self, order: Order, kind: str) -> Request:
        """Return the user, the key and the request."""
        user, order_id = order
        key = f"{user}-{next(self.keys)}"
        if kind in ("pay", "authorize", "decline"):
            method = "pm_declined" if kind == "decline" else "pm_ok"
            capture = "manual" if kind == "authorize" else "automatic"
            return (
                user,
                key,
                lambda customer: customer.pay(
                    order_id, key=key, payment_method=method, capture=capture
                ),
            )
        payment = self.environment.run(self.harness.payment(user, order_id))
        subject = payment or order_id  # which no payment has as its id
        if kind == "refund":
            return user, key, lambda customer: customer.refund(subject, PART_MINOR, key=key)
        if kind == "capture_part":
            return user, key, lambda customer: customer.capture(subject, PART_MINOR, key=key)
        if kind == "capture":
            return user, key, lambda customer: customer.capture(subject, key=key)
        return user, key, lambda customer: customer.cancel(subject, key=key)

    def teardown(self) -> None:
        """Assert that nothing is stuck and that all records agree."""
        try:
            self.environment.run(self.harness.drain())
            self.environment.run(self.harness.audit())
            self.well = True
        finally:
            self.environment.finished(self.harness, well=self.well)


@pytest.fixture
def environment(
    databases: Databases, valkey: Valkey, simulator_url: str, tmp_path: Path
) -> Iterator[Environment]:
    environ = services.settings(database_url="", redis_url=valkey.url, simulator_url=simulator_url)
    made = Environment(databases, {**environ, **IMPATIENT}, tmp_path)
    yield made
    with suppress(Exception):  # the test has failed already
        made.close()
    made.runner.close()


EXPECTED_OUTCOMES = frozenset(
    {"succeeded", "failed", "unknown", "authorized", "canceled", "webhook accepted"}
    | {f"provider: {what.removesuffix('_part')}" for what in (*DASHBOARD, *BANK)}
    | {"payment_disputed"}
)
"""Outcomes that the scenarios together must reach."""
ROUNDS = 3


@pytest.mark.timeout(3_600)
def test_random_scenarios(environment: Environment, depth: str, say: Say) -> None:
    for _ in range(ROUNDS):  # a refused order on a busy machine changes all later scenarios
        run_scenarios(environment, depth)
        if set(environment.outcomes) >= EXPECTED_OUTCOMES:
            break
    outcomes = ", ".join(f"{n} {outcome}" for outcome, n in sorted(environment.outcomes.items()))
    say(
        f"{environment.scenarios} scenarios, {environment.steps} steps,"
        f" {environment.crashes} times kill -9;"
        f" answers: {outcomes}"
    )
    assert set(environment.outcomes) >= EXPECTED_OUTCOMES, "an outcome is never reached"


def run_scenarios(environment: Environment, depth: str) -> None:
    """Let Hypothesis generate scenarios; fail with the shortest that fails."""
    run_state_machine_as_test(
        lambda: Scenario(environment),  # type: ignore[arg-type]  # any factory is accepted
        settings=settings(
            max_examples=EXAMPLES[depth],
            stateful_step_count=STEPS[depth],
            derandomize=depth == "short",  # builds are repeatable; the long form is random
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
