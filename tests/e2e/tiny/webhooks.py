"""Tiny's webhooks: `{"event", "charge"}`, signed by a plain HMAC of the body."""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

import msgspec

from service.providers.signature import Scheme, SignatureError
from service.providers.webhooks import EventError, ProviderEvent, Ref

HEADER: Final = "Tiny-Signature"


class _Event(msgspec.Struct):
    event: Ref
    charge: Ref


def sign(secret: str, body: bytes) -> str:
    """Return the signature of a body."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def verify(headers: Sequence[str], body: bytes, secrets: Sequence[str], _now_s: float) -> None:
    """Raise SignatureError unless one of the secrets signed this body."""
    given = "".join(headers).encode()
    if not any(hmac.compare_digest(sign(secret, body).encode(), given) for secret in secrets):
        raise SignatureError("no live secret made this signature")


def read_event(raw: bytes) -> ProviderEvent:
    """Return what an event is about; raise EventError."""
    try:
        found = msgspec.json.decode(raw, type=_Event)
    except msgspec.DecodeError as error:
        raise EventError(str(error)) from None
    return ProviderEvent(found.event, "charge", "charge.changed", found.charge)


TINY_SCHEME: Final = Scheme(HEADER, 64, "HMAC-SHA256 of the body", "0" * 64, verify)
