"""The simulator's events, written as Stripe writes them, of objects of its own."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from service.providers.calls import uuid_of
from service.providers.webhooks import Body, EventObject, Kind, Ref, reader

_KINDS: Final[Mapping[str, Kind]] = {
    "charge": "charge",
    "refund": "refund",
    "dispute": "dispute",
    "fraud_warning": "fraud_warning",
}


class _Object(EventObject, frozen=True):
    reference: str | None = None
    idempotency_key: str | None = None
    charge: Ref | None = None

    @property
    def charge_ref(self) -> str | None:
        return self.id if self.object == "charge" else self.charge

    @property
    def our_ids(self) -> Mapping[str, UUID | None]:
        key = uuid_of(self.idempotency_key)
        if self.object == "charge":
            return {"payment_id": uuid_of(self.reference), "attempt_id": key}
        return {"refund_id": key} if self.object == "refund" else {}


read_event = reader(Body[_Object], _KINDS)
