"""Requests in, JSON out: one way to read, to answer and to refuse."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware

MAX_BODY_BYTES: Final = 65_536  # the longest request here is a few hundred bytes
MAX_KEY_CHARS: Final = 255

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
T = TypeVar("T")

_encoder = msgspec.json.Encoder()


class RefusalError(Exception):
    """A request that is answered with an error; nothing was done."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def encode(body: Any) -> bytes:
    """Return `body` as JSON."""
    return _encoder.encode(body)


def reply(body: Any, status: int = 200, *, replayed: bool = False) -> web.Response:
    """Answer with JSON; `body` may be encoded already."""
    response = web.Response(
        body=body if isinstance(body, bytes) else encode(body),
        status=status,
        content_type="application/json",
    )
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response


def refusal(status: int, code: str, message: str) -> web.Response:
    """Answer with an error in the provider's form."""
    return reply({"error": {"code": code, "message": message}}, status)


async def read(request: web.Request, kind: type[T]) -> T:
    """Return the body as a `kind`; an empty body is an empty object. Raises RefusalError."""
    try:
        return msgspec.json.decode(await request.read() or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise RefusalError(400, "invalid_request", str(error)) from error
    except msgspec.DecodeError as error:
        raise RefusalError(400, "malformed_json", str(error)) from error


def query(request: web.Request, kind: type[T]) -> T:
    """Return the query string as a `kind`. Raises RefusalError."""
    try:
        return msgspec.convert(dict(request.query), kind, strict=False)
    except msgspec.ValidationError as error:
        raise RefusalError(400, "invalid_query", str(error)) from error


def idempotency_key(request: web.Request) -> str:
    """Return the key of a request that changes something. Raises RefusalError."""
    key = request.headers.get("Idempotency-Key", "")
    if not 1 <= len(key) <= MAX_KEY_CHARS:
        raise RefusalError(
            400, "idempotency_key_missing", f"Idempotency-Key needs 1 to {MAX_KEY_CHARS} characters"
        )
    return key


def require_bearer(token: str, prefix: str) -> Middleware:
    """Return a middleware that asks for `Authorization: Bearer <token>` below `prefix`."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "")
        if request.path.startswith(prefix) and given != f"Bearer {token}":
            return refusal(401, "unauthorized", f"{prefix} needs its bearer token")
        return await handler(request)

    return check


@web.middleware
async def refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn refusals, and aiohttp's own 404, 405 and 413, into JSON."""
    try:
        return await handler(request)
    except RefusalError as error:
        return refusal(error.status, error.code, str(error))
    except web.HTTPException as error:
        if error.status < 400:  # noqa: PLR2004  not an error
            raise
        code = error.reason.lower().replace(" ", "_")
        return refusal(error.status, code, f"{request.method} {request.path}: {error.reason}")
