"""Webhooks of payment providers: kept, acknowledged, and processed by a worker."""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from service.api.app_keys import CONTEXT
from service.providers.catalog import PROVIDERS
from service.usecases import inbox
from service.usecases.inbox import Delivery
from service.web.endpoint import Call, Nothing, Reply

_SCHEMES: Final = dict.fromkeys(provider.signature for provider in PROVIDERS)
SIGNATURES: Final[list[dict[str, Any]]] = [
    {
        "name": scheme.header,
        "in": "header",
        "required": len(_SCHEMES) == 1,
        "description": scheme.about,
        "schema": {"type": "string", "maxLength": scheme.max_length},
        "example": scheme.example,
    }
    for scheme in _SCHEMES
]


class WebhookReceipt(msgspec.Struct, frozen=True):
    """The acknowledgment: the event is stored, was stored before, or is ignored."""

    outcome: Annotated[str, Meta(description="accepted, duplicate or ignored")]
    event_id: str | None


async def receive_webhook(call: Call[bytes, Nothing]) -> Reply:
    """Keep an event of a provider; its signature stands for a caller."""
    delivery = Delivery(
        provider=call.path_slugs["provider"],
        headers=lambda name: call.request.headers.getall(name, []),
        body=call.body,
    )
    receipt = await inbox.receive(call.app(CONTEXT), delivery)
    return Reply(200, WebhookReceipt(receipt.outcome, receipt.event_id))
