"""The port: what the service asks of a payment provider, and the two kinds of a missing answer.

The distinction between "surely not done" and "nobody knows" is what keeps a payment from being
charged twice or declared failed while the money is gone.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from service.domain.amounts import AmountLimits
from service.domain.dispute import Dispute
from service.domain.money import Money
from service.domain.payment import Charge, ChargeOutcome


class NotSentError(Exception):
    """The provider has surely done nothing: nothing was charged or refunded.

    `passing` if the very next moment may be better, so that a repeat is worth its while;
    `retry_after_s` is how long the provider asks to wait before one, 0 if it doesn't.
    """

    def __init__(self, reason: str, *, passing: bool = False, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.passing = passing
        self.retry_after_s = retry_after_s


class OutcomeUnknownError(Exception):
    """The request may have reached the provider; only the provider knows what came of it.

    `answered` if the provider is up and answered so itself ("still processing", for example).
    """

    def __init__(self, reason: str, *, answered: bool = False) -> None:
        super().__init__(reason)
        self.answered = answered


class NoSuchChargeError(OutcomeUnknownError):
    """The provider is up and has no such charge."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, answered=True)


class ChargeOpenError(OutcomeUnknownError):
    """The provider has the charge, and its outcome isn't known yet.

    `payment_id` is what we gave the provider with it; None if the record holds none of ours.
    """

    def __init__(self, reason: str, payment_id: UUID | None) -> None:
        super().__init__(reason, answered=True)
        self.payment_id = payment_id


class ChargeRequest(msgspec.Struct, frozen=True):
    """A charge to make. `attempt_id` is the provider's idempotency key."""

    attempt_id: UUID
    payment_id: UUID
    amount: Money
    capture: bool
    payment_method: str


class HeldRequest(msgspec.Struct, frozen=True):
    """A capture or cancellation of an authorized charge. `attempt_id` is the idempotency key."""

    attempt_id: UUID
    charge_ref: str
    amount: Money


class RefundRequest(msgspec.Struct, frozen=True):
    """A refund to make. `refund_id` is the provider's idempotency key."""

    refund_id: UUID
    charge_ref: str
    amount: Money


class RefundResult(msgspec.Struct, frozen=True):
    """A refund as the provider reports it."""

    succeeded: bool
    provider_ref: str | None
    amount: Money | None
    failure_code: str | None = None


class ProviderRefund(msgspec.Struct, frozen=True):
    """A refund in the provider's list of a charge, whoever made it.

    `refund_id` is the id that we gave it; None if it was made in the provider's dashboard. `amount`
    is None where it can't be ours.
    """

    provider_ref: str
    refund_id: UUID | None
    status: Literal["pending", "succeeded", "failed"]
    amount: Money | None
    failure_code: str | None = None


class ProviderCharge(msgspec.Struct, frozen=True):
    """A charge in a provider's list. `outcome` and `amount` are None where they can't be ours.

    `captured_minor` and `refunded_minor` are in minor units of the charge's currency; `payment_id`
    is what we gave the provider as our reference, if it is one. `changed_at` is the latest change
    of the window for which it was listed; None where it was listed for when it was made.
    """

    provider_ref: str
    payment_id: UUID | None
    outcome: ChargeOutcome | None
    amount: Money | None
    captured_minor: int
    refunded_minor: int
    created_at: datetime
    changed_at: datetime | None = None


class ProviderDispute(msgspec.Struct, frozen=True):
    """A dispute as the provider reports it.

    `dispute` is None, and `unreadable` gives the reason, if its amount or status can't be ours.
    """

    provider_ref: str
    charge_ref: str
    reason: str
    created_at: datetime
    dispute: Dispute | None
    unreadable: str = ""


class ProviderFraudWarning(msgspec.Struct, frozen=True):
    """A card network's suspicion; `actionable` until the charge is refunded or disputed."""

    provider_ref: str
    charge_ref: str
    fraud_type: str
    actionable: bool
    created_at: datetime


class Provider(Protocol):
    """A payment provider. Every call raises NotSentError or OutcomeUnknownError, or answers.

    Calls with the same id are one operation to the provider, however often they are made.
    """

    name: str
    limits: AmountLimits
    """Amounts that it takes; one outside is refused before anything is written."""

    async def charge(self, request: ChargeRequest) -> Charge:
        """Charge, or authorize when `capture` is False."""

    async def find_charge(self, request: ChargeRequest) -> Charge | None:
        """Return what the provider has under `attempt_id`; None if it has seen no such attempt."""

    async def get_charge(self, charge_ref: str) -> Charge:
        """Return a charge that the provider has named before, as it stands now.

        Raises NoSuchChargeError if there is none, ChargeOpenError while it has no outcome.
        """

    async def capture(self, request: HeldRequest) -> Charge:
        """Capture `amount` of an authorized charge; the rest of it is released."""

    async def cancel(self, request: HeldRequest) -> Charge:
        """Cancel a charge that is authorized or waits for the buyer."""

    async def refund(self, request: RefundRequest) -> RefundResult:
        """Pay back a part or all of a captured charge."""

    async def find_refund(self, request: RefundRequest) -> RefundResult | None:
        """Return what the provider has under `refund_id`; None if it has seen no such refund."""

    async def list_refunds(self, charge_ref: str) -> list[ProviderRefund]:
        """Return the refunds of a charge, also those that were made in the provider's dashboard."""

    def list_charges(self, since: datetime, until: datetime) -> AsyncIterator[ProviderCharge]:
        """Yield what was charged from `since` to before `until`, newest first, page by page.

        The provider's clock counts, in whole seconds. A charge is yielded once, also while new
        ones are made. Every page may raise NotSentError or OutcomeUnknownError.
        """

    async def get_dispute(self, dispute_ref: str) -> ProviderDispute:
        """Return a dispute that the provider has named before, as it stands now."""

    async def find_disputes(self, charge_ref: str) -> list[ProviderDispute]:
        """Return the disputes of a charge, newest first; a charge has a handful at most."""

    def list_disputes(self, since: datetime, until: datetime) -> AsyncIterator[ProviderDispute]:
        """Yield the disputes that began from `since` to before `until`, as list_charges does."""

    async def get_fraud_warning(self, warning_ref: str) -> ProviderFraudWarning:
        """Return a warning of fraud that the provider has named before, as it stands now."""

    def list_changed(self, since: datetime, until: datetime) -> AsyncIterator[ProviderCharge]:
        """Yield charges made before `since` that changed from then to before `until`.

        A refund and a dispute are changes, whoever made them. Otherwise as `list_charges`.
        """
