"""Whether the money is right after a run: nothing pending, invariants, and a reconciliation."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp

IDLE_TIMEOUT_S: Final = 120.0  # a full outbox drains in seconds; an unknown outcome takes more
PATIENCE_S: Final = 60.0  # what a service sheds or queues after a load is gone within seconds
REFUSED: Final = frozenset({401, 403})
POLL_S: Final = 0.5  # as often as the workers poll
ANSWER_TIMEOUT_S: Final = 15.0  # the invariants read whole tables after a long run
RECONCILE_TIMEOUT_S: Final = 900.0  # a page of 200 entries takes tens of milliseconds
REACH_TIMEOUT_S: Final = 1_200.0  # the service's default RECONCILIATION_GRACE_S, and a margin
WAIT_SAID_S: Final = 60.0
RUNS: Final = "/v1/admin/reconciliation/runs"
DIFFERENCES: Final = "/v1/admin/reconciliation/differences?state=open&limit=100"

Log = Callable[[str], None]


class SetUpError(Exception):
    """The load could not be applied or judged, so there is no verdict; the message says why."""


class BusyError(SetUpError):
    """The service did not answer as it should; later it may."""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """A run that compared our books with the providers' and the Library's, after the load.

    `error` says why it failed or does not cover the load; `differences` are those still open.
    """

    error: str | None
    charges: int
    grants: int
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Money:
    """What the service says of its money after a run: GET /v1/admin/invariants, and the rest."""

    invariants: Mapping[str, int]
    pending: Mapping[str, int]
    reconciliation: Reconciliation


@dataclass(frozen=True)
class Admin:
    """The service's operators' API; raises SetUpError when it can't be used.

    A service that was under load just now may be busy: it is asked again for `patience_s`.
    """

    url: str
    session: aiohttp.ClientSession = field(repr=False)
    patience_s: float = 0.0

    async def call(
        self, method: str, path: str, expected: int = 200, body: object = None
    ) -> dict[str, Any]:
        """Return the answer's JSON. What is called here can be called twice."""
        deadline = asyncio.get_running_loop().time() + self.patience_s
        while True:
            try:
                return await self._call(method, path, expected, body)
            except BusyError:
                if asyncio.get_running_loop().time() > deadline:
                    raise
            await asyncio.sleep(POLL_S)

    async def _call(self, method: str, path: str, expected: int, body: object) -> dict[str, Any]:
        try:
            async with self.session.request(method, f"{self.url}{path}", json=body) as answer:
                found: dict[str, Any] = await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            reason = str(error) or type(error).__name__  # a TimeoutError has no text
            raise BusyError(f"{method} {path} at {self.url} cannot be read: {reason}") from error
        if answer.status == expected:
            return found
        answered = f"{method} {path} at {self.url} answers {answer.status} {found.get('code', '')}"
        if answer.status in REFUSED:
            raise SetUpError(f"{answered}; does the service accept our tokens (JWT_SECRET)?")
        raise BusyError(f"{answered}; look at the service's log")


@asynccontextmanager
async def admin(url: str, token: str, patience_s: float = 0.0) -> AsyncIterator[Admin]:
    """Give the operators' API of the service at `url`; `token` has the scope payments:admin."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S)
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(timeout=timeout, headers=headers) as session:
        yield Admin(url, session, patience_s)


async def check_ready(url: str, admin_token: str) -> None:
    """Raise SetUpError unless a service that is ready, and takes our tokens, answers at `url`."""
    async with admin(url, admin_token) as api:
        try:
            async with api.session.get(f"{url}/health/ready") as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise SetUpError(
                f"nothing answers at {url} ({reason}); `make dev` starts it"
            ) from error
        if status != 200:  # noqa: PLR2004  the answer of a service that is ready
            raise SetUpError(
                f"{url}/health/ready answers {status}; wait until the service is ready"
            )
        await api.call("GET", "/v1/admin/invariants")


async def check_money(url: str, admin_token: str, log: Log) -> Money:
    """Wait until nothing is pending, reconcile, and return what the service says of its money."""
    ended_at = datetime.now(UTC)
    async with admin(url, admin_token, PATIENCE_S) as api:
        await _wait_until_idle(api)
        reconciliation = await _reconcile(api, ended_at, log)
        found = await api.call("GET", "/v1/admin/invariants")
        return Money(found["invariants"], found["pending"], reconciliation)


async def _wait_until_idle(api: Admin) -> None:
    deadline = asyncio.get_running_loop().time() + IDLE_TIMEOUT_S
    while asyncio.get_running_loop().time() < deadline:
        found = await api.call("GET", "/v1/admin/invariants")
        if not any(found["pending"].values()):
            return
        await asyncio.sleep(POLL_S)  # there is no event to wait for across HTTP


async def _reconcile(api: Admin, ended_at: datetime, log: Log) -> Reconciliation:
    """Compare all that was done before `ended_at`: the service leaves out what is still fresh."""
    run = await _run(api)
    missing = _not_covered(run, ended_at)
    if missing and run["status"] == "succeeded" and missing.total_seconds() <= REACH_TIMEOUT_S:
        await _wait_for_the_end(missing.total_seconds(), log)
        run = await _run(api)
        missing = _not_covered(run, ended_at)
    page = await api.call("GET", DIFFERENCES)
    found = [f"{each['kind']} at {each['source']}" for each in page["items"]]
    more = ["and more"] if page["next_cursor"] else []
    return Reconciliation(_error(run, missing), run["charges"], run["grants"], (*found, *more))


async def _wait_for_the_end(seconds: float, log: Log) -> None:
    """Wait until reconciliation reaches the end of the load; with each minute say how long."""
    while seconds > 0:
        log(f"reconciliation reaches the end of the load in {seconds:.0f} s")
        part_s = min(seconds, WAIT_SAID_S)
        await asyncio.sleep(part_s)
        seconds -= part_s


def _error(run: Mapping[str, Any], missing: timedelta | None) -> str | None:
    if run["status"] != "succeeded":
        return f"{run['status']}: {run['error'] or 'no run within the time allowed'}"
    if missing:
        return f"it leaves out the last {missing.total_seconds():.0f} s (RECONCILIATION_GRACE_S)"
    return None


def _not_covered(run: Mapping[str, Any], ended_at: datetime) -> timedelta | None:
    """Return how long before the end of the load the run stopped looking; None if it did not."""
    if run["window_to"] is None:
        return None
    missing = ended_at - datetime.fromisoformat(run["window_to"])
    return missing if missing > timedelta(0) else None


async def _run(api: Admin) -> dict[str, Any]:
    """Ask for a run and return it when it has ended, or after a while as it stands."""
    run = await api.call("POST", RUNS, 202, {"note": "after a load test"})
    deadline = asyncio.get_running_loop().time() + RECONCILE_TIMEOUT_S
    while run["status"] not in {"succeeded", "failed"}:
        if asyncio.get_running_loop().time() > deadline:
            break
        await asyncio.sleep(POLL_S)  # as above
        run = await api.call("GET", f"{RUNS}/{run['id']}")
    return run
