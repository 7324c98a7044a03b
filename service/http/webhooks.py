"""Webhooks of payment providers: kept, acknowledged, and processed by a worker."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from service.http.endpoint import Call, Nothing, Reply
from service.http.state import CONTEXT
from service.usecases import inbox, orphans
from service.usecases.inbox import Delivery
from service.webhooks.signature import HEADER


class WebhookReceipt(msgspec.Struct, frozen=True):
    """The acknowledgement: the event is kept, was kept before, or is none that matters here."""

    outcome: Annotated[str, Meta(description="accepted, duplicate or ignored")]
    event_id: str | None


class ParkedEvent(msgspec.Struct, frozen=True):
    """An event that found no payment of ours within three days."""

    provider: str
    event_id: str
    type: str
    charge_ref: str
    payment_id: UUID | None
    claimed_status: str | None
    attempts: int
    last_error: str | None


class ParkedEvents(msgspec.Struct, frozen=True):
    """Parked events, the latest first; at most a hundred."""

    events: tuple[ParkedEvent, ...]


class OrphanCapture(msgspec.Struct, frozen=True):
    """A charge that took money and pays nothing; `amount` is in minor units of `currency`."""

    id: UUID
    payment_id: UUID
    provider: str
    provider_ref: str
    status: str
    amount: int
    currency: str
    refund_ref: str | None
    last_error: str | None
    created_at: datetime


class OrphanCaptures(msgspec.Struct, frozen=True):
    """Orphan captures, the latest first; at most a hundred."""

    orphans: tuple[OrphanCapture, ...]


async def receive_webhook(call: Call[bytes, Nothing]) -> Reply:
    """Keep an event of a provider; its signature stands for a caller."""
    delivery = Delivery(
        provider=call.words["provider"],
        signatures=call.request.headers.getall(HEADER, []),
        body=call.body,
    )
    receipt = await inbox.receive(call.app(CONTEXT), delivery)
    return Reply(200, WebhookReceipt(receipt.outcome, receipt.event_id))


async def list_parked(call: Call[Nothing, Nothing]) -> Reply:
    """List the events that nobody could make sense of."""
    found = await inbox.list_parked(call.app(CONTEXT))
    shown = [
        ParkedEvent(
            row.provider,
            row.event_id,
            row.type,
            row.charge_ref,
            row.payment_id,
            row.claimed_status,
            row.attempts,
            row.last_error,
        )
        for row in found
    ]
    return Reply(200, ParkedEvents(tuple(shown)))


async def list_orphans(call: Call[Nothing, Nothing]) -> Reply:
    """List the charges that took money for nothing, and whether it was given back."""
    found = await orphans.newest(call.app(CONTEXT))
    shown = [
        OrphanCapture(
            row.id,
            row.payment_id,
            row.provider,
            row.provider_ref,
            row.status,
            row.amount_minor,
            row.currency,
            row.refund_ref,
            row.last_error,
            row.created_at,
        )
        for row in found
    ]
    return Reply(200, OrphanCaptures(tuple(shown)))
