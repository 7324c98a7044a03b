"""Bearer tokens: who calls, and what the call may do. The only import of aiohttp-jwt.

A token's `kid` chooses the key, and the key brings its one algorithm. aiohttp-jwt decodes; this
module adds what it leaves open: a scheme in any case (RFC 9110, 11.1), `exp` and `sub` required,
scopes checked, a leeway for clocks that differ, and refusals that don't reveal what was wrong.
"""

import logging
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware
from aiohttp_jwt import JWTMiddleware

from service import logs
from service.errors import ScopeMissingError, UnauthenticatedError
from service.jwt_keys import VerificationKey, read_keys
from service.settings import Settings
from service.web.problem import CHALLENGE

CACHED_TOKENS: Final = 4_096
"""Users active at a time, in one process; a token of 300 bytes and its claims cost about 1 KB."""

MAX_TOKEN: Final = 4_096
"""Characters; a token of ours has 300, one signed by RSA 600."""

MAX_SUBJECT: Final = 128
"""Longest user id; it is stored with every order."""

_REALM: Final = 'Bearer realm="coinslot"'
_CLAIMS: Final = "jwt_claims"
_OUT_OF_TIME: Final = (jwt.ImmatureSignatureError, jwt.ExpiredSignatureError)
_WITHOUT_TIMES: Final[Any] = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
_CALLER: Final[web.RequestKey[Any]] = web.RequestKey("caller")
_log = logs.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request, and what the token allows."""

    user_id: str
    scopes: frozenset[str]


class Authenticator:
    """Verifies bearer tokens, and remembers verified ones until they expire."""

    def __init__(self, settings: Settings, now: Callable[[], float] = time.time) -> None:
        self._now = now
        unnamed = [VerificationKey("", "HS256", settings.jwt_secret.reveal())]
        self._settings = settings
        self._keys = {
            key.kid: (key, _decoder(key, settings))
            for key in (
                *(unnamed if settings.jwt_hs256 == "on" else ()),
                *read_keys(settings.jwt_keys.reveal()),
            )
        }
        self._verified: OrderedDict[str, tuple[Caller, float]] = OrderedDict()
        # It logs a traceback for every bad token; one line, `token_refused`, is enough.
        logging.getLogger("aiohttp_jwt.middleware").disabled = True
        # It keeps the claims under a plain string; aiohttp would have a RequestKey.
        warnings.filterwarnings("ignore", category=web.NotAppKeyWarning, module="aiohttp_jwt")

    async def authenticate(self, request: web.Request, scope: str) -> Caller:
        """Return who calls; raise UnauthenticatedError or ScopeMissingError."""
        caller = await self.identify(request)
        if caller is None:
            raise UnauthenticatedError
        if scope not in caller.scopes:
            request[CHALLENGE] = f'{_REALM}, error="insufficient_scope", scope="{scope}"'
            _log.warning("scope_missing", scope=scope)
            raise ScopeMissingError(f"The token lacks the scope {scope}")
        return caller

    async def identify(self, request: web.Request) -> Caller | None:
        """Return who calls, or None; a request's token is verified once."""
        if _CALLER not in request:
            caller = request[_CALLER] = await self._identify(request)
            if caller is not None:
                logs.bind(user_id=caller.user_id)
        found: Caller | None = request[_CALLER]
        return found

    async def _identify(self, request: web.Request) -> Caller | None:
        token = _token(request)
        if token is None:
            request[CHALLENGE] = _REALM
            return None
        known = self._verified.get(token)
        if known is not None and known[1] > self._now():
            self._verified.move_to_end(token)
            return known[0]
        self._verified.pop(token, None)
        found = await self._verify(request, token)
        if found is None:
            return None
        self._verified[token] = found
        if len(self._verified) > CACHED_TOKENS:
            self._verified.popitem(last=False)
        return found[0]

    async def _verify(self, request: web.Request, token: str) -> tuple[Caller, float] | None:
        try:
            claims = await self._claims(request, token)
            return _caller_of(claims, self._settings.jwt_leeway_s)
        except Exception as error:  # noqa: BLE001
            # A token is hostile until verified. A line break in its header becomes one in the
            # reason phrase, which is a ValueError; whatever else there may be is a refusal too.
            request[CHALLENGE] = f'{_REALM}, error="invalid_token"'
            _log.warning("token_refused", reason=str(error)[:200])
            return None

    async def _claims(self, request: web.Request, token: str) -> Mapping[str, Any]:
        key, decoder = self._key_of(token)
        try:
            await decoder(request, _decoded)
            claims: Mapping[str, Any] = request[_CLAIMS]
        except web.HTTPUnauthorized as refusal:
            if not isinstance(refusal.__context__, _OUT_OF_TIME):
                raise
            # By the machine's clock, and without leeway: all but the times is verified again.
            claims = jwt.decode(
                token,
                key.key,
                algorithms=[key.alg],
                audience=self._settings.jwt_audience,
                issuer=self._settings.jwt_issuer,
                options=_WITHOUT_TIMES,
            )
        _check_times(claims, self._now(), self._settings.jwt_leeway_s)
        return claims

    def _key_of(self, token: str) -> tuple[VerificationKey, Middleware]:
        """Return the token's key, and what checks it; raise for no such, or another algorithm."""
        if len(token) > MAX_TOKEN:
            raise ValueError("the token is too long")
        header = jwt.get_unverified_header(token)
        kid = header.get("kid", "")
        if kid not in self._keys or (not kid and "kid" in header):
            raise ValueError("the kid is not known")
        key, decoder = self._keys[kid]
        if header.get("alg") != key.alg:
            raise ValueError("the alg is not the key's")
        return key, decoder


def _decoder(key: VerificationKey, settings: Settings) -> Middleware:
    decoder: Middleware = JWTMiddleware(
        key.key,
        request_property=_CLAIMS,
        token_getter=_token,
        # Pinned: with a choice left open, the token's sender would choose how it is checked.
        algorithms=[key.alg],
        audience=settings.jwt_audience,
        issuer=settings.jwt_issuer,
    )
    return decoder


def _token(request: web.Request) -> str | None:
    """Return the bearer token, or None; `1*SP` stands between scheme and token (RFC 6750, 2.1)."""
    headers = request.headers.getall(hdrs.AUTHORIZATION, [])
    if len(headers) != 1:
        return None
    scheme, _, token = headers[0].partition(" ")
    token = token.strip(" ")
    return token if scheme.lower() == "bearer" and token else None


async def _decoded(_request: web.Request) -> web.StreamResponse:
    return web.Response()


def _check_times(claims: Mapping[str, Any], now: float, leeway_s: float) -> None:
    """Raise ValueError for a token that is not valid yet, or no longer (RFC 7519, 4.1.4 to 6)."""
    for name in ("iat", "nbf", "exp"):
        if not isinstance(claims.get(name, 0), int | float):
            raise ValueError(f"{name} is not a time")  # noqa: TRY004  a refusal, whatever its type
    # In a form in which NaN, a number to JSON's decoder, is refused.
    if not all(claims.get(name, 0) <= now + leeway_s for name in ("iat", "nbf")):
        raise ValueError("it is not valid yet")
    if "exp" in claims and not claims["exp"] > now - leeway_s:
        raise ValueError("it has expired")


def _caller_of(claims: Mapping[str, Any], leeway_s: float) -> tuple[Caller, float]:
    """Return who calls, and until when in Unix seconds the token may be believed."""
    expires, subject, scope = claims.get("exp"), claims.get("sub"), claims.get("scope", "")
    if not isinstance(expires, int | float):
        raise ValueError("exp is missing")  # noqa: TRY004  a refusal, whatever its type
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT:
        raise ValueError("sub is missing or too long")
    if not subject.isprintable():
        raise ValueError("sub is not printable")
    if not isinstance(scope, str):
        raise ValueError("scope is not a text")  # noqa: TRY004
    return Caller(subject, frozenset(scope.split())), float(expires) + leeway_s
