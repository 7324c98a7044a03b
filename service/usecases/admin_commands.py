"""What every decision of an operator has: who, why, the evidence, a key, and one answer."""

from collections.abc import Awaitable, Callable
from functools import partial
from uuid import UUID

import msgspec

from service.errors import FieldError, ValidationFailedError
from service.ids import new_id
from service.logs import correlation_id
from service.store import audit_entries
from service.store.admin_commands import CommandItem
from service.store.audit_entries import AuditEntry
from service.store.idempotency import BeginOutcome
from service.store.record_outcomes import RecordedOutcome
from service.usecases.answer import CommandResponse
from service.usecases.context import Context
from service.usecases.idempotency import Subject, run


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the operator found at the provider; `amount_minor` is what was captured there."""

    note: str
    provider_ref: str | None = None
    amount_minor: int | None = None


class AdminCommand(msgspec.Struct, frozen=True, kw_only=True):
    """An operator's decision on something; `fingerprint` is the request's SHA-256."""

    actor: str
    subject_id: UUID
    evidence: Evidence
    key: str
    fingerprint: bytes


async def decide(
    ctx: Context,
    command: AdminCommand,
    subject: audit_entries.Subject,
    action: str,
    answer: CommandResponse,
    begin: Callable[[CommandItem], Awaitable[BeginOutcome]],
    *,
    done: Callable[[RecordedOutcome | None], None],
    ready: str = "in review",
) -> CommandResponse:
    """Carry a decision out and return `answer`, or the one that this key already got.

    `begin` gets what the store writes beside the decision's own effects; `done` tells of them.
    """
    now = ctx.now()
    item = CommandItem(
        subject_id=command.subject_id,
        action_id=new_id(),
        caller=command.actor,
        key=command.key,
        fingerprint=command.fingerprint.hex(),
        correlation_id=correlation_id(),
        at=now,
        response_status=answer.status,
        response_body=answer.body.decode(),
        action=AuditEntry(
            subject=subject,
            subject_id=str(command.subject_id),
            at=now,
            actor=command.actor,
            action=action,
            reason=command.evidence.note,
            evidence=msgspec.to_builtins(command.evidence),
            correlation_id=correlation_id(),
        ),
    )

    async def created(begun: BeginOutcome) -> CommandResponse:
        done(begun.recorded)
        return answer

    noun = subject.replace("_", " ")
    return await run(ctx, partial(begin, item), Subject(noun, ready), created=created)


def invalid(path: str, detail: str) -> ValidationFailedError:
    """Return the error of a field."""
    return ValidationFailedError(fields=(FieldError(path, detail),))
