"""One row of the URL table, and the adapter that makes an aiohttp handler of it.

A handler gets a `Call` in which everything is parsed, validated and authenticated, makes one call
and returns a `Reply`. What it takes is read from its annotation, so the router, the parser and the
OpenAPI document can't disagree with it:

    async def create_order(call: Call[CreateOrder, Nothing]) -> Reply: ...
"""

import hashlib
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar, get_args, get_type_hints
from uuid import UUID

import msgspec
from aiohttp import hdrs, web

from service import errors as e
from service import logs
from service.web import parse
from service.web.auth import Authenticator, Caller

BodyT = TypeVar("BodyT")
QueryT = TypeVar("QueryT")
KeyT = TypeVar("KeyT")

_ALWAYS: Final = (
    e.MalformedRequestError,
    e.UnsupportedMediaTypeError,  # also of a body that nobody asked for, if it is compressed
    e.ValidationFailedError,  # also of a query: unknown parameters are refused
    e.RateLimitedError,
    e.RequestTimeoutError,
    e.OverloadedError,
    e.StoreUnavailableError,
    e.InternalError,
)
_GUARDED: Final = (e.UnauthenticatedError, e.ScopeMissingError)
_WITH_BODY: Final = (e.PayloadTooLargeError, e.RequestBodyTimeoutError)
_KEYED: Final = (
    e.IdempotencyKeyInvalidError,
    e.IdempotencyKeyReusedError,
    e.IdempotencyKeyInFlightError,
)
_IDEMPOTENT: Final = (e.IdempotencyKeyMissingError, *_KEYED)
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})

_log = logs.get_logger(__name__)
_encoder: Final = msgspec.json.Encoder()


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No body, or no query: nothing at all or `{}`."""


@dataclass(frozen=True)
class Call(Generic[BodyT, QueryT]):
    """A request that is parsed, validated and authenticated, or a command line's like of one.

    `parts` is the application, or what else has its parts by their AppKeys. `header` returns all
    values of a header.
    """

    endpoint: "Endpoint"
    parts: Mapping[Any, Any]
    header: Callable[[str], Sequence[str]]
    body: BodyT
    query: QueryT
    identity: Caller | None
    ids: Mapping[str, UUID]
    path_slugs: Mapping[str, str]
    key: str | None

    @property
    def caller(self) -> Caller:
        """Return who calls; public endpoints have none and must not ask."""
        if self.identity is None:
            raise RuntimeError(f"{self.endpoint.path} is public: it has no caller")
        return self.identity

    @property
    def idempotency_key(self) -> str:
        """Return the Idempotency-Key; only endpoints that demand one may ask."""
        if self.key is None:
            raise RuntimeError(f"{self.endpoint.path} does not demand an Idempotency-Key")
        return self.key

    @property
    def correlation_id(self) -> str:
        """Return the id that this request and all it causes carry in logs and calls."""
        return logs.correlation_id()

    @property
    def claim(self) -> tuple[str, str, str, str]:
        """Return what a request under a key brings: caller, key, fingerprint, correlation id."""
        return self.caller.user_id, self.idempotency_key, self.fingerprint, self.correlation_id

    @cached_property
    def fingerprint(self) -> str:
        """Return the hex SHA-256 of method, path and canonical body: what a key stands for.

        All three as they were understood: an id in upper case names the same thing.
        """
        canonical = msgspec.json.encode(self.body, order="deterministic")
        path = self.endpoint.path.format_map({**self.ids, **self.path_slugs})
        head = f"{self.endpoint.method} {path}\n".encode()
        return hashlib.sha256(head + canonical).hexdigest()

    def app(self, key: web.AppKey[KeyT]) -> KeyT:
        """Return a part of the application."""
        part: KeyT = self.parts[key]
        return part


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: a struct is encoded, bytes are JSON already (a stored answer)."""

    status: int
    body: msgspec.Struct | bytes | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS)


@dataclass(frozen=True)
class Endpoint:
    """One operation of the API; its name and its summary are its handler's.

    `path` is a template: `{…_id}` is a UUID, any other `{…}` a slug of [a-z0-9_-]. `scope` None
    makes it public. `responses` maps each status to the body's type; `errors` lists what the
    operation adds to the errors that its parsing and guarding can raise. An `idempotent` one
    demands an Idempotency-Key; with `key_optional` one may be sent. One that `begins` something new
    is refused first when there is too much to do. `headers` are those that it reads by itself, as
    OpenAPI's parameters.
    """

    method: str
    path: str
    handler: Callable[[Call[Any, Any]], Awaitable[Reply]]
    scope: str | None
    responses: Mapping[int, Any]  # structs, also generic ones such as Page[OrderView]
    _: KW_ONLY
    tag: str
    errors: tuple[type[e.ServiceError], ...] = ()
    idempotent: bool = False
    key_optional: bool = False
    begins: bool = False
    headers: Sequence[Mapping[str, Any]] = ()

    @cached_property
    def operation_id(self) -> str:
        """Return the name in the document: `list_orders` is `listOrders`."""
        first, *rest = self.handler.__name__.split("_")
        return first + "".join(map(str.title, rest))

    @cached_property
    def summary(self) -> str:
        """Return the first sentence of the handler's docstring."""
        return (inspect.getdoc(self.handler) or self.operation_id).partition("\n")[0].rstrip(".")

    @cached_property
    def body(self) -> type:
        """Return the body's type: a struct, or bytes for an endpoint that wants it raw."""
        return self._takes[0]

    @cached_property
    def query(self) -> type:
        """Return the query's struct."""
        return self._takes[1]

    @cached_property
    def every_error(self) -> tuple[type[e.ServiceError], ...]:
        """Return every error that the operation can answer with, without repeats."""
        groups: tuple[Iterable[type[e.ServiceError]], ...] = (
            _GUARDED if self.scope is not None else (),
            _IDEMPOTENT if self.idempotent else (),
            _KEYED if self.key_optional else (),
            _WITH_BODY if self.method != "GET" else (),
            (e.NotFoundError,) if "{" in self.path else (),
            self.errors,
            _ALWAYS,
        )
        return tuple(dict.fromkeys(error for group in groups for error in group))

    @cached_property
    def _takes(self) -> tuple[type, type]:
        hints = get_type_hints(self.handler)
        calls = [get_args(hint) for name, hint in hints.items() if name != "return"]
        if len(calls) != 1 or len(calls[0]) != 2:  # noqa: PLR2004  a body and a query
            raise TypeError(f"{self.operation_id}: its handler takes one Call[body, query]")
        body, query = calls[0]
        return body, query


def add_endpoints(
    app: web.Application, endpoints: Iterable[Endpoint], authenticator: Authenticator
) -> None:
    """Route every endpoint; raise TypeError for one whose input types are loose."""
    for endpoint in endpoints:
        app.router.add_route(endpoint.method, endpoint.path, _adapt(endpoint, authenticator))


def _adapt(
    endpoint: Endpoint, authenticator: Authenticator
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    read_body = parse.body_reader(endpoint.body)
    read_query = parse.query_reader(endpoint.query)

    async def handle(request: web.Request) -> web.StreamResponse:
        scope = endpoint.scope
        identity = None if scope is None else await authenticator.authenticate(request, scope)
        ids, path_slugs = parse.path_parameters(request.match_info)
        call = Call(
            endpoint=endpoint,
            parts=request.app,
            header=lambda name: request.headers.getall(name, []),
            key=parse.idempotency_key(request, required=endpoint.idempotent)
            if endpoint.idempotent or endpoint.key_optional
            else None,
            query=read_query(request),
            body=await read_body(request),
            identity=identity,
            ids=ids,
            path_slugs=path_slugs,
        )
        try:
            return _respond(endpoint, await endpoint.handler(call))
        except e.ServiceError as error:
            _log_undeclared(endpoint, error)
            raise

    return handle


def _log_undeclared(endpoint: Endpoint, error: e.ServiceError) -> None:
    """Log an error that the endpoint doesn't declare; the client gets its answer all the same."""
    if not isinstance(error, endpoint.every_error):  # a kind is declared with what it is a kind of
        _log.error("undeclared_error", operation_id=endpoint.operation_id, code=error.code)


def _respond(endpoint: Endpoint, reply: Reply) -> web.Response:
    if reply.status not in endpoint.responses and reply.status < 400:  # noqa: PLR2004
        # The work is done and the client must learn of it; the gap in the table is ours to close.
        _log.error(
            "undeclared_status", operation_id=endpoint.operation_id, status_code=reply.status
        )
    raw = reply.body
    return web.Response(
        status=reply.status,
        body=raw if raw is None or isinstance(raw, bytes) else _encoder.encode(raw),
        headers={hdrs.CONTENT_TYPE: "application/json", **reply.headers},
    )
