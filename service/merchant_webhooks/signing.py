"""The signature of webhooks to merchants, and the secrets that make it.

The form is Standard Webhooks, symmetric (`v1`):
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

No secret is stored. It is derived from a master key, the endpoint's id and a version. Master keys
have names; an endpoint's row names the one of its secret.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from service.setting_types import listed, read_each, repeated

PREFIX: Final = "whsec_"
ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"
MIN_KEY: Final = 32
"""Characters of a master key: as many bytes as what HMAC-SHA256 makes of it."""

_PURPOSE: Final = b"coinslot merchant webhook secret"
_NAMED: Final = re.compile(r"([a-z0-9-]{1,32}):(\S+)")


def read_master_keys(text: str) -> dict[str, bytes]:
    """Return the keys of `name:key[,name:key…]`, the one for new secrets first.

    Raises ValueError, which names all problems and shows no key.
    """
    keys, wrong = read_each(enumerate(listed(text), 1), _master_key)
    names = [name for name, _ in keys]
    wrong += [f"two keys are called {name}" for name in repeated(names)]
    if wrong:
        raise ValueError("; ".join(wrong))
    return dict(keys)


def _master_key(numbered: tuple[int, str]) -> tuple[str, bytes]:
    number, item = numbered
    found = _NAMED.fullmatch(item)
    if found is None:
        raise ValueError(f"key {number} is not name:key; a name has a-z, 0-9 and hyphens")
    name, key = found.groups()
    if len(key) < MIN_KEY:
        raise ValueError(f"key {name} has fewer than {MIN_KEY} characters")
    return name, key.encode()


def derive(keys: Mapping[str, bytes], key_name: str, endpoint_id: UUID, version: int) -> str:
    """Return an endpoint's secret as merchants get it; raise KeyError if the key is gone."""
    about = b"%s\n%s\n%d" % (_PURPOSE, endpoint_id.bytes.hex().encode(), version)
    return PREFIX + base64.b64encode(hmac.digest(keys[key_name], about, hashlib.sha256)).decode()


def headers(secrets: Sequence[str], message: str, at_s: int, body: bytes) -> dict[str, str]:
    """Return the headers of one try at `at_s` (Unix seconds), signed with each of the secrets."""
    return {
        ID: message,
        TIMESTAMP: str(at_s),
        SIGNATURE: " ".join(sign(secret, message, at_s, body) for secret in secrets),
    }


def sign(secret: str, message_id: str, at_s: int, body: bytes) -> str:
    """Return `v1,` and the HMAC-SHA256 over `<id>.<time>.<body>` in base64."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    content = f"{message_id}.{at_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


def message_id(event_id: UUID) -> str:
    """Return what a receiver knows a message by, whenever and however often it comes."""
    return f"msg_{event_id.hex}"
