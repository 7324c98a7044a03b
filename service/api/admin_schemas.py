"""What the admin API takes, and its pages."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from service.admin_views import (
    AuditSealView,
    DifferenceView,
    OutboxMessageView,
    ParkedEvent,
    ReconciliationRunView,
    ReviewItemView,
)
from service.api.schemas import Amount, Cursor, Limit
from service.domain.reconciliation import DifferenceKind
from service.views import OrphanCapture
from service.web.parse import TEXT

Note = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=1_000,
        pattern=TEXT,
        description="Why; it is kept in the audit trail forever",
        examples=["captured, seen on the provider's dashboard"],
    ),
]
ProviderRef = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_.:-]{1,128}(?!\n)$",
        description="The charge's or refund's id at the provider",
        examples=["ch_4f9a"],
    ),
]


class EvidenceBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The operator's evidence; `amount` is what was captured or refunded at the provider."""

    note: Note
    provider_ref: ProviderRef | None = None
    amount: Amount | None = None


class ResolvePayment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A decision on a payment in review. `succeeded` books exactly the payment's amount."""

    outcome: Literal["succeeded", "failed", "canceled"]
    evidence: EvidenceBody


class ResolveRefund(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A decision on a refund in review."""

    outcome: Literal["succeeded", "failed"]
    evidence: EvidenceBody


class Reason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why an operator does something."""

    note: Note


class GivenBack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A refund made otherwise; `evidence.provider_ref` names the refund or transfer."""

    evidence: EvidenceBody


class ParkedEventRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A parked event, and why an operator decides on it."""

    provider: Annotated[
        str, Meta(min_length=1, max_length=64, pattern=TEXT, examples=["simulator"])
    ]
    event_id: Annotated[
        str, Meta(pattern=r"^[\x20-\x7e]{1,255}(?!\n)$", examples=["evt_1Pgc76B7WZ01zgkW"])
    ]
    note: Note


class DismissParked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which parked events to dismiss, and why: those of a provider that all of it is true of.

    Events that name a payment or a refund of ours are left out unless `named` is true.
    """

    provider: Annotated[
        str, Meta(min_length=1, max_length=64, pattern=TEXT, examples=["simulator"])
    ]
    note: Note
    type: Annotated[str, Meta(pattern=r"^[\x21-\x7e]{1,255}(?!\n)$")] | None = None
    parked_before: Annotated[datetime, Meta(tz=True)] | None = None
    named: bool = False


class Dismissed(msgspec.Struct, frozen=True):
    """How many events were dismissed; `more` if there may be others, for another call."""

    dismissed: int
    more: bool


class PageQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page."""

    cursor: Cursor | None = None
    limit: Limit = 20


class OutboxQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which messages; `stuck` have failed three times or more and are still tried."""

    state: Literal["stuck", "pending", "delivered", "given_up"] = "stuck"
    cursor: Annotated[int, Meta(ge=1, le=2**62)] | None = None
    limit: Limit = 20


class DifferenceQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which differences."""

    state: Literal["open", "resolved", "all"] = "open"
    kind: DifferenceKind | None = None
    cursor: Cursor | None = None
    limit: Limit = 20


class SealQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page of seals."""

    cursor: Annotated[int, Meta(ge=1, le=2**62)] | None = None
    limit: Limit = 20


class ParkedEvents(msgspec.Struct, frozen=True):
    """Parked events, the latest first; at most a hundred."""

    events: tuple[ParkedEvent, ...]


class OrphanCaptures(msgspec.Struct, frozen=True):
    """Orphan captures, the latest first; at most a hundred."""

    orphans: tuple[OrphanCapture, ...]


class ReviewPage(msgspec.Struct, frozen=True):
    """The review queue, oldest first; `next_cursor` is null on the last page."""

    items: tuple[ReviewItemView, ...]
    next_cursor: UUID | None


class OutboxPage(msgspec.Struct, frozen=True):
    """Messages, oldest first; `next_cursor` is null on the last page."""

    messages: tuple[OutboxMessageView, ...]
    next_cursor: int | None


class RunPage(msgspec.Struct, frozen=True):
    """Reconciliation runs, newest first; `next_cursor` is null on the last page."""

    runs: tuple[ReconciliationRunView, ...]
    next_cursor: UUID | None


class DifferencePage(msgspec.Struct, frozen=True):
    """Differences, oldest first; `next_cursor` is null on the last page."""

    differences: tuple[DifferenceView, ...]
    next_cursor: UUID | None


class SealPage(msgspec.Struct, frozen=True):
    """Seals, newest first; `next_cursor` is null on the last page."""

    seals: tuple[AuditSealView, ...]
    next_cursor: int | None
