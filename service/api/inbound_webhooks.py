"""Webhooks of payment providers: kept, acknowledged, and processed by a worker."""

from typing import Final

import msgspec

from service import errors as e
from service.api.common import CONTEXT
from service.inbound_webhooks.signature import HEADER
from service.usecases import inbox
from service.usecases.inbox import Delivery, ReceiptOutcome
from service.web.endpoint import Call, Endpoint, Nothing, Reply


class WebhookReceipt(msgspec.Struct, frozen=True):
    """The acknowledgement: the event is kept, was kept before, or is none that matters here."""

    outcome: ReceiptOutcome
    event_id: str | None


async def receive_webhook(call: Call[bytes, Nothing]) -> Reply:
    """Receive a provider's event; its signature stands for a caller."""
    delivery = Delivery(
        provider=call.path_slugs["provider"], signatures=call.header(HEADER), body=call.body
    )
    receipt = await inbox.receive(call.app(CONTEXT), delivery)
    return Reply(200, WebhookReceipt(receipt.outcome, receipt.event_id))


ROUTES: Final = (
    Endpoint(
        "POST", "/v1/webhooks/{provider}", receive_webhook, None, {200: WebhookReceipt},
        tag="webhooks", errors=(e.WebhookRefusedError,),
    ),
)  # fmt: skip
