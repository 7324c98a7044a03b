"""The review queue over HTTP: what waits for a person, and the person's decision."""

from typing import Any

import msgspec

from service.admin_views import detail_view, review_view
from service.api.admin_schemas import (
    EvidenceBody,
    PageQuery,
    ResolvePayment,
    ResolveRefund,
    ReviewPage,
)
from service.api.app_keys import CONTEXT
from service.api.payments import REPLAYED
from service.usecases import admin_payment, review
from service.usecases.admin_commands import AdminCommand, Evidence
from service.usecases.answer import CommandResponse
from service.web.endpoint import Call, Nothing, Reply


async def list_review(call: Call[Nothing, PageQuery]) -> Reply:
    """List what waits for a person, oldest first."""
    query = call.query
    found = await review.list_review(call.app(CONTEXT), after=query.cursor, limit=query.limit + 1)
    page = found[: query.limit]
    cursor = page[-1].id if len(found) > query.limit else None
    return Reply(200, ReviewPage(tuple(map(review_view, page)), cursor))


async def get_payment(call: Call[Nothing, Nothing]) -> Reply:
    """Read all that is known of a payment."""
    detail = await admin_payment.payment_with_all(call.app(CONTEXT), call.ids["payment_id"])
    return Reply(200, detail_view(detail))


async def resolve_payment(call: Call[ResolvePayment, Nothing]) -> Reply:
    """Decide on a payment in review."""
    command = _resolve(call, "payment_id")
    return reply_of(await review.resolve_payment(call.app(CONTEXT), command))


async def resolve_refund(call: Call[ResolveRefund, Nothing]) -> Reply:
    """Decide on a refund in review."""
    command = _resolve(call, "refund_id")
    return reply_of(await review.resolve_refund(call.app(CONTEXT), command))


def command_of(call: Call[Any, Nothing], subject: str, evidence: EvidenceBody) -> AdminCommand:
    """Return who decides what about the subject whose id is in the path, and on what evidence."""
    return AdminCommand(
        actor=call.caller.user_id,
        subject_id=call.ids[subject],
        evidence=Evidence(evidence.note, evidence.provider_ref, evidence.amount),
        key=call.idempotency_key,
        fingerprint=call.fingerprint,
    )


def reply_of(answer: CommandResponse) -> Reply:
    """Return an answer as HTTP, marked if it was given before."""
    return Reply(answer.status, answer.body, REPLAYED if answer.replayed else {})


def _resolve(call: Call[Any, Nothing], subject: str) -> review.Resolve:
    command = command_of(call, subject, call.body.evidence)
    return review.Resolve(**msgspec.structs.asdict(command), outcome=call.body.outcome)
