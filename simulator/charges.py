"""What SimPay keeps, and what it is asked: its charges and refunds, and the bodies of requests."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Amount = Annotated[int, Meta(ge=1, le=99_999_999)]
Limit = Annotated[int, Meta(ge=1, le=100)]


class NewCharge(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /charges; `amount` in minor units."""

    amount: Amount
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")]
    capture: bool
    payment_method: str
    reference: Annotated[str, Meta(min_length=1, max_length=128)]


class Capture(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a capture; without an amount all of it."""

    amount: Amount | None = None


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a cancel."""


class NewRefund(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a refund."""

    amount: Amount


class DashboardRefund(msgspec.Struct, forbid_unknown_fields=True):
    """The body of /control/charges/{id}/refund; `key` makes it the one that a request had asked."""

    amount: Amount | None = None
    key: str | None = None


class Failure(msgspec.Struct, forbid_unknown_fields=True):
    """The body of /control/…/fail: why what had succeeded fails after all."""

    failure_code: str = "expired_or_canceled_card"


class Completion(msgspec.Struct, forbid_unknown_fields=True):
    """The body of /control/charges/{id}/complete: how a charge ends without a request."""

    outcome: Literal["succeeded", "declined", "canceled"] = "succeeded"
    late: bool = False


class Charge(msgspec.Struct, kw_only=True):
    """A charge as the provider keeps it; times are seconds since 1970."""

    id: str
    object: str = "charge"
    status: str
    amount: int
    currency: str
    capture: bool
    amount_captured: int
    amount_refunded: int = 0
    failure_code: str | None
    idempotency_key: str
    reference: str
    created: int


class Refund(msgspec.Struct, kw_only=True):
    """A refund of a part or the whole of a charge."""

    id: str
    object: str = "refund"
    charge: str
    amount: int
    currency: str
    status: str = "succeeded"
    failure_code: str | None = None
    idempotency_key: str
    created: int


class ChargeFilter(msgspec.Struct, forbid_unknown_fields=True):
    """The query of GET /charges; the newest come first."""

    idempotency_key: str | None = None
    reference: str | None = None
    limit: Limit = 10
    starting_after: str | None = None


class Ageing(msgspec.Struct, forbid_unknown_fields=True):
    """The body of /control/charges/{id}/age: how much older all that is on record of it becomes."""

    seconds: Annotated[int, Meta(ge=-31_536_000, le=31_536_000)]


class Change(msgspec.Struct):
    """That a charge has changed, and how it stands now; `id` is the charge's."""

    id: str
    changed: int
    charge: Charge


class ChangeFilter(msgspec.Struct, forbid_unknown_fields=True):
    """The query of GET /changes: charges made before `since` that changed from then to `until`."""

    since: int
    until: int
    limit: Limit = 10
    starting_after: str | None = None


class RefundFilter(msgspec.Struct, forbid_unknown_fields=True):
    """The query of GET /refunds; the newest come first."""

    idempotency_key: str | None = None
    charge: str | None = None
    limit: Limit = 10
    starting_after: str | None = None
