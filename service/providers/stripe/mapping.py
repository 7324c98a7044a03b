"""Stripe's PaymentIntents, Refunds and errors, mapped to the port's types.

https://docs.stripe.com/api/payment_intents, …/refunds, …/errors, …/idempotent_requests
"""

from typing import Final, Literal, NoReturn

import msgspec

from service.call_results import OutboundResponse
from service.domain.amounts import AmountLimits, AmountRange
from service.domain.money import CURRENCIES, Money
from service.domain.payment import Charge, ChargeOutcome, NextAction
from service.providers.calls import MAX_CODE, denied, money_of, read, time_of, uuid_of
from service.providers.port import (
    ChargeOpenError,
    NoSuchChargeError,
    OutcomeUnknownError,
    ProviderCharge,
    ProviderRefund,
    RefundResult,
)

ZERO_DECIMAL: Final = frozenset({
    "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA",
    "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF",
})  # fmt: skip
"""Currencies whose amounts Stripe takes in whole units; all of ours with minor units have two
digits (https://docs.stripe.com/currencies#zero-decimal)."""

MOST_MINOR: Final = 99_999_999
"""An amount has at most eight digits (https://docs.stripe.com/api/payment_intents)."""

LIMITS: Final[AmountLimits] = {
    "EUR": AmountRange(50, MOST_MINOR),
    "GBP": AmountRange(30, MOST_MINOR),
    "JPY": AmountRange(50, MOST_MINOR),
    "USD": AmountRange(50, MOST_MINOR),
}
"""The least charges of accounts with payouts in the same currency
(https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts). Where Stripe converts, the
converted amount must reach the least one of the account's currency: docs/operate/providers.md."""

BAD_REQUEST: Final = 400
NOT_FOUND: Final = 404

OUTCOMES: Final = {
    "succeeded": ChargeOutcome.SUCCEEDED,
    "requires_capture": ChargeOutcome.AUTHORIZED,
    "requires_action": ChargeOutcome.REQUIRES_ACTION,
    "requires_payment_method": ChargeOutcome.DECLINED,
    "canceled": ChargeOutcome.CANCELED,
}
"""Outcome by a confirmed PaymentIntent's status; `processing` and any other is unknown for now."""

_REFUND_STATUSES: Final[dict[str, Literal["succeeded", "failed"]]] = {
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "failed",
}
"""Our status by a Refund's; any other is pending."""

_ENDED: Final = frozenset({"requires_payment_method", "canceled"})
_CARD_ERROR: Final = "card_error"
_PAYMENT_METHOD: Final = "payment_method"
"""A client that sends one that doesn't exist gets a decline: no error of ours, so no alert."""
_NOT_DONE: Final = frozenset({401, 403, 429})
"""The key is refused or a limit is reached: both are checked before the API does anything."""
_REFUSED: Final = frozenset({400, 402, 404})


class _Problem(msgspec.Struct, frozen=True):
    type: str | None = None
    code: str | None = None
    decline_code: str | None = None
    param: str | None = None

    @property
    def why(self) -> str | None:
        """Return the most specific code: the bank's, if it gave one."""
        return self.decline_code or self.code


class _Redirect(msgspec.Struct, frozen=True):
    url: str


class _Action(msgspec.Struct, frozen=True):
    type: str
    redirect_to_url: _Redirect | None = None


class _LatestCharge(msgspec.Struct, frozen=True):
    amount_refunded: int = 0


class Intent(msgspec.Struct, frozen=True):
    """The part of a PaymentIntent that we read; amounts in the currency's smallest unit."""

    id: str
    status: str
    amount: int
    amount_received: int
    currency: str
    created: int
    metadata: dict[str, str] = {}
    client_secret: str | None = None
    last_payment_error: _Problem | None = None
    next_action: _Action | None = None
    latest_charge: _LatestCharge | str | None = None


class StripeRefund(msgspec.Struct, frozen=True):
    """The part of a Refund that we read."""

    id: str
    status: str | None
    amount: int
    currency: str
    metadata: dict[str, str] | None = None
    failure_reason: str | None = None
    balance_transaction: str | msgspec.UnsetType | None = msgspec.UNSET

    @property
    def moved_nothing(self) -> bool:
        """Return whether it is what a partial capture released: Stripe lists that as refunded."""
        return self.status == "succeeded" and self.balance_transaction is None


class Change(msgspec.Struct, frozen=True):
    """The part of a Refund or a Dispute that reconciliation reads."""

    id: str
    created: int
    payment_intent: Intent | str | None = None


class _Error(_Problem, frozen=True):
    payment_intent: Intent | None = None


class _ErrorBody(msgspec.Struct, frozen=True):
    error: _Error


def amount_out(amount: Money) -> str:
    """Return the amount as Stripe takes it: an integer in the currency's smallest unit."""
    digits = 0 if amount.currency in ZERO_DECIMAL else 2
    if CURRENCIES[amount.currency] != digits:
        raise ValueError(f"Stripe counts {amount.currency} with {digits} digits, and we do not")
    return str(amount.minor)


def charge_of(intent: Intent) -> Charge:
    """Return the charge of a PaymentIntent; raise ChargeOpenError while it has no outcome."""
    payment_id = uuid_of(intent.metadata.get("payment_id"))
    outcome = OUTCOMES.get(intent.status)
    unconfirmed = outcome is ChargeOutcome.DECLINED and intent.last_payment_error is None
    if outcome is None or unconfirmed:  # made, and its confirmation may be under way
        raise ChargeOpenError(f"the payment is {intent.status}", payment_id)
    problem = intent.last_payment_error
    return Charge(
        outcome,
        intent.id,
        money_of(intent.amount, intent.currency),
        _code(problem.why if problem else None) if outcome is ChargeOutcome.DECLINED else None,
        _action(intent) if outcome is ChargeOutcome.REQUIRES_ACTION else None,
        payment_id,
        uuid_of(intent.metadata.get("attempt_id")),
        captured_minor=_part(intent),
    )


def _part(intent: Intent) -> int | None:
    """Return what was captured if it is a part; 0 for a currency that can't be ours."""
    if intent.status != "succeeded" or intent.amount_received == intent.amount:
        return None
    captured = money_of(intent.amount_received, intent.currency)
    return captured.minor if captured else 0


def refused_charge(answer: OutboundResponse) -> Charge:
    """Return the charge of an error; raise if nothing is certain or nothing was done."""
    error = _error(answer)
    intent = error.payment_intent
    if intent is not None and intent.status not in _ENDED:
        return charge_of(intent)  # refused, because the payment is already somewhere else
    declined = error.type == _CARD_ERROR or error.param == _PAYMENT_METHOD
    outcome = ChargeOutcome.DECLINED if declined else ChargeOutcome.REJECTED
    return Charge(outcome, intent.id if intent else None, None, _code(error.why))


def refused_operation(answer: OutboundResponse) -> Charge:
    """Return the charge of a capture or a cancellation that was refused.

    `payment_intent_unexpected_state` comes with the PaymentIntent: the operation may have
    happened already, and then its status shows it.
    """
    error = _error(answer)
    intent = error.payment_intent
    if intent is not None and intent.status not in ("requires_capture", "requires_action"):
        return charge_of(intent)
    return Charge(ChargeOutcome.REJECTED, intent.id if intent else None, None, _code(error.why))


def refused_refund(answer: OutboundResponse) -> RefundResult:
    """Return the refund of an error; raise if nothing is certain or nothing was done."""
    return RefundResult(
        succeeded=False, provider_ref=None, amount=None, failure_code=_code(_error(answer).why)
    )


def refund_of(refund: StripeRefund) -> RefundResult:
    """Return the refund's result; raise OutcomeUnknownError while it is pending."""
    if refund.status not in ("succeeded", "failed", "canceled"):
        raise OutcomeUnknownError(f"the refund is {refund.status}", answered=True)
    done = refund.status == "succeeded"
    code = None if done else _code(refund.failure_reason or refund.status)
    return RefundResult(done, refund.id, money_of(refund.amount, refund.currency), code)


def listed_refund(refund: StripeRefund) -> ProviderRefund:
    """Return a Refund of a list; a canceled one has failed."""
    known = _REFUND_STATUSES.get(refund.status or "")
    why = refund.failure_reason or refund.status
    return ProviderRefund(
        provider_ref=refund.id,
        refund_id=uuid_of((refund.metadata or {}).get("refund_id")),
        status=known or "pending",
        amount=money_of(refund.amount, refund.currency),
        failure_code=_code(why) if known == "failed" else None,
    )


def listed(intent: Intent, *, changed: int | None = None) -> ProviderCharge:
    """Return a PaymentIntent as reconciliation compares it; `changed` in Unix seconds."""
    return ProviderCharge(
        provider_ref=intent.id,
        payment_id=uuid_of(intent.metadata.get("payment_id")),
        outcome=OUTCOMES.get(intent.status),
        amount=money_of(intent.amount, intent.currency),
        captured_minor=intent.amount_received,
        refunded_minor=_refunded(intent),
        created_at=time_of(intent.created),
        changed_at=time_of(changed) if changed is not None else None,
    )


def _refunded(intent: Intent) -> int:
    """Return what was refunded of what was captured: Stripe counts what was released as well."""
    if not isinstance(intent.latest_charge, _LatestCharge):
        return 0
    return max(0, intent.latest_charge.amount_refunded - intent.amount + intent.amount_received)


def refused_look_up(answer: OutboundResponse) -> NoReturn:
    """Raise what an error in answer to a look-up means: the outcome stays unknown."""
    error = _error(answer)
    if answer.status == NOT_FOUND:
        raise NoSuchChargeError(f"no such charge: {_code(error.why)}")
    raise OutcomeUnknownError(f"Stripe refused a look-up: {_code(error.why)}", answered=True)


def _error(answer: OutboundResponse) -> _Error:
    """Return a definite error: nothing was done and never will be under this key.

    Raise NotSentError if nothing was done this time, OutcomeUnknownError if that is not certain: a
    conflict (409, `idempotency_error`) is about another request under the same key and doesn't
    give its outcome, and `lock_timeout` may come after the work has begun.
    """
    error = read(answer.body, _ErrorBody).error
    reason = f"status {answer.status}, {_code(error.why or error.type)}"
    if answer.status in _NOT_DONE and error.code != "lock_timeout":
        raise denied(answer, reason)
    if answer.status not in _REFUSED or error.type == "idempotency_error":
        raise OutcomeUnknownError(reason, answered=True)
    return error


def _action(intent: Intent) -> NextAction | None:
    action = intent.next_action
    if action is None:
        return None
    redirect = action.redirect_to_url.url if action.redirect_to_url else None
    return NextAction(action.type, redirect, intent.client_secret)


def _code(code: str | None) -> str:
    return (code or "unspecified")[:MAX_CODE]
