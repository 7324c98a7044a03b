"""Bearer tokens; the mode tuned remembers verified ones until they expire."""

import os
import time
from dataclasses import dataclass

import jwt

CACHED = 4_096
MAX_TOKEN = 4_096
MAX_SUBJECT = 128
LEEWAY_S = 30


@dataclass(frozen=True)
class Caller:
    user: str
    scopes: frozenset[str]
    expires: float


class Tokens:
    def __init__(self, *, remember: bool) -> None:
        self._secret = os.environ["JWT_SECRET"]
        self._issuer, self._audience = os.environ["JWT_ISSUER"], os.environ["JWT_AUDIENCE"]
        self._remember = remember
        self._verified: dict[str, Caller] = {}

    def caller(self, header: str) -> Caller | None:
        """Return who sends this Authorization header, or None."""
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not 0 < len(token) <= MAX_TOKEN:
            return None
        known = self._verified.get(token)
        if known is not None and known.expires > time.time():
            return known
        found = self._verify(token)
        if found is not None and self._remember:
            if len(self._verified) >= CACHED:
                self._verified.clear()
            self._verified[token] = found
        return found

    def _verify(self, token: str) -> Caller | None:
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=["HS256"],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "sub"]},
            )
        except jwt.InvalidTokenError:
            return None
        if not 0 < len(claims["sub"]) <= MAX_SUBJECT:
            return None
        return Caller(claims["sub"], frozenset(claims.get("scope", "").split()), claims["exp"])
