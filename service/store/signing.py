"""Signs what is kept outside: whoever can write there can't make us believe it.

A value is bound to its name and to the moment until which it holds, so that a true one can be
neither passed off as another nor kept back and shown again later.
"""

import hashlib
import hmac
from typing import Final

_PURPOSE: Final = b"coinslot cache v1"
_DIGEST_BYTES: Final = 32
_TIME_BYTES: Final = 8  # milliseconds since 1970
_HEAD_BYTES: Final = _DIGEST_BYTES + _TIME_BYTES
_COST: Final = 2**14
"""Of scrypt: 16 MB and some 40 ms once a process, and for each guess at a weak password."""


class ForgedError(Exception):
    """What was read was not signed by us, or not under this name."""


class Signer:
    """Signs with a key that is made from a secret of the service; the secret can't be found back.

    Processes with the same secret read each other's values. After the secret has changed, what was
    signed before is not believed.
    """

    def __init__(self, secret: str) -> None:
        self._key = hashlib.scrypt(
            secret.encode(), salt=_PURPOSE, n=_COST, r=8, p=1, dklen=_DIGEST_BYTES
        )

    def sign(self, name: str, value: bytes, *, until_s: float) -> bytes:
        """Return the value with its signature; it holds until `until_s`, in Unix seconds."""
        until = int(until_s * 1_000).to_bytes(_TIME_BYTES, "big")
        return self._digest(name, until + value) + until + value

    def read(self, name: str, signed: bytes, *, now_s: float) -> bytes | None:
        """Return the value, None if its time is over; raise ForgedError."""
        digest, rest = signed[:_DIGEST_BYTES], signed[_DIGEST_BYTES:]
        if len(signed) < _HEAD_BYTES or not hmac.compare_digest(digest, self._digest(name, rest)):
            raise ForgedError
        until_s = int.from_bytes(rest[:_TIME_BYTES], "big") / 1_000
        return rest[_TIME_BYTES:] if now_s < until_s else None

    def _digest(self, name: str, rest: bytes) -> bytes:
        head = name.encode()
        message = len(head).to_bytes(4, "big") + head + rest
        return hmac.digest(self._key, message, "sha256")
