"""The visitors of the shop, for locust; `python -m loadtest` runs it.

A request fails when its status is not the one that the flow expects, or when the answer
contradicts the flow (a paid order that does not say so). A 409 is never expected here: everybody
buys games they don't own and pays orders of their own.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from locust import FastHttpUser, between, events

from loadtest.identities import Identity, IdentityPool
from loadtest.plan import read_plan
from loadtest.profile import MIX, Task
from loadtest.shapes import PhasesShape

__all__ = ["PhasesShape", "Visitor"]  # what locust finds here

CURRENCY: Final = "EUR"
CREATED: Final = (201,)
CREATED_OR_UNDER_WAY: Final = (201, 202)
OK: Final = (200,)
PAID_OR_UNDER_WAY: Final = ("succeeded", "processing", "unknown")
"""Of a payment; one under way gets its outcome later, and the money checks cover it."""
PAID: Final = ("paid", "fulfilled")
"""Of an order."""


def add_arguments(parser: Any) -> None:
    """Add the arguments that `python -m loadtest` passes."""
    parser.add_argument("--plan-file", type=Path, required=True)
    parser.add_argument("--result-file", type=Path, required=True)


def prepare(environment: Any, **_: Any) -> None:
    """Fill the pool of identities before the first user starts."""
    plan = read_plan(environment.parsed_options.plan_file)
    environment.tasks_begun = Counter()
    environment.identities = IdentityPool(plan.tokens)
    environment.shape_class.profile = plan.profile
    Visitor.wait_time = between(*plan.profile.pause_s)


def write_result(environment: Any, **_: Any) -> None:
    """Write what was measured, for the verdict and the report."""
    stats = environment.runner.stats
    raw = {
        "tasks": environment.tasks_begun,
        # Not stats.serialize_stats(), which empties what it returns.
        "entries": [entry.serialize() for entry in stats.entries.values()],
        "total": stats.total.serialize(),
        "errors": list(stats.serialize_errors().values()),
        "exceptions": [
            {"count": found["count"], "message": found["msg"]}
            for found in environment.runner.exceptions.values()
        ],
        "history": stats.history,
    }
    environment.parsed_options.result_file.write_text(json.dumps(raw), encoding="utf-8")


class Visitor(FastHttpUser):  # type: ignore[misc]  # locust is not typed strictly
    """A virtual user of the shop."""

    connection_timeout = 5.0  # on loopback or in a cluster; beyond it the server accepts no more
    network_timeout = 20.0  # above the service's own request timeout of 15 s

    def on_start(self) -> None:
        """Take an identity."""
        self.identity: Identity = self.environment.identities.take()

    def on_stop(self) -> None:
        """Release the identity."""
        self.environment.identities.release(self.identity)

    def complete_payment(self) -> None:
        """Order a game, pay, and look at the order."""
        self._begin(Task.PAY)
        order = self._create_order()
        if order is None:
            return
        payment = self._request(
            "POST",
            "/v1/payments",
            CREATED_OR_UNDER_WAY,
            body={"order_id": order["id"], "payment_method": "pm_ok"},
            headers={"Idempotency-Key": str(uuid4())},
            status=PAID_OR_UNDER_WAY,
        )
        if payment is None:
            return
        expected = PAID if payment["status"] == "succeeded" else None
        self._read_order(order["id"], expected)

    def look_at_order(self) -> None:
        """Look at the last order, or at an empty list of orders."""
        self._begin(Task.STATUS)
        if self.identity.last_order_id is None:
            self._request("GET", "/v1/orders?limit=1", OK, name="/v1/orders")
        else:
            self._read_order(self.identity.last_order_id)

    def cancel(self) -> None:
        """Order a game and cancel the order."""
        self._begin(Task.CANCEL)
        order = self._create_order()
        if order is None:
            return
        self.identity.unowned.append(order["items"][0]["game_id"])
        self._request(
            "POST",
            f"/v1/orders/{order['id']}/cancel",
            OK,
            name="/v1/orders/{id}/cancel",
            status=("canceled",),
        )

    def check_health(self) -> None:
        """Do what a load balancer does."""
        self._begin(Task.HEALTH)
        self._request("GET", "/health/ready", OK)

    def _begin(self, task: Task) -> None:
        self.environment.tasks_begun[task] += 1

    def _create_order(self) -> dict[str, Any] | None:
        game_id = self.identity.next_game()
        if game_id is None:
            self.identity = self.environment.identities.take()
            game_id = self.identity.next_game()
        body = {"currency": CURRENCY, "items": [{"game_id": game_id, "quantity": 1}]}
        order = self._request("POST", "/v1/orders", CREATED, body=body, status=("pending",))
        if order is not None:
            self.identity.last_order_id = order["id"]
        return order

    def _read_order(self, order_id: str, status: tuple[str, ...] | None = None) -> None:
        self._request("GET", f"/v1/orders/{order_id}", OK, name="/v1/orders/{id}", status=status)

    def _request(
        self,
        method: str,
        path: str,
        expected: tuple[int, ...],
        *,
        name: str | None = None,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        status: tuple[str, ...] | None = None,
    ) -> dict[str, Any] | None:
        """Return the answer, or None when it is not what was expected; locust counts it then."""
        with self.client.request(
            method,
            path,
            name=name,
            json=body,
            headers={**self.identity.headers, **(headers or {})},
            catch_response=True,
        ) as response:
            if response.status_code not in expected:
                response.failure(failure(response))
                return None
            answer: dict[str, Any] = response.json()
            if status is not None and answer.get("status") not in status:
                response.failure(f"status {answer.get('status')!r}, not one of {status}")
                return None
            return answer

    tasks = {  # noqa: RUF012  locust's way, read when the class is made
        complete_payment: MIX[Task.PAY],
        look_at_order: MIX[Task.STATUS],
        cancel: MIX[Task.CANCEL],
        check_health: MIX[Task.HEALTH],
    }


def failure(response: Any) -> str:
    """Return a short text that is the same for the same kind of failure."""
    if response.error is not None and not response.status_code:
        return type(response.error).__name__
    try:
        code = response.json().get("code", "")
    except ValueError:
        code = "not JSON"
    return f"{response.status_code} {code}"


events.init_command_line_parser.add_listener(add_arguments)
events.init.add_listener(prepare)
events.quitting.add_listener(write_result)
