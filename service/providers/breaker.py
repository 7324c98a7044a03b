"""A circuit breaker: a provider that fails again and again is left alone for a while.

Only here is the library imported. Added to it: one trial call at a time when the pause is over, and
the difference between a provider that fails and one that answers something unwelcome.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Self

from purgatory import AsyncCircuitBreakerFactory, ContextChanged, Event
from purgatory.domain.model import CLOSED, HALF_OPENED, OpenedState
from purgatory.service._async.circuitbreaker import AsyncCircuitBreaker

from service.logs import get_logger
from service.providers.port import NotSentError, OutcomeUnknownError

STATES: Final = ("closed", "open", "half_open")

_log = get_logger(__name__)


class Breaker:
    """The breaker of one provider, in this process."""

    def __init__(self, circuit: AsyncCircuitBreaker, open_s: float) -> None:
        self._circuit = circuit
        self._open_s = open_s
        self._trying = False

    @classmethod
    async def make(cls, provider: str, *, failures: int, open_s: float) -> Self:
        """Return a closed breaker that opens after so many failures in a row."""
        factory = AsyncCircuitBreakerFactory(default_threshold=failures, default_ttl=open_s)
        factory.add_listener(_tell)
        circuit = await factory.get_breaker(
            provider, exclude=[(OutcomeUnknownError, lambda error: error.answered)]
        )
        return cls(circuit, open_s)

    @property
    def state(self) -> str:
        """Return closed, open or half_open."""
        state = self._circuit.context.state
        if state == CLOSED:
            return "closed"
        return "half_open" if state == HALF_OPENED or self._trying else "open"

    @property
    def lets_through(self) -> bool:
        """Return whether a call would be made now."""
        context = self._circuit.context
        if context.state == CLOSED:
            return True
        opened_at = context.opened_at
        rested = opened_at is None or time.time() > opened_at + self._open_s
        return rested and not self._trying

    @asynccontextmanager
    async def guard(self) -> AsyncIterator[None]:
        """Count what becomes of a call; raise NotSentError instead of making it while open."""
        if not self.lets_through:
            raise NotSentError("the provider failed too often and is left alone")
        trial = self._circuit.context.state != CLOSED
        self._trying = self._trying or trial
        try:
            async with self._circuit:
                yield
        except OpenedState as error:  # its clock and ours differ by a hair
            raise NotSentError(str(error)) from None
        finally:
            if trial:
                self._trying = False


def _tell(provider: str, kind: str, event: Event) -> None:
    if kind == "state_changed" and isinstance(event, ContextChanged):
        _log.warning("provider_breaker_changed", provider=provider, state=event.state)
