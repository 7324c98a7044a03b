"""The visitors of the shop, for locust; `python -m loadtest` runs it.

A request fails when its status is not the one that the flow expects, or when the answer
contradicts the flow (a paid order that does not say so). A 409 is never expected here: everybody
buys games they don't own and pays orders of their own.
"""

import json
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import gevent
from locust import FastHttpUser, between, events
from locust.runners import WorkerRunner

from loadtest.distributed import LastReports, steady
from loadtest.identities import Identity, IdentityPool
from loadtest.measured import Recording
from loadtest.plan import read_plan
from loadtest.profile import MIX, Task
from loadtest.progress import Progress
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
    """Add the arguments that `python -m loadtest` passes; workers are sent them, as texts."""
    parser.add_argument("--plan-file", required=True)
    parser.add_argument("--result-file", required=True)
    parser.add_argument("--progress-file", required=True)


def prepare(environment: Any, **_: Any) -> None:
    """Read the plan before the first user starts."""
    plan = read_plan(Path(environment.parsed_options.plan_file))
    environment.plan = plan
    environment.tasks_begun = Counter()
    environment.recording = Recording(plan.profile)
    environment.users_seen = []
    environment.workers_at_end = 0
    environment.last_reports = LastReports()
    environment.shape_class.profile = plan.profile
    environment.shape_class.last_reports = environment.last_reports
    Visitor.wait_time = between(*plan.profile.pause_s)
    environment.events.request.add_listener(partial(record, environment))
    environment.events.report_to_master.add_listener(partial(report, environment))
    environment.events.worker_report.add_listener(partial(receive, environment))


def begin(environment: Any, **_: Any) -> None:
    """Start the clock; each process has its own people, by the number that the leader gave it."""
    environment.started_at = time.time()
    environment.identities = IdentityPool(environment.plan.tokens_of(worker_number(environment)))
    if not isinstance(environment.runner, WorkerRunner):
        gevent.spawn(watch, environment)


def worker_number(environment: Any) -> int:
    """Return which worker this process is; a process that has no workers is the first."""
    return max(0, getattr(environment.runner, "worker_index", 0))


def record(
    environment: Any,
    *,
    request_type: str,
    name: str,
    response_time: float,
    start_time: float,
    exception: BaseException | None = None,
    **_: Any,
) -> None:
    """Count a request by its phase."""
    began_s = start_time - environment.started_at
    kind, failed = f"{request_type} {name}", exception is not None
    environment.recording.record(kind, began_s, response_time, failed=failed)


def report(environment: Any, *, data: dict[str, Any], **_: Any) -> None:
    """Send a worker's counts since its last report to the leader."""
    data["tasks_begun"], environment.tasks_begun = environment.tasks_begun, Counter()
    data["measured"] = environment.recording.take()


def receive(environment: Any, *, client_id: str, data: dict[str, Any], **_: Any) -> None:
    """Add a worker's report to ours."""
    environment.last_reports.note(client_id)
    environment.tasks_begun.update(data["tasks_begun"])
    environment.recording.add(data["measured"])


def watch(environment: Any) -> None:
    """Keep the number of users, and write how the run goes, each second until locust ends."""
    profile = environment.plan.profile
    while True:
        elapsed_s = time.time() - environment.started_at
        users, total = environment.runner.user_count, environment.runner.stats.total
        seen = environment.users_seen
        if not seen or elapsed_s - seen[-1][0] >= profile.interval_s:
            seen.append((round(elapsed_s, 1), users))
        Progress(
            elapsed_s=elapsed_s,
            users=users,
            requests_s=total.current_rps,
            p95_ms=total.get_current_response_time_percentile(0.95),
            failures=total.num_failures,
        ).write(Path(environment.parsed_options.progress_file))
        gevent.sleep(1)


def count_workers(environment: Any, **_: Any) -> None:
    """Keep how many processes have reported to the end, before they are told to quit."""
    environment.workers_at_end = environment.last_reports.count(environment.runner)


def write_result(environment: Any, **_: Any) -> None:
    """Write what was measured, for the verdict and the report."""
    runner = environment.runner
    if isinstance(runner, WorkerRunner):
        return
    raw = {
        "started_at": environment.started_at,
        "workers": environment.workers_at_end,
        "tasks": environment.tasks_begun,
        "users": environment.users_seen,
        "measured": environment.recording.take(),
        "errors": list(runner.stats.serialize_errors().values()),
        "exceptions": [
            {"count": found["count"], "message": found["msg"]}
            for found in runner.exceptions.values()
        ],
    }
    Path(environment.parsed_options.result_file).write_text(json.dumps(raw), encoding="utf-8")


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


steady()
events.init_command_line_parser.add_listener(add_arguments)
events.init.add_listener(prepare)
events.test_start.add_listener(begin)
events.test_stopping.add_listener(count_workers)
events.quitting.add_listener(write_result)
