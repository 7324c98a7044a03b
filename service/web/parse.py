"""From an untrusted request to typed values: sizes, depths, encodings and names are all bounded.

The process refuses to start if a body or query type takes unknown fields, holds `Any` or itself, an
integer without bounds, or a string without a pattern: validation is as strict as its loosest type.
Patterns refuse a last newline, before which Python's `$` matches.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final
from uuid import UUID

import msgspec
from aiohttp import hdrs, web

from service import errors as e
from service.web.admission import PLACE
from service.web.middleware import DEADLINE
from service.web.problem import UNREADABLE

MAX_BODY_BYTES: Final = 65_536
"""The largest order has about 2 KB; a provider's webhook about 10."""

BODY_TIMEOUT_S: Final = 5.0
"""For the largest body on a line of 100 kbit/s; nearly all bodies fit into one packet."""

MAX_DETAIL: Final = 200
"""Characters of a detail: it quotes the client's own input, which may be long."""

IDEMPOTENCY_KEY: Final = "Idempotency-Key"
IDEMPOTENT_REPLAYED: Final = "Idempotent-Replayed"

TEXT: Final = r"^[^\x00]*$"
"""The pattern of text in any script. PostgreSQL's text can't hold NUL, and clients must know."""

_JSON: Final = "application/json"
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")  # visible ASCII
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_SLUG: Final = re.compile(r"[a-z0-9_-]{1,32}")
_END: Final = r"(?!\n)$"
"""How a pattern ends: Python's `$` alone matches before a last newline too. ECMA agrees on it."""

_WHERE: Final = re.compile(r"^(?P<detail>.*?)(?: - at `(?P<path>\$.*)`)?$", re.DOTALL)
_NAMED: Final = re.compile(r"^Object (?:contains unknown|missing required) field `(?P<name>.*)`$")

Reader = Callable[[web.Request], Awaitable[Any]]


class OptionalBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body that may be left out: every field has a default that is safe."""


def body_reader(kind: type) -> Reader:
    """Return a function that reads a request's body as `kind`; `bytes` means unparsed."""
    if kind is bytes:
        return read_body
    refuse_loose(kind)
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(kind)
    optional = not msgspec.structs.fields(kind) or issubclass(kind, OptionalBody)

    async def read(request: web.Request) -> Any:
        if optional and not request.can_read_body:
            return kind()
        _require_json(request)
        return decode(decoder, await read_body(request))

    return read


async def read_body(request: web.Request) -> bytes:
    """Return the body; raise what its client has done wrong.

    That is RequestBodyTimeoutError, ClientClosedRequestError, MalformedRequestError for one that
    is no HTTP, or aiohttp's own error for one that is too large; or OverloadedError if there is no
    place for the request any more when its body is there.
    """
    limit = asyncio.timeout(BODY_TIMEOUT_S)
    try:
        if request.content.is_eof():  # it came with the head, as most do: nothing to wait for
            return await request.read()
        with request[DEADLINE].suspended(), request[PLACE].suspended():
            async with limit:
                return await request.read()
    except web.RequestPayloadError:
        request[UNREADABLE] = True
        raise e.MalformedRequestError("The body does not fit its framing") from None
    except OSError:  # TimeoutError is one, and a connection can end by it too
        request[UNREADABLE] = True
        if limit.expired():
            raise e.RequestBodyTimeoutError from None
        raise e.ClientClosedRequestError from None


def decode(decoder: msgspec.json.Decoder[Any], raw: bytes) -> Any:
    """Decode and validate; raise MalformedRequestError or ValidationFailedError."""
    try:
        value = decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise e.MalformedRequestError(f"The body is not JSON: {str(error)[:MAX_DETAIL]}") from None
    return value


def query_reader(kind: type) -> Callable[[web.Request], Any]:
    """Return a function that reads a request's query as the struct `kind`."""
    refuse_loose(kind)

    def read(request: web.Request) -> Any:
        query = request.query
        values: dict[str, str] = dict(query)
        if len(values) != len(query):
            raise e.MalformedRequestError("A query parameter is given twice")
        try:
            value: Any = msgspec.convert(values, kind, strict=False)
        except msgspec.ValidationError as error:
            raise _invalid(str(error)) from None
        return value

    return read


def path_parameters(found: Mapping[str, str]) -> tuple[dict[str, UUID], dict[str, str]]:
    """Return the ids and the slugs of a path; raise NotFoundError for what can be neither."""
    ids: dict[str, UUID] = {}
    path_slugs: dict[str, str] = {}
    for name, text in found.items():
        if name.endswith("_id"):
            ids[name] = _uuid(text)
        elif _SLUG.fullmatch(text):
            path_slugs[name] = text
        else:
            raise e.NotFoundError
    return ids, path_slugs


def idempotency_key(request: web.Request, *, required: bool) -> str | None:
    """Return the one Idempotency-Key; raise IdempotencyKey{Missing,Invalid}Error."""
    keys = request.headers.getall(IDEMPOTENCY_KEY, [])
    if not keys and required:
        raise e.IdempotencyKeyMissingError
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise e.IdempotencyKeyInvalidError("Send one key of 1 to 255 visible ASCII characters")
    return keys[0]


def refuse_loose(kind: type) -> None:
    """Raise TypeError if an input type leaves something open that a hostile client can use.

    Without `Any` and without recursion a type can be no deeper than it is written, which bounds
    the JSON that the decoder follows. An integer without bounds overflows in the database, which
    has no NUL either: a string without a pattern would accept it, in the document too.
    """
    for found in _types_in(msgspec.inspect.type_info(kind), ()):
        if reason := _loose(found):
            raise TypeError(f"{kind.__name__} is too loose for input: {reason}")


def _loose(found: msgspec.inspect.Type) -> str:
    match found:
        case msgspec.inspect.AnyType() | msgspec.inspect.RawType():
            return "it holds an Any, whose depth has no bound"
        case msgspec.inspect.DataclassType() | msgspec.inspect.TypedDictType():
            return "it holds a type that takes unknown fields; use a msgspec.Struct"
        case msgspec.inspect.StructType(cls=cls, forbid_unknown_fields=False):
            return f"{cls.__name__} takes unknown fields; set forbid_unknown_fields=True"
        case msgspec.inspect.IntType(ge=None, gt=None) | msgspec.inspect.IntType(le=None, lt=None):
            return "an int has no bounds; give ge and le"
        case msgspec.inspect.StrType(pattern=pattern):
            return _loose_pattern(pattern)
    return ""


def _loose_pattern(pattern: str | None) -> str:
    if pattern is None:
        return "a str takes NUL; give a pattern, for free text TEXT"
    if pattern != TEXT and not pattern.endswith(_END):
        return f"the pattern {pattern} takes a newline at its end; let it end with {_END}"
    return ""


def _types_in(
    found: msgspec.inspect.Type, above: tuple[type, ...]
) -> Iterator[msgspec.inspect.Type]:
    yield found
    if isinstance(found, msgspec.inspect.StructType):
        if found.cls in above:
            raise TypeError(f"{found.cls.__name__} holds itself: its depth has no bound")
        above = (*above, found.cls)
    for name in found.__struct_fields__:
        value = getattr(found, name)
        for item in value if isinstance(value, tuple) else (value,):
            inner = item.type if isinstance(item, msgspec.inspect.Field) else item
            if isinstance(inner, msgspec.inspect.Type):
                yield from _types_in(inner, above)


def _require_json(request: web.Request) -> None:
    if request.headers.get(hdrs.CONTENT_TYPE) == _JSON:
        return
    charset = (request.charset or "utf-8").lower()
    if request.content_type != _JSON or charset != "utf-8":
        raise e.UnsupportedMediaTypeError("Send application/json in UTF-8")


def _invalid(message: str) -> e.ValidationFailedError:
    match = _WHERE.match(message)
    detail, path = (match["detail"], match["path"]) if match else (message, None)
    path = path or "$"
    if named := _NAMED.match(detail):
        path = f"{path}.{named['name']}"
    return e.ValidationFailedError(fields=(e.ProblemField(path[:MAX_DETAIL], detail[:MAX_DETAIL]),))


def _uuid(text: str) -> UUID:
    if not _UUID.fullmatch(text):  # UUID() takes braces, URNs and hyphens anywhere
        raise e.NotFoundError
    return UUID(text)
