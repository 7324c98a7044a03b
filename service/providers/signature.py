"""Webhook signatures: what a scheme is, and Stripe's, which the simulator uses as well.

    Stripe-Signature: t=1492774577,v1=5257a869…[,v1=…]

`v1` is HMAC-SHA256 in hexadecimal over `<t>.<raw body>` (https://docs.stripe.com/webhooks#verify-manually).
The header holds one `v1` for each secret that is live at the sender; we may have several too.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

HEADER: Final = "Stripe-Signature"

TOLERANCE_S: Final = 300
"""How old a delivery may be, or how far ahead: Stripe's own default, ample for skewed clocks."""

MAX_HEADER: Final = 2_048
"""Characters; a signature has 70, so this is more secrets than anybody rotates."""

MAX_SIGNATURES: Final = 8
_TIME: Final = re.compile(r"[0-9]{1,12}")
_SIGNATURE: Final = re.compile(r"[0-9a-f]{64}")


class SignatureError(Exception):
    """The delivery is not the provider's, or too old; the message gives the reason, for our log."""


Verify = Callable[[Sequence[str], bytes, Sequence[str], float], None]
"""Given the headers, the body, the live secrets and the time (Unix seconds): raises SignatureError
unless one of the secrets signed this body not long ago."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """A way to sign webhooks; `about` and `example` are for the API's document."""

    header: str
    max_length: int
    about: str
    example: str
    verify: Verify


def sign(secret: str, at_s: int, body: bytes) -> str:
    """Return the `v1` signature of a body that is sent at `at_s` (Unix seconds)."""
    return hmac.new(secret.encode(), b"%d." % at_s + body, hashlib.sha256).hexdigest()


def verify(headers: Sequence[str], body: bytes, secrets: Sequence[str], now_s: float) -> None:
    """Raise SignatureError unless one of the secrets signed this body within the tolerance."""
    if len(headers) != 1:
        raise SignatureError(f"{len(headers)} signature headers, not one")
    at_s, given = _parse(headers[0])
    expected = [sign(secret, at_s, body) for secret in secrets]
    # Every pair is compared in constant time, so that the duration reveals nothing.
    matches = [hmac.compare_digest(ours, theirs) for ours in expected for theirs in given]
    if not any(matches):
        raise SignatureError("no live secret made this signature")
    if abs(now_s - at_s) > TOLERANCE_S:  # after the signature: only the sender learns of it
        raise SignatureError(f"signed {now_s - at_s:.0f} s ago; {TOLERANCE_S} are taken")


def _parse(header: str) -> tuple[int, list[str]]:
    if len(header) > MAX_HEADER:
        raise SignatureError("the header is too long")
    pairs = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    given = [value for name, _, value in pairs if name == "v1" and _SIGNATURE.fullmatch(value)]
    if len(times) != 1 or not _TIME.fullmatch(times[0]):
        raise SignatureError("not one readable timestamp")
    if not 1 <= len(given) <= MAX_SIGNATURES:
        raise SignatureError(f"{len(given)} readable v1 signatures, not 1 to {MAX_SIGNATURES}")
    return int(times[0]), given


STRIPE_SCHEME: Final = Scheme(
    HEADER,
    MAX_HEADER,
    "`t=<Unix seconds>,v1=<HMAC-SHA256 of t, a dot and the body>`: Stripe's scheme; a `v1` for each"
    " secret that is live at the sender.",
    f"t=1795644990,v1={'5257a869' * 8}",
    verify,
)
