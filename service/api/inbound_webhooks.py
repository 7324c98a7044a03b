"""Webhooks of payment providers: kept, acknowledged, and processed by a worker."""

from typing import Annotated

import msgspec
from msgspec import Meta

from service.api.app_keys import CONTEXT
from service.inbound_webhooks.signature import HEADER
from service.usecases import inbox
from service.usecases.inbox import Delivery
from service.web.endpoint import Call, Nothing, Reply


class WebhookReceipt(msgspec.Struct, frozen=True):
    """The acknowledgment: the event is stored, was stored before, or is ignored."""

    outcome: Annotated[str, Meta(description="accepted, duplicate or ignored")]
    event_id: str | None


async def receive_webhook(call: Call[bytes, Nothing]) -> Reply:
    """Keep an event of a provider; its signature stands for a caller."""
    delivery = Delivery(
        provider=call.path_slugs["provider"],
        signatures=call.request.headers.getall(HEADER, []),
        body=call.body,
    )
    receipt = await inbox.receive(call.app(CONTEXT), delivery)
    return Reply(200, WebhookReceipt(receipt.outcome, receipt.event_id))
