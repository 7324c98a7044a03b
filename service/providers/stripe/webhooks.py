"""Stripe's events: https://docs.stripe.com/api/events."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from service.providers.calls import uuid_of
from service.providers.webhooks import Body, EventObject, Kind, Ref, reader

_KINDS: Final[Mapping[str, Kind]] = {
    "payment_intent": "charge",
    "charge": "charge",
    "refund": "refund",
    "dispute": "dispute",
    "radar.early_fraud_warning": "fraud_warning",
}
_OUR_IDS: Final = {"payment_intent": ("payment_id", "attempt_id"), "refund": ("refund_id",)}
"""Keys of the metadata that we send with an object."""


class _Object(EventObject, frozen=True):
    payment_intent: Ref | None = None
    metadata: dict[str, str] | None = None

    @property
    def charge_ref(self) -> str | None:
        return self.id if self.object == "payment_intent" else self.payment_intent

    @property
    def our_ids(self) -> Mapping[str, UUID | None]:
        metadata = self.metadata or {}
        return {name: uuid_of(metadata.get(name)) for name in _OUR_IDS.get(self.object, ())}


read_event = reader(Body[_Object], _KINDS)
