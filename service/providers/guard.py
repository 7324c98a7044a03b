"""Guards every call to a provider: circuit breaker, retries, and a bound on both."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from service.errors import OverloadedError
from service.providers.breaker import Breaker
from service.providers.port import NotSentError, Provider
from service.retry import full_jitter_s

Params = ParamSpec("Params")
Result = TypeVar("Result")

TRIES: Final = 3
"""Of a call that surely did nothing: enough to bridge a pod that is replaced, or a full second."""

FIRST_PAUSE_S: Final = 0.1
MOST_PAUSE_S: Final = 0.2
"""Both pauses together stay far below a buyer's patience and the next provider's chance."""

REPEAT_WITHIN_S: Final = 2.0
"""Since the first try; a repeat that a provider asks to wait longer for is not made. With the last
call's own time-out it leaves the next provider its chance within `REQUEST_TIMEOUT_S`."""

RETRY_AFTER_S: Final = 1


def _guarded(
    method: Callable[Concatenate[Provider, Params], Coroutine[Any, Any, Result]],
) -> Callable[Concatenate["GuardedProvider", Params], Coroutine[Any, Any, Result]]:
    """Return a call of the port as the guard makes it."""

    async def call(
        self: "GuardedProvider", /, *args: Params.args, **kwargs: Params.kwargs
    ) -> Result:
        bound = getattr(self._provider, method.__name__)
        return await self._call(lambda: bound(*args, **kwargs))

    return call


class GuardedProvider:
    """A provider behind a circuit breaker, with a bound on what is in flight."""

    def __init__(self, provider: Provider, breaker: Breaker, *, max_in_flight: int) -> None:
        self.name = provider.name
        self.limits = provider.limits
        self.breaker = breaker
        self.in_flight = 0
        # Reconciliation reads these on a schedule of its own: nothing to guard.
        self.list_charges = provider.list_charges
        self.list_changed = provider.list_changed
        self.list_disputes = provider.list_disputes
        self._provider = provider
        self._max_in_flight = max_in_flight

    @property
    def has_room(self) -> bool:
        """Return whether one more payment or operation may begin."""
        return self.in_flight < self._max_in_flight

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold a place for one payment or operation; raise OverloadedError if there is none.

        It is taken before anything is written, so that what is refused was not begun.
        """
        if not self.has_room:
            raise OverloadedError(retry_after_s=RETRY_AFTER_S)
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    charge = _guarded(Provider.charge)
    find_charge = _guarded(Provider.find_charge)
    get_charge = _guarded(Provider.get_charge)
    capture = _guarded(Provider.capture)
    cancel = _guarded(Provider.cancel)
    refund = _guarded(Provider.refund)
    find_refund = _guarded(Provider.find_refund)
    list_refunds = _guarded(Provider.list_refunds)
    get_dispute = _guarded(Provider.get_dispute)
    find_disputes = _guarded(Provider.find_disputes)
    get_fraud_warning = _guarded(Provider.get_fraud_warning)

    async def _call(self, call: Callable[[], Awaitable[Result]]) -> Result:
        """Call; again only if nothing was done. An unknown outcome is the completer's."""
        last = asyncio.get_running_loop().time() + REPEAT_WITHIN_S
        for repeat in range(1, TRIES):
            try:
                return await self.breaker.call(call)
            except NotSentError as error:
                pause_s = error.retry_after_s + full_jitter_s(
                    repeat, first_s=FIRST_PAUSE_S, most_s=MOST_PAUSE_S
                )
                if not error.passing or asyncio.get_running_loop().time() + pause_s > last:
                    raise
            await asyncio.sleep(pause_s)
        return await self.breaker.call(call)
