"""Admission: how many requests are handled at a time, and which are refused first (ADR-55).

A process that is asked for more than it can do must not take it all: what waits in it waits ever
longer, until nothing is answered in time. So one request too many is answered 503 at once.

What begins something new is refused long before what goes on with it: an order that can't be paid
any more was work for nothing. How many of these are taken follows from how long they take, as in
CoDel (RFC 8289): when for half a second not even the fastest was in time, there is a queue that
doesn't end, and fewer are taken; else more. A burst is no such queue.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from math import inf
from typing import Final, Literal

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from service.errors import OverloadedError
from service.metric_catalog import ADMISSION_KINDS
from service.web.middleware import QUIET, route_of

RETRY_AFTER_S: Final = 1
"""What is in flight is answered by then; clients add a spread of their own."""

NEW_SHARE: Final = 0.4
"""Of all that may be in flight: the most that may begin something new."""
LEAST_NEW: Final = 16
"""Always taken: so few are no queue, and they tell when all are fast again."""

INTERVAL_S: Final = 0.5
DECREASE: Final = 0.75
"""Of those in flight; enough to see the queue shorter after some intervals."""
INCREASE: Final = 1.25
"""From the least to the usual most in ten seconds; a service that is well needs few of them."""

Kind = Literal["new", "any"]
"""Whether a request begins something `new`."""
KINDS: Final[tuple[Kind, ...]] = ADMISSION_KINDS

Shed = Callable[[Kind], None]
"""Called when a request was refused."""
Clock = Callable[[], float]


class Admission:
    """The requests in flight of one process by kind, and how many there may be.

    `new` ones should be answered within `target_s`. They count as `any`, too.
    """

    def __init__(
        self,
        limit: int,
        target_s: float,
        shed: Shed = lambda _kind: None,
        clock: Clock = lambda: asyncio.get_running_loop().time(),
    ) -> None:
        self.in_flight = {"new": 0, "any": 0}
        self._most_new = max(1, round(NEW_SHARE * limit))
        self._limits: dict[Kind, float] = {"new": self._most_new, "any": limit}
        self._target_s = target_s
        self._shed = shed
        self._clock = clock
        self._fastest_s = inf
        self._judged_at = -inf

    def limit(self, kind: Kind) -> float:
        """Return how many of a kind may be in flight now."""
        return self._limits[kind]

    def count(self, kind: Kind) -> int:
        """Return how many of a kind are in flight now."""
        return self.in_flight[kind]

    def take(self, kind: Kind) -> float:
        """Count one request more and return the time; raise OverloadedError if there is no room."""
        in_flight, limits = self.in_flight, self._limits
        if kind == "new" and in_flight["new"] >= limits["new"]:
            self._refuse("new")
        if in_flight["any"] >= limits["any"]:
            self._refuse("any")
        in_flight["any"] += 1
        if kind == "new":
            in_flight["new"] += 1
        return self._clock()

    def release(self, kind: Kind) -> None:
        """Count one request less."""
        self.in_flight["any"] -= 1
        if kind == "new":
            self.in_flight["new"] -= 1

    def ended(self, taken_at: float, *, done: bool) -> None:
        """Learn from a new one, before it is released.

        One that failed, or was cut off by the deadline, tells something only if it took long: a
        fast refusal does not show that orders are fast.
        """
        now = self._clock()
        if not done and now - taken_at <= self._target_s:
            return
        self._fastest_s = min(self._fastest_s, now - taken_at)
        if now - self._judged_at < INTERVAL_S:
            return
        if self._fastest_s > self._target_s:
            if self.in_flight["new"] > LEAST_NEW:
                self._limits["new"] = max(LEAST_NEW, DECREASE * self.in_flight["new"])
        else:
            self._limits["new"] = min(self._most_new, INCREASE * self._limits["new"])
        self._judged_at, self._fastest_s = now, inf

    def _refuse(self, kind: Kind) -> None:
        self._shed(kind)
        raise OverloadedError(retry_after_s=RETRY_AFTER_S)


class Place:
    """The place of one request, which it leaves while its body is on the way.

    Otherwise clients that send slowly, on purpose or not, could take all places and do nothing.
    """

    __slots__ = ("_admission", "_held", "_kind", "_taken_at")

    def __init__(self, admission: Admission, kind: Kind) -> None:
        self._admission = admission
        self._kind = kind
        self._held = False
        self._taken_at = 0.0

    def take(self) -> None:
        """Take it; raise OverloadedError if there is none."""
        self._taken_at = self._admission.take(self._kind)
        self._held = True

    def leave(self) -> None:
        """Leave it, unless it was left before."""
        if self._held:
            self._held = False
            self._admission.release(self._kind)

    def ended(self, *, done: bool) -> None:
        """Tell how long it took, unless it was refused; `done` if it was answered as it should."""
        if self._kind == "new" and self._held:
            self._admission.ended(self._taken_at, done=done)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Leave it meanwhile; raise OverloadedError if there is none any more at the end."""
        self.leave()
        yield
        self.take()


PLACE: Final = web.RequestKey("place", Place)


def admitted(admission: Admission, begins: Collection[tuple[str, str]]) -> Middleware:
    """Return the middleware that refuses one request too many. Probes are not counted.

    `begins` are the methods and routes that begin something new.
    """

    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        route = route_of(request)
        if QUIET.match(route):
            return await handler(request)
        kind: Kind = "new" if (request.method, route) in begins else "any"
        place = request[PLACE] = Place(admission, kind)
        place.take()
        done = False
        try:
            answer = await handler(request)
            done = True
        finally:
            place.ended(done=done)
            place.leave()
        return answer

    return admit
