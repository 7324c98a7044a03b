"""A circuit breaker: a provider that fails again and again gets no calls for a while.

Only here is the library imported, and of it only the state machine: what lies around that (a
repository and a message bus, for a state shared by processes) would cost 20 µs a call. Added to it:
one trial call at a time when the pause is over, the difference between a provider that fails and
one that answers something unwelcome, and a clock that nobody sets: the library's is the wall clock,
so a pause's end is decided here, before the library is asked.
"""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from purgatory import ContextChanged
from purgatory.domain.model import CLOSED, HALF_OPENED, OPENED, Context, HalfOpenedState

from service.logs import get_logger
from service.providers.port import NotSentError, OutcomeUnknownError

Result = TypeVar("Result")

_log = get_logger(__name__)


class Breaker:
    """The breaker of one provider, in this process.

    It opens after so many `failures` in a row, and lets one call try after `open_s` seconds.
    """

    def __init__(
        self,
        provider: str,
        *,
        failures: int,
        open_s: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context = Context(
            provider,
            failures,
            open_s,
            exclude=[(OutcomeUnknownError, lambda error: error.answered)],
        )
        self._now = now
        self._open_s = open_s
        self._rested_at = 0.0
        self._trying = False

    @property
    def state(self) -> str:
        """Return closed, open or half_open."""
        state = self._context.state
        if state == CLOSED:
            return "closed"
        return "half_open" if state == HALF_OPENED or self._trying else "open"

    @property
    def allows_call(self) -> bool:
        """Return whether a call would be made now."""
        if self._context.state == CLOSED:
            return True
        return self._now() >= self._rested_at and not self._trying

    async def call(self, call: Callable[[], Awaitable[Result]]) -> Result:
        """Call and count what becomes of it; raise NotSentError instead while open."""
        trial = self._context.state != CLOSED
        if trial and not self.allows_call:
            raise NotSentError("the circuit breaker is open")
        if trial:
            self._trying = True
            self._context.set_state(HalfOpenedState())
        try:
            with self._context:
                return await call()
        finally:
            if trial:
                self._trying = False
            if self._context.messages:
                self._emit()

    def _emit(self) -> None:
        for event in self._context.messages:
            if isinstance(event, ContextChanged):
                if event.state == OPENED:
                    self._rested_at = self._now() + self._open_s
                _log.warning("provider_breaker_changed", provider=event.name, state=event.state)
        self._context.messages.clear()
