"""The signature of webhooks that we send: Standard Webhooks, symmetric (`v1`).

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final
from uuid import UUID

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"
_PREFIX: Final = "whsec_"


def headers(secrets: Sequence[str], message: str, at_s: int, body: bytes) -> dict[str, str]:
    """Return the headers of one try at `at_s` (Unix seconds), signed with each of the secrets."""
    return {
        ID: message,
        TIMESTAMP: str(at_s),
        SIGNATURE: " ".join(sign(secret, message, at_s, body) for secret in secrets),
    }


def sign(secret: str, message_id: str, at_s: int, body: bytes) -> str:
    """Return `v1,` and the HMAC-SHA256 over `<id>.<time>.<body>` in base64."""
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    content = f"{message_id}.{at_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


def message_id(event_id: UUID) -> str:
    """Return what a receiver knows a message by, whenever and however often it comes."""
    return f"msg_{event_id.hex}"
