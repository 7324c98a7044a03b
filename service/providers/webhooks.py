"""Reads a provider's webhook: which charge, refund or dispute it is about.

Of an event only its references count. The body is the provider's (its signature was checked
before), and still every field is bounded.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Generic, Literal, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

DERIVED: Final = "derived:"
Kind = Literal["charge", "refund", "dispute", "fraud_warning"]

Name = Annotated[str, Meta(pattern=r"^[\x21-\x7e]{1,255}(?!\n)$")]
"""Visible ASCII: ids of events, types and statuses of every provider."""

Ref = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,255}(?!\n)$")]
"""A provider's id of a charge or refund. It goes into URLs, where a dot or a slash would lead to
something else."""


class EventError(ValueError):
    """The body is not an event of this provider; the message gives the reason."""


class ProviderEvent(msgspec.Struct, frozen=True):
    """What an event is about; `claimed_status` is the event's own word, which is not believed."""

    event_id: str
    kind: Kind
    type: str
    charge_ref: str
    refund_ref: str | None = None
    payment_id: UUID | None = None
    attempt_id: UUID | None = None
    refund_id: UUID | None = None
    object_ref: str | None = None
    """The dispute's or the warning's own id."""
    claimed_status: str | None = None


class EventObject(msgspec.Struct, frozen=True):
    """The object of an event, as far as every provider names it."""

    id: Ref
    object: Name
    status: Name | None = None

    @property
    def charge_ref(self) -> str | None:
        """Return the charge that it is or belongs to; None if no payment of ours can be meant."""
        raise NotImplementedError

    @property
    def our_ids(self) -> Mapping[str, UUID | None]:
        """Return the ids that we gave the provider with it, by field of ProviderEvent."""
        return {}


ObjectT = TypeVar("ObjectT", bound=EventObject)


class _Data(msgspec.Struct, Generic[ObjectT], frozen=True):
    object: ObjectT


class Body(msgspec.Struct, Generic[ObjectT], frozen=True):
    """An event as Stripe and the simulator write it."""

    type: Name
    data: _Data[ObjectT]
    id: Name | None = None


def reader(
    body: type[Body[ObjectT]], kinds: Mapping[str, Kind]
) -> Callable[[bytes], ProviderEvent | None]:
    """Return a function that reads an event; `kinds` by the names of the objects that matter.

    It returns None for an event of something else, and raises EventError.
    """
    decoder = msgspec.json.Decoder(body)

    def read_event(raw: bytes) -> ProviderEvent | None:
        try:
            if _object_name(msgspec.json.decode(raw)) not in kinds:
                return None
            event = decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise EventError(str(error)[:200]) from None
        found = event.data.object
        if found.charge_ref is None:
            return None
        kind = kinds[found.object]
        return ProviderEvent(
            event_id=event.id or _derived_id(event),
            kind=kind,
            type=event.type,
            charge_ref=found.charge_ref,
            refund_ref=found.id if kind == "refund" else None,
            object_ref=found.id if kind in ("dispute", "fraud_warning") else None,
            claimed_status=found.status,
            **found.our_ids,
        )

    return read_event


def _object_name(event: Any) -> str:
    """Return what an event's object is; "" for one without: a thin event, a ping."""
    if not isinstance(event, dict) or not event:
        raise EventError("no event")
    for name in ("data", "object", "object"):
        event = event.get(name) if isinstance(event, dict) else None
    return event if isinstance(event, str) else ""


def _derived_id(event: Body[ObjectT]) -> str:
    """Return an id made of the event's content: equal content is the same event."""
    found = event.data.object
    content = "\n".join((found.id, event.type, found.status or ""))
    return DERIVED + hashlib.sha256(content.encode()).hexdigest()
