"""Every request under an idempotency key: claim it, then create, replay, resume or refuse.

Its answer is made once, kept, and given again to every repeat.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from service import errors as e
from service.store import idempotency as store
from service.store.database import Database
from service.store.idempotency import BeginOutcome, Begun
from service.usecases.context import Context

MAX_BEGINS: Final = 3
"""`again` means that another request claimed the key in the same moment; the next look sees it."""


class Request(msgspec.Struct, frozen=True):
    """What every request under a key brings; `fingerprint` is its SHA-256 in hexadecimal."""

    caller: str
    key: str
    fingerprint: str
    correlation_id: str

    def claim(self, ctx: Context) -> dict[str, Any]:
        """Return the fields of a Claim that holds from now on."""
        now = ctx.now()
        until = now + timedelta(seconds=ctx.settings.idempotency_lock_s)
        return {**msgspec.structs.asdict(self), "at": now, "locked_until": until}


class CommandResponse(msgspec.Struct, frozen=True):
    """Status and JSON body; `replayed` if an earlier request made it, `resource_id` what."""

    status: int
    body: bytes
    replayed: bool = False
    resource_id: UUID | None = None


class Lease(NamedTuple):
    """For how long a key is ours."""

    at: datetime
    until: datetime


class _Refusal(NamedTuple):
    error: type[e.ServiceError]
    detail: str = ""
    field: str = ""


_REFUSALS: Final = {
    Begun.KEY_REUSED: _Refusal(e.IdempotencyKeyReusedError),
    Begun.IN_FLIGHT: _Refusal(e.IdempotencyKeyInFlightError),
    Begun.RESUME: _Refusal(e.IdempotencyKeyInFlightError),  # of what is never to be resumed
    Begun.NOT_FOUND: _Refusal(e.NotFoundError, "No such {noun}"),
    Begun.NOT_READY: _Refusal(e.IllegalTransitionError, "The {noun} is not {ready}, or no longer"),
    Begun.ORDER_NOT_PAYABLE: _Refusal(e.OrderNotPayableError),
    Begun.LIVE_PAYMENT: _Refusal(e.LivePaymentExistsError),
    Begun.LOST_ORDER: _Refusal(e.LivePaymentExistsError),
    Begun.OWNED: _Refusal(e.AlreadyOwnedError),
    Begun.AMOUNT_REFUSED: _Refusal(e.AmountNotPayableError),
    Begun.CAPTURE_TOO_LARGE: _Refusal(e.CaptureExceedsAuthorizedError),
    Begun.BUSY: _Refusal(e.IllegalTransitionError, "Another capture or cancellation is under way"),
    Begun.NOT_SUCCEEDED: _Refusal(
        e.IllegalTransitionError, "Only a succeeded payment can be refunded"
    ),
    Begun.DISPUTED: _Refusal(
        e.PaymentDisputedError,
        "The buyer's bank disputes this payment: the bank decides what is refunded",
    ),
    Begun.REFUND_TOO_LARGE: _Refusal(e.RefundExceedsCapturedError),
    Begun.REF_TAKEN: _Refusal(
        e.ValidationFailedError,
        "belongs to another {noun}, or is being refunded",
        "$.evidence.provider_ref",
    ),
}


async def run(
    ctx: Context,
    begin: Callable[[], Awaitable[BeginOutcome]],
    noun: str,
    ready: str = "",
    *,
    created: Callable[[BeginOutcome], Awaitable[CommandResponse]],
    resumed: Callable[[UUID, Lease], Awaitable[CommandResponse]] | None = None,
) -> CommandResponse:
    """Return the answer to a request: made now, or given to this key before.

    `begin` claims the key with what it stands for. `created` finishes what that began. `resumed`
    does so for a request that is gone, whose key is ours until the lease ends; what came to nothing
    begins anew. Raises what refuses the request: `noun` is what it is about, `ready` how that must
    stand.
    """
    for _ in range(MAX_BEGINS):
        outcome = await begin()
        match outcome.kind:
            case Begun.CREATED | Begun.LOST_GAME:
                return await created(outcome)
            case Begun.RESUME if resumed is not None:
                lease = await _take_over(ctx, outcome.resource_id)
                if not await store.free(ctx.db, outcome.resource_id):
                    return await resumed(outcome.resource_id, lease)
            case Begun.LOST_ORDER:
                await store.free(ctx.db, outcome.resource_id)
                return replay(outcome, noun, ready)
            case Begun.AGAIN:
                pass
            case _:
                return replay(outcome, noun, ready)
    raise e.IdempotencyKeyInFlightError


def replay(outcome: BeginOutcome, noun: str, ready: str = "") -> CommandResponse:
    """Return the answer that the key got before; raise what refuses this request."""
    if outcome.kind is not Begun.REPLAY:
        error, detail, field = _REFUSALS[outcome.kind]
        detail = detail.format(noun=noun, ready=ready)
        raise error(fields=(e.ProblemField(field, detail),)) if field else error(detail)
    if outcome.response_status is None or outcome.response_body is None:
        raise e.StoreUnavailableError  # the database keeps both or none
    return CommandResponse(
        outcome.response_status,
        outcome.response_body.encode(),
        replayed=True,
        resource_id=outcome.resource_id,
    )


async def present_answer(db: Database, resource_id: UUID) -> CommandResponse:
    """Return what is stored for the request; raise IdempotencyKeyInFlightError if nothing is."""
    stored = await stored_answer(db, resource_id)
    if stored is None:
        raise e.IdempotencyKeyInFlightError
    return stored


async def stored_answer(db: Database, resource_id: UUID) -> CommandResponse | None:
    """Return what is stored for the request, without what the buyer does next."""
    stored = await store.stored_answer(db, resource_id)
    return CommandResponse(stored[0], stored[1].encode(), replayed=True) if stored else None


async def _take_over(ctx: Context, resource_id: UUID) -> Lease:
    now = ctx.now()
    lease = Lease(now, now + timedelta(seconds=ctx.settings.idempotency_lock_s))
    if not await store.take_over(ctx.db, resource_id, at=lease.at, until=lease.until):
        raise e.IdempotencyKeyInFlightError
    return lease
