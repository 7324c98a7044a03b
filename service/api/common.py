"""What the resources share: scopes, fields of bodies and queries, and an operator's decisions."""

from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from aiohttp import web
from msgspec import Meta

from service.errors import NotFoundError
from service.usecases.admin_commands import AdminCommand, Evidence
from service.usecases.audit import By
from service.usecases.context import Context
from service.usecases.idempotency import CommandResponse, Request
from service.web.endpoint import Call, Nothing, Reply
from service.web.parse import IDEMPOTENT_REPLAYED, TEXT

CONTEXT: Final = web.AppKey("context", Context)
"""Where handlers find the parts of the running process."""

READ: Final = "payments:read"
WRITE: Final = "payments:write"
ADMIN: Final = "payments:admin"

REPLAYED: Final = {IDEMPOTENT_REPLAYED: "true"}
MAX_ID_DIGITS: Final = 18
"""Any number that is an id has fewer: bigint ends at 19 digits."""

Amount = Annotated[int, Meta(ge=1, le=10**12, description="Minor units", examples=[1999])]
Limit = Annotated[int, Meta(ge=1, le=100, description="Items of a page, at most")]
Cursor = Annotated[UUID, Meta(description="`next_cursor` of the page before")]
NumberCursor = Annotated[int, Meta(ge=1, le=2**62, description="`next_cursor` of the page before")]
Note = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=1_000,
        pattern=TEXT,
        description="Why; the audit trail keeps it",
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


class PageQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page."""

    cursor: Cursor | None = None
    limit: Limit = 20


class NumberedPageQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page of a list whose ids are numbers."""

    cursor: NumberCursor | None = None
    limit: Limit = 20


class Reason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why an operator does something."""

    note: Note


class EvidenceBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the operator found at the provider; `amount` is what was captured or refunded there."""

    note: Note
    provider_ref: ProviderRef | None = None
    amount: Amount | None = None


def number(text: str, missing: str) -> int:
    """Return the id in a path; one that can't be any names nothing: NotFoundError."""
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_ID_DIGITS):
        raise NotFoundError(missing)
    return int(text)


def by(call: Call[Any, Nothing]) -> By:
    """Return who decides, and why as the body says."""
    return By(call.caller.user_id, call.body.note)


def command_of(call: Call[Any, Nothing], subject: str, evidence: EvidenceBody) -> AdminCommand:
    """Return who decides what about the subject whose id is in the path, and on what evidence."""
    return AdminCommand(
        request=Request(*call.claim),
        subject_id=call.ids[subject],
        evidence=Evidence(evidence.note, evidence.provider_ref, evidence.amount),
    )


def reply_of(answer: CommandResponse) -> Reply:
    """Return an answer as HTTP, marked if it was given before."""
    return Reply(answer.status, answer.body, REPLAYED if answer.replayed else {})
