"""What every decision of an operator has: who, why, the evidence, a key, and one answer."""

from uuid import UUID

import msgspec

from service.errors import (
    FieldError,
    IdempotencyKeyInFlightError,
    IdempotencyKeyReusedError,
    IllegalTransitionError,
    NotFoundError,
    ServiceError,
    ValidationFailedError,
)
from service.ids import new_id
from service.logs import correlation_id
from service.store.admin_commands import CommandItem, CommandOutcome, CommandResult
from service.store.audit_entries import AuditEntry, Subject
from service.usecases.answer import CommandResponse
from service.usecases.context import Context
from service.usecases.record_outcome import IN_FLIGHT_RETRY_AFTER_S


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


def command_item(
    ctx: Context, command: AdminCommand, answer: CommandResponse, subject: Subject, action: str
) -> CommandItem:
    """Return what the store writes beside the decision's own effects."""
    return CommandItem(
        subject_id=command.subject_id,
        action_id=new_id(),
        caller=command.actor,
        key=command.key,
        fingerprint=command.fingerprint,
        response_status=answer.status,
        response_body=answer.body.decode(),
        action=AuditEntry(
            subject=subject,
            subject_id=str(command.subject_id),
            at=ctx.now(),
            actor=command.actor,
            action=action,
            reason=command.evidence.note,
            evidence=msgspec.to_builtins(command.evidence),
            correlation_id=correlation_id(),
        ),
    )


def answered(
    outcome: CommandOutcome, answer: CommandResponse, noun: str, not_ready: str = "in review"
) -> CommandResponse:
    """Return the answer to a decision, now or again; raise what refuses it."""
    if outcome.kind is CommandResult.DONE:
        return answer
    if outcome.kind is CommandResult.REPLAY and outcome.response_status and outcome.response_body:
        return CommandResponse(
            outcome.response_status, outcome.response_body.encode(), replayed=True
        )
    raise _refusal(outcome.kind, noun, not_ready)


def invalid(path: str, detail: str) -> ValidationFailedError:
    """Return the error of a field."""
    return ValidationFailedError(fields=(FieldError(path, detail),))


def _refusal(kind: CommandResult, noun: str, not_ready: str) -> ServiceError:
    match kind:
        case CommandResult.KEY_REUSED:
            return IdempotencyKeyReusedError()
        case CommandResult.NOT_FOUND:
            return NotFoundError(f"No such {noun}")
        case CommandResult.NOT_READY:
            return IllegalTransitionError(f"The {noun} is not {not_ready}, or no longer")
        case CommandResult.REF_TAKEN:
            return invalid(
                "$.evidence.provider_ref", f"belongs to another {noun}, or is being given back"
            )
        case _:
            return IdempotencyKeyInFlightError(retry_after_s=IN_FLIGHT_RETRY_AFTER_S)
