"""What stands between the service and every provider: breaker, repeats, and a bound on both."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final, TypeVar

from service.domain.payment import Charge
from service.errors import OverloadedError
from service.providers.breaker import Breaker
from service.providers.port import (
    ChargeRequest,
    HeldRequest,
    NotSentError,
    Provider,
    ProviderCharge,
    ProviderDispute,
    ProviderFraudWarning,
    ProviderRefund,
    RefundRequest,
    RefundResult,
)
from service.retry import full_jitter_s

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


class GuardedProvider:
    """A provider that is called at most so often at a time, and left alone while it is down."""

    def __init__(self, provider: Provider, breaker: Breaker, *, max_in_flight: int) -> None:
        self.name = provider.name
        self.limits = provider.limits
        self.breaker = breaker
        self.in_flight = 0
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

    async def charge(self, request: ChargeRequest) -> Charge:
        """Charge, or authorize when `capture` is False."""
        return await self._call(lambda: self._provider.charge(request))

    async def find_charge(self, request: ChargeRequest) -> Charge | None:
        """Return what the provider has under `attempt_id`; None if it has seen no such attempt."""
        return await self._call(lambda: self._provider.find_charge(request))

    async def get_charge(self, charge_ref: str) -> Charge:
        """Return a charge that the provider has named before, as it stands now."""
        return await self._call(lambda: self._provider.get_charge(charge_ref))

    async def capture(self, request: HeldRequest) -> Charge:
        """Capture `amount` of an authorized charge; the rest of it is let go."""
        return await self._call(lambda: self._provider.capture(request))

    async def cancel(self, request: HeldRequest) -> Charge:
        """Give up a charge that is authorized or waits for the buyer."""
        return await self._call(lambda: self._provider.cancel(request))

    async def refund(self, request: RefundRequest) -> RefundResult:
        """Pay back a part or all of a captured charge."""
        return await self._call(lambda: self._provider.refund(request))

    async def find_refund(self, request: RefundRequest) -> RefundResult | None:
        """Return what the provider has under `refund_id`; None if it has seen no such refund."""
        return await self._call(lambda: self._provider.find_refund(request))

    async def list_refunds(self, charge_ref: str) -> list[ProviderRefund]:
        """Return the refunds of a charge, also those that were made in the provider's dashboard."""
        return await self._call(lambda: self._provider.list_refunds(charge_ref))

    def list_charges(self, since: datetime, until: datetime) -> AsyncIterator[ProviderCharge]:
        """Yield the charges of a window; a reader with a schedule of its own is not guarded."""
        return self._provider.list_charges(since, until)

    async def get_dispute(self, dispute_ref: str) -> ProviderDispute:
        """Return a dispute that the provider has named before, as it stands now."""
        return await self._call(lambda: self._provider.get_dispute(dispute_ref))

    async def find_disputes(self, charge_ref: str) -> list[ProviderDispute]:
        """Return the disputes of a charge."""
        return await self._call(lambda: self._provider.find_disputes(charge_ref))

    def list_disputes(self, since: datetime, until: datetime) -> AsyncIterator[ProviderDispute]:
        """Yield the disputes of a window; a reader with a schedule of its own is not guarded."""
        return self._provider.list_disputes(since, until)

    async def get_fraud_warning(self, warning_ref: str) -> ProviderFraudWarning:
        """Return a warning of fraud that the provider has named before, as it stands now."""
        return await self._call(lambda: self._provider.get_fraud_warning(warning_ref))

    def list_changed(self, since: datetime, until: datetime) -> AsyncIterator[ProviderCharge]:
        """Yield older charges that changed in a window; not guarded either."""
        return self._provider.list_changed(since, until)

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
