"""What every decision of an operator has: who, why, the evidence, a key, and one answer."""

from collections.abc import Awaitable, Callable
from functools import partial
from uuid import UUID

import msgspec

from service.errors import ProblemField, ValidationFailedError
from service.ids import new_id
from service.store.admin_commands import CommandItem
from service.store.audit_entries import Subject
from service.store.idempotency import BeginOutcome
from service.store.record_outcomes import RecordedOutcome
from service.usecases import audit
from service.usecases.audit import By
from service.usecases.context import Context
from service.usecases.idempotency import CommandResponse, Request, run


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the operator found at the provider; `amount_minor` is what was captured there."""

    note: str
    provider_ref: str | None = None
    amount_minor: int | None = None


class AdminCommand(msgspec.Struct, frozen=True, kw_only=True):
    """An operator's decision on something."""

    request: Request
    subject_id: UUID
    evidence: Evidence

    @property
    def actor(self) -> str:
        """Return who decides."""
        return self.request.caller


async def decide(
    ctx: Context,
    command: AdminCommand,
    answer: CommandResponse,
    subject: Subject,
    action: str,
    begin: Callable[[CommandItem], Awaitable[BeginOutcome]],
    *,
    ready: str = "in review",
    count: Callable[[RecordedOutcome], None] | None = None,
) -> CommandResponse:
    """Carry a decision out and return `answer`, or the one that this key already got.

    `begin` gets what the store writes beside the decision's own effects; `count` counts what was
    recorded.
    """
    by = By(command.actor, command.evidence.note)
    evidence = msgspec.to_builtins(command.evidence)
    item = CommandItem(
        **command.request.claim(ctx),
        subject_id=command.subject_id,
        action_id=new_id(),
        response_status=answer.status,
        response_body=answer.body.decode(),
        action=audit.entry(ctx, subject, command.subject_id, action, by, **evidence),
    )

    async def created(begun: BeginOutcome) -> CommandResponse:
        if count is not None and begun.recorded is not None:
            count(begun.recorded)
        return answer

    return await run(ctx, partial(begin, item), subject.replace("_", " "), ready, created=created)


def invalid(path: str, detail: str) -> ValidationFailedError:
    """Return the error of a field."""
    return ValidationFailedError(fields=(ProblemField(path, detail),))
