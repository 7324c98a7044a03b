"""Webhooks of payment providers: kept, acknowledged, and processed by a worker."""

from typing import Any, Final

import msgspec

from service import errors as e
from service.api.common import CONTEXT
from service.providers.catalog import PROVIDERS
from service.usecases import inbox
from service.usecases.inbox import Delivery, ReceiptOutcome
from service.web.endpoint import Call, Endpoint, Nothing, Reply

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

    outcome: ReceiptOutcome
    event_id: str | None


async def receive_webhook(call: Call[bytes, Nothing]) -> Reply:
    """Receive a provider's event; its signature stands for a caller."""
    delivery = Delivery(provider=call.path_slugs["provider"], headers=call.header, body=call.body)
    receipt = await inbox.receive(call.app(CONTEXT), delivery)
    return Reply(200, WebhookReceipt(receipt.outcome, receipt.event_id))


ROUTES: Final = (
    Endpoint(
        "POST", "/v1/webhooks/{provider}", receive_webhook, None, {200: WebhookReceipt},
        tag="webhooks", errors=(e.WebhookRefusedError,), headers=SIGNATURES,
    ),
)  # fmt: skip
