"""A circuit breaker: a provider that fails again and again is left alone for a while.

Only here is the library imported, and of it only the state machine: what lies around that (a
repository and a message bus, for a state shared by processes) would cost 20 µs a call. Added to it:
one trial call at a time when the pause is over, and the difference between a provider that fails
and one that answers something unwelcome.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from purgatory import ContextChanged
from purgatory.domain.model import CLOSED, HALF_OPENED, Context, OpenedState

from service.logs import get_logger
from service.providers.port import NotSentError, OutcomeUnknownError

Answer = TypeVar("Answer")

STATES: Final = ("closed", "open", "half_open")

_log = get_logger(__name__)


class Breaker:
    """The breaker of one provider, in this process.

    It opens after so many `failures` in a row, and lets one call try after `open_s` seconds.
    """

    def __init__(self, provider: str, *, failures: int, open_s: float) -> None:
        self._context = Context(
            provider,
            failures,
            open_s,
            exclude=[(OutcomeUnknownError, lambda error: error.answered)],
        )
        self._trying = False

    @property
    def state(self) -> str:
        """Return closed, open or half_open."""
        state = self._context.state
        if state == CLOSED:
            return "closed"
        return "half_open" if state == HALF_OPENED or self._trying else "open"

    @property
    def lets_through(self) -> bool:
        """Return whether a call would be made now."""
        context = self._context
        if context.state == CLOSED:
            return True
        opened_at = context.opened_at
        rested = opened_at is None or time.time() > opened_at + context.ttl
        return rested and not self._trying

    async def call(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """Call and count what becomes of it; raise NotSentError instead while open."""
        trial = self._context.state != CLOSED
        if trial and not self.lets_through:
            raise NotSentError("the provider failed too often and is left alone")
        self._trying = self._trying or trial
        try:
            with self._context:
                return await call()
        except OpenedState as error:  # the clock moved between our look and the library's
            raise NotSentError(str(error)) from None
        finally:
            if trial:
                self._trying = False
            if self._context.messages:
                self._tell()

    def _tell(self) -> None:
        for event in self._context.messages:
            if isinstance(event, ContextChanged):
                _log.warning("provider_breaker_changed", provider=event.name, state=event.state)
        self._context.messages.clear()
