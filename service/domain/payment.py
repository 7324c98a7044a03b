"""Payments: their states, and what a provider's answer makes of them."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal
from uuid import UUID

from service.domain.money import Money


class PaymentStatus(StrEnum):
    """The status of a payment. Refunded is none: it follows from the counters."""

    CREATED = "created"
    PROCESSING = "processing"
    REQUIRES_ACTION = "requires_action"
    AUTHORIZED = "authorized"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    REVIEW = "review"
    REVERSED = "reversed"


_S = PaymentStatus
TRANSITIONS: Final[dict[PaymentStatus, frozenset[PaymentStatus]]] = {
    _S.CREATED: frozenset({_S.PROCESSING, _S.CANCELED, _S.EXPIRED}),
    _S.PROCESSING: frozenset(
        {_S.REQUIRES_ACTION, _S.AUTHORIZED, _S.SUCCEEDED, _S.FAILED, _S.UNKNOWN, _S.REVIEW}
    ),
    _S.REQUIRES_ACTION: frozenset(
        {_S.PROCESSING, _S.SUCCEEDED, _S.CANCELED, _S.EXPIRED, _S.REVIEW}
    ),
    _S.AUTHORIZED: frozenset({_S.SUCCEEDED, _S.CANCELED, _S.EXPIRED, _S.REVIEW}),
    _S.UNKNOWN: frozenset({_S.REQUIRES_ACTION, _S.AUTHORIZED, _S.SUCCEEDED, _S.FAILED, _S.REVIEW}),
    _S.REVIEW: frozenset({_S.SUCCEEDED, _S.FAILED, _S.CANCELED}),
    _S.SUCCEEDED: frozenset({_S.REVERSED}),
    _S.FAILED: frozenset(),
    _S.CANCELED: frozenset(),
    _S.EXPIRED: frozenset(),
    _S.REVERSED: frozenset(),
}
FIRST: Final = frozenset({_S.CREATED, _S.PROCESSING})
TERMINAL: Final = frozenset(status for status, following in TRANSITIONS.items() if not following)
CLOSED: Final = frozenset({_S.FAILED, _S.CANCELED, _S.EXPIRED})
"""Statuses in which a payment took no money; the order may be paid by another one."""

REFUNDED_AND_FAILED: Final = "refunded_and_failed"
"""Reason of a review: the payment was refunded, and then its charge failed."""

CaptureMethod = Literal["automatic", "manual"]


class ChargeOutcome(StrEnum):
    """The outcome of a charge, in one vocabulary for all providers."""

    SUCCEEDED = "succeeded"
    AUTHORIZED = "authorized"
    REQUIRES_ACTION = "requires_action"
    CANCELED = "canceled"
    DECLINED = "declined"
    REJECTED = "rejected"  # the provider refused the request itself; nothing was charged


TAKEN_BACK: Final = frozenset({ChargeOutcome.DECLINED, ChargeOutcome.CANCELED})
"""Outcomes with which a provider reverses a charge that had succeeded or was held."""


@dataclass(frozen=True, slots=True)
class NextAction:
    """What the buyer has to do at the provider: open a page, or pass a secret to its script."""

    kind: str
    redirect_url: str | None = None
    client_secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge as the provider reports it; `next_action` belongs to `requires_action`.

    `captured_minor` is what was captured of `amount`; None means all of it.
    `payment_id` and `attempt_id` are what we gave the provider with it, read from the provider's
    own record; None where the record holds none of ours.
    """

    outcome: ChargeOutcome
    provider_ref: str | None
    amount: Money | None
    failure_code: str | None = None
    next_action: NextAction | None = None
    payment_id: UUID | None = None
    attempt_id: UUID | None = None
    captured_minor: int | None = None

    @property
    def captured(self) -> int:
        """Return what was captured, in minor units of the charge's currency."""
        if self.outcome is not ChargeOutcome.SUCCEEDED or self.amount is None:
            return 0
        return self.amount.minor if self.captured_minor is None else self.captured_minor


AttemptStatus = Literal["succeeded", "failed", "unknown"]
Operation = Literal["charge", "capture", "cancel", "expire", "review"]
"""What an attempt is for; `review` is an operator's decision."""


OPERATED: Final[dict[Operation, ChargeOutcome]] = {
    "capture": ChargeOutcome.SUCCEEDED,
    "cancel": ChargeOutcome.CANCELED,
    "expire": ChargeOutcome.CANCELED,
}
"""The outcome of a held charge when an operation on it has succeeded."""
AT_REST: Final = frozenset(OPERATED.values())
"""How a charge ends that was held: no operation changes it any more."""


@dataclass(frozen=True, slots=True)
class PaymentDecision:
    """What becomes of a payment and of the attempt that was made on it.

    `captured_minor` is the whole amount that is captured then; `failure_code` is the reason of a
    failure, and `declined` means that the buyer's bank declined.
    """

    status: PaymentStatus
    captured_minor: int = 0
    failure_code: str | None = None
    attempt: AttemptStatus = "succeeded"
    declined: bool = False


_BY_OUTCOME: Final = {
    ChargeOutcome.SUCCEEDED: _S.SUCCEEDED,
    ChargeOutcome.AUTHORIZED: _S.AUTHORIZED,
    ChargeOutcome.REQUIRES_ACTION: _S.REQUIRES_ACTION,
    ChargeOutcome.DECLINED: _S.FAILED,
    ChargeOutcome.REJECTED: _S.FAILED,
}


def decide_charge(charge: Charge, asked: Money, capture: CaptureMethod) -> PaymentDecision:
    """Return what a provider's answer makes of a payment of `asked`.

    An amount or currency that differs from ours, or a capture that nobody asked for, is not for a
    program to decide: it goes to review.
    """
    status = _BY_OUTCOME.get(charge.outcome)
    if status is _S.FAILED:
        declined = charge.outcome is ChargeOutcome.DECLINED
        code = charge.failure_code or charge.outcome.value
        return PaymentDecision(_S.FAILED, 0, code, "failed", declined)
    if status is None or (mismatch := _mismatch(charge, asked, capture)):
        return PaymentDecision(
            _S.REVIEW, 0, mismatch if status else f"{charge.outcome.value}_unasked"
        )
    return PaymentDecision(status, charge.captured)


def _mismatch(charge: Charge, asked: Money, capture: CaptureMethod) -> str | None:
    """Return in what a charge is not the one that was asked for; None if it is."""
    if charge.amount != asked or not _takes_what_was_asked(charge, asked, capture):
        return "amount_mismatch"
    if charge.provider_ref is None:
        return "provider_ref_missing"
    if charge.outcome is ChargeOutcome.AUTHORIZED and capture == "automatic":
        return "not_captured"
    return None


def _takes_what_was_asked(charge: Charge, asked: Money, capture: CaptureMethod) -> bool:
    """Tell whether a charge took all of what was asked or, of a manual one, a part or nothing yet.

    A manual one may be captured before we hear of its hold: in the provider's dashboard.
    """
    if charge.outcome is not ChargeOutcome.SUCCEEDED:
        return True
    least = 1 if capture == "manual" else asked.minor
    return least <= charge.captured <= asked.minor


def decide_operation(
    operation: Operation, charge: Charge, held: PaymentStatus, asked: Money
) -> PaymentDecision:
    """Return what a provider's answer to a capture or a cancellation makes of a held payment.

    `asked` is the payment's amount. What was captured of it is booked, whoever captured it and
    however much: by our request, in the provider's dashboard, or by the buyer while we gave the
    payment up. A refused operation leaves the payment as it is; an answer that doesn't fit goes to
    review.
    """
    match charge.outcome:
        case ChargeOutcome.SUCCEEDED:
            if charge.amount == asked and 0 < charge.captured <= asked.minor:
                return PaymentDecision(_S.SUCCEEDED, charge.captured)
            return PaymentDecision(_S.REVIEW, 0, "amount_mismatch")
        case ChargeOutcome.REJECTED:
            status = _S.REVIEW if operation == "expire" else held  # nobody would ask again
            code = charge.failure_code or f"{operation}_rejected"
            return PaymentDecision(status, 0, code, "failed")
        case ChargeOutcome.CANCELED | ChargeOutcome.DECLINED:
            return _ended(operation, charge)
        case _:
            return PaymentDecision(_S.REVIEW, 0, f"{operation}_mismatch")


def _ended(operation: Operation, charge: Charge) -> PaymentDecision:
    """Return what the end of a hold makes of a payment: also one that came before our capture."""
    if operation == "capture":
        return PaymentDecision(_S.CANCELED, 0, charge.failure_code or "charge_canceled", "failed")
    return PaymentDecision(_S.EXPIRED if operation == "expire" else _S.CANCELED)


def decide_timeout(
    operation: Operation, present: PaymentStatus, *, last_check: bool
) -> PaymentDecision:
    """Return what becomes of a payment when nobody knows what the provider did.

    A charge under way is `unknown` and never failed by guess; a held payment stays held. After the
    last check of the schedule a person decides.
    """
    if last_check:
        return PaymentDecision(_S.REVIEW, 0, "outcome_unknown", "failed")
    status = _S.UNKNOWN if operation == "charge" and present is not _S.AUTHORIZED else present
    return PaymentDecision(status, 0, "outcome_unknown", "unknown")


def metric_status(decision: PaymentDecision) -> str:
    """Return the value of the metrics' `status` label (metric_catalog.PAYMENT_STATUSES)."""
    return "declined" if decision.declined else decision.status.value
