"""Buyers who arrive by a schedule, for locust; `loadtest/generator.py` runs it.

One locust user is the schedule: it reads stages as lines of JSON from its standard input and spawns
a greenlet for each arrival, whether or not earlier ones were answered. What became of each arrival
goes to standard output, as lines of JSON, four times a second. At the end of the input it waits for
the flows in flight and quits.
"""

import random
import sys
import time
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import gevent
import msgspec
from gevent.fileobject import FileObject
from gevent.pool import Group
from locust import FastHttpUser, events

from loadtest.arrivals import Arrival, Batch, Outcome, Stage, classify, read_open_plan
from loadtest.identities import Identity, IdentityPool, NoIdentityLeftError

__all__ = ["Schedule"]  # what locust finds here

CURRENCY: Final = "EUR"
REPORT_S: Final = 0.25
FINISH_S: Final = 20.0
"""The slowest flow's last request, which ends by its own time-out."""

PAID_OR_UNDER_WAY: Final = ("succeeded", "processing", "unknown")

_encoder: Final = msgspec.json.Encoder()
_decode: Final = msgspec.json.decode


def add_arguments(parser: Any) -> None:
    """Add the argument that the generator passes."""
    parser.add_argument("--plan-file", type=Path, required=True)


class Unexpected(Exception):  # noqa: N818  an answer, which is no error here
    """An answer other than the flow's; `outcome` and `what` are the arrival's."""

    def __init__(self, outcome: Outcome, what: str) -> None:
        super().__init__(what)
        self.outcome = outcome
        self.what = what


class Schedule(FastHttpUser):  # type: ignore[misc]  # locust is not typed strictly
    """All the buyers of one process."""

    connection_timeout = 5.0  # on loopback or in a cluster; beyond it the server accepts no more
    network_timeout = 20.0  # above the service's own request timeout of 15 s
    concurrency = 10_000  # of connections: flows in flight are bounded by the plan

    def on_start(self) -> None:
        """Read the plan."""
        plan = read_open_plan(self.environment.parsed_options.plan_file)
        self.max_in_flight = plan.max_in_flight
        self.identities = IdentityPool(plan.tokens)
        self.dice = random.Random(plan.seed)
        self.flows = Group()
        self.done: list[Arrival] = []

    def follow_stages(self) -> None:
        """Follow every stage that is read, report, and quit at the end of the input."""
        reporting = gevent.spawn(self._report_for_ever)
        self._report()  # ready
        for line in FileObject(sys.stdin.buffer):
            self._follow(_decode(line, type=Stage))
        self.flows.join(timeout=FINISH_S)
        reporting.kill()
        self._report()
        self.environment.runner.quit()
        gevent.sleep(FINISH_S)  # quit() ends this greenlet

    tasks = [follow_stages]  # noqa: RUF012  locust's way, read when the class is made

    def _follow(self, stage: Stage) -> None:
        for due_at in stage.due(self.dice):
            pause_s = due_at - time.monotonic()
            if pause_s > 0:
                gevent.sleep(pause_s)
            if len(self.flows) >= self.max_in_flight:
                late_s = time.monotonic() - due_at
                what = "the generator has as many flows in flight as it may"
                self.done.append(
                    Arrival(stage.number, due_at, late_s, late_s, Outcome.UNSENT, what=what)
                )
                continue
            self.flows.spawn(self._arrive, stage.number, due_at)

    def _arrive(self, stage: int, due_at: float) -> None:
        """Carry out one flow, and tell locust and our report what it took since it was due."""
        started_s = time.monotonic() - due_at
        try:
            flow = Flow(self.client, self.identities.take())
        except NoIdentityLeftError as error:
            late_s, what = time.monotonic() - due_at, str(error)
            self.done.append(Arrival(stage, due_at, late_s, late_s, Outcome.UNSENT, what=what))
            return
        outcome, what = Outcome.GOOD, ""
        try:
            flow.run()
        except Unexpected as answer:
            outcome, what = answer.outcome, answer.what
        finally:
            self.identities.release(flow.identity)
        ended_s = time.monotonic() - due_at
        self.done.append(Arrival(stage, due_at, started_s, ended_s, outcome, flow.pay_s, what))
        self.environment.events.request.fire(
            request_type="FLOW",
            name="order, payment, read; from the scheduled arrival",
            response_time=ended_s * 1000,
            response_length=0,
            exception=RuntimeError(what) if what else None,
            context={},
        )

    def _report_for_ever(self) -> None:
        while True:
            gevent.sleep(REPORT_S)
            self._report()

    def _report(self) -> None:
        done, self.done = self.done, []
        sys.stdout.buffer.write(_encoder.encode(Batch(len(self.flows), done)) + b"\n")
        sys.stdout.buffer.flush()


class Flow:
    """One buyer: order, payment, a look at the order."""

    def __init__(self, client: Any, identity: Identity) -> None:
        self._client = client
        self.identity = identity
        self.pay_s: float | None = None

    def run(self) -> None:
        """Make the three requests; raise Unexpected at the first other answer."""
        game_id = self.identity.next_game()
        try:
            body = {"currency": CURRENCY, "items": [{"game_id": game_id, "quantity": 1}]}
            order = self._request("order", "POST", "/v1/orders", (201,), body)
            status = self._pay(order["id"])
        except Unexpected as answer:
            if answer.outcome is Outcome.SHED and game_id is not None:
                self.identity.unowned.append(game_id)  # surely not bought
            raise
        read = self._request("read", "GET", f"/v1/orders/{order['id']}", (200,))
        if status == "succeeded" and read["status"] not in ("paid", "fulfilled"):
            raise Unexpected(Outcome.FAILED, f"read: a paid order is {read['status']}")

    def _pay(self, order_id: str) -> str:
        started = time.monotonic()
        try:
            body = {"order_id": order_id, "payment_method": "pm_ok"}
            payment = self._request("pay", "POST", "/v1/payments", (201, 202), body)
        finally:
            self.pay_s = time.monotonic() - started
        status: str = payment["status"]
        if status not in PAID_OR_UNDER_WAY:
            raise Unexpected(Outcome.FAILED, f"pay: the payment is {status}")
        return status

    def _request(
        self,
        step: str,
        method: str,
        path: str,
        expected: tuple[int, ...],
        body: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        headers = {**self.identity.headers, "Accept-Encoding": "identity"}
        if step == "pay":
            headers["Idempotency-Key"] = str(uuid4())
        name = "/v1/orders/{id}" if step == "read" else path
        with self._client.request(
            method, path, name=name, json=body, headers=headers, catch_response=True
        ) as response:
            if response.status_code in expected:
                answer: dict[str, Any] = _decode(response.content)
                return answer
            refused = refusal(step, response)
            response.failure(refused.what)
        raise refused


def refusal(step: str, response: Any) -> Unexpected:
    """Return what an answer other than the expected one means."""
    if not response.status_code:
        return Unexpected(Outcome.FAILED, f"{step}: {type(response.error).__name__}")
    outcome, what = classify(
        response.status_code,
        response.headers.get("content-type"),
        response.headers.get("retry-after"),
        response.content or b"",
    )
    return Unexpected(outcome, f"{step}: {what}")


events.init_command_line_parser.add_listener(add_arguments)
