"""The secrets that sign merchants' webhooks: derived, so that none of them is stored anywhere.

A master key, the endpoint's id and a version make a secret, and make the same one again. Master
keys have names; an endpoint's row says which one made its secret.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Final
from uuid import UUID

PREFIX: Final = "whsec_"
MIN_KEY: Final = 32
"""Characters of a master key: as many bytes as what HMAC-SHA256 makes of it."""

_PURPOSE: Final = b"coinslot merchant webhook secret"
_NAMED: Final = re.compile(r"([a-z0-9-]{1,32}):(\S+)")


def read_master_keys(text: str) -> dict[str, bytes]:
    """Return the keys of `name:key[,name:key…]`, the one for new secrets first.

    Raises ValueError, which says what is wrong and shows no key.
    """
    keys: dict[str, bytes] = {}
    for number, item in enumerate(filter(None, map(str.strip, text.split(","))), 1):
        found = _NAMED.fullmatch(item)
        if found is None:
            raise ValueError(f"key {number} is not name:key; a name has a-z, 0-9 and hyphens")
        name, key = found.groups()
        if len(key) < MIN_KEY:
            raise ValueError(f"key {name} has fewer than {MIN_KEY} characters")
        if name in keys:
            raise ValueError(f"two keys are called {name}")
        keys[name] = key.encode()
    return keys


def derive(keys: Mapping[str, bytes], key_name: str, endpoint_id: UUID, version: int) -> str:
    """Return an endpoint's secret as merchants get it; raise KeyError if the key is gone."""
    about = b"%s\n%s\n%d" % (_PURPOSE, endpoint_id.bytes.hex().encode(), version)
    return PREFIX + base64.b64encode(hmac.digest(keys[key_name], about, hashlib.sha256)).decode()
