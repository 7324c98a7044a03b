"""Admission: how many requests are handled at a time, and which are refused first (ADR-55).

A process that is asked for more than it can do must not take it all: what waits in it waits ever
longer, until nothing is answered in time. So there is a limit on the requests in flight, and one
more is answered 503 at once. By Little's law the wait is the limit divided by the requests answered
a second, whatever the load.

What begins something new is refused sooner than what goes on with it: an order that cannot be paid
any more was work for nothing.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Literal

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from service.errors import OverloadedError
from service.web.middleware import QUIET, route_of

RETRY_AFTER_S: Final = 1
"""What is in flight is answered by then; clients add a spread of their own."""

Kind = Literal["new", "any"]
"""Whether a request begins something `new`."""

Shed = Callable[[Kind], None]
"""Called when a request was refused."""


class Admission:
    """The requests in flight of one process, and by kind how many there may be before one more."""

    def __init__(self, limits: Mapping[Kind, int], shed: Shed = lambda _kind: None) -> None:
        self.in_flight = 0
        self._limits = limits
        self._shed = shed

    def take(self, kind: Kind) -> None:
        """Count one request more; raise OverloadedError if there is no room for it."""
        if self.in_flight >= self._limits[kind]:
            self._shed(kind)
            raise OverloadedError(retry_after_s=RETRY_AFTER_S)
        self.in_flight += 1

    def release(self) -> None:
        """Count one request less."""
        self.in_flight -= 1


class Place:
    """The place of one request, which it leaves while its body is on the way.

    Otherwise clients that send slowly, on purpose or not, could take all places and do nothing.
    """

    __slots__ = ("_admission", "_held", "_kind")

    def __init__(self, admission: Admission, kind: Kind) -> None:
        self._admission = admission
        self._kind = kind
        self._held = False

    def take(self) -> None:
        """Take it; raise OverloadedError if there is none."""
        self._admission.take(self._kind)
        self._held = True

    def leave(self) -> None:
        """Leave it, unless it was left before."""
        if self._held:
            self._held = False
            self._admission.release()

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
        try:
            return await handler(request)
        finally:
            place.leave()

    return admit
