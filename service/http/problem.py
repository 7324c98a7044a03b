"""Errors as problem documents (RFC 9457). One middleware answers for every error there is."""

import logging
from collections.abc import Mapping
from typing import Final

import msgspec
from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from service import logs
from service.errors import (
    InternalError,
    MalformedRequestError,
    MethodNotAllowedError,
    NotFoundError,
    PayloadTooLargeError,
    ServiceError,
    UnsupportedMediaTypeError,
)

CONTENT_TYPE: Final = "application/problem+json"
CHALLENGE: Final = web.RequestKey("challenge", str)
"""What WWW-Authenticate says when this request is refused (RFC 9110, 11.6.1)."""

_BY_STATUS: Final[Mapping[int, type[ServiceError]]] = {
    400: MalformedRequestError,
    404: NotFoundError,
    405: MethodNotAllowedError,
    413: PayloadTooLargeError,
    415: UnsupportedMediaTypeError,
}
"""aiohttp's own errors in our words."""

_log = logs.get_logger(__name__)
_encoder: Final = msgspec.json.Encoder()


class ProblemField(msgspec.Struct, frozen=True):
    """What is wrong with one field; `field` is a JSONPath such as `$.items[0].quantity`."""

    field: str
    detail: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem document. `code` is stable and for programs; `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    correlation_id: str
    errors: tuple[ProblemField, ...] = ()


def describe(error: ServiceError, correlation_id: str) -> Problem:
    """Return the document of an error."""
    return Problem(
        type=type_uri(error.code),
        title=error.title,
        status=error.status,
        detail=error.detail,
        code=error.code,
        correlation_id=correlation_id,
        errors=tuple(ProblemField(item.field, item.detail) for item in error.fields),
    )


def type_uri(code: str) -> str:
    """Return the URI that names a kind of problem (RFC 9457, 3.1.1); nothing is behind it."""
    return f"urn:coinslot:problem:{code}"


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error of the layers below with a problem document."""
    try:
        return await handler(request)
    except ServiceError as error:
        return _answer(request, error)
    except web.HTTPException as error:
        if error.status < 400:  # noqa: PLR2004  a redirect is an answer, not an error
            raise
        return _answer(request, _translate(error), _allow(error))
    except Exception:  # noqa: BLE001  the last resort, and it logs the traceback
        # Whatever it was may hold what the client must not see: it learns the id and no more.
        _log.exception("unexpected_error", method=request.method)
        return _answer(request, InternalError())


def calm(record: logging.LogRecord) -> bool:
    """Let what is no HTTP be a note: any scanner can send it, and each time costs a traceback.

    A filter of aiohttp's server log. Such a request reaches no middleware: aiohttp itself answers
    it with 400 in plain text and closes the connection.
    """
    if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError):
        record.msg, record.args = f"unreadable request: {type(record.exc_info[1]).__name__}", ()
        record.levelno, record.exc_info = logging.INFO, None
    return True


def _translate(error: web.HTTPException) -> ServiceError:
    kind = _BY_STATUS.get(error.status)
    if kind is None:
        _log.error("unexpected_http_error", status=error.status, reason=error.reason)
        return InternalError()
    return kind()


def _allow(error: web.HTTPException) -> dict[str, str]:
    return {hdrs.ALLOW: error.headers[hdrs.ALLOW]} if hdrs.ALLOW in error.headers else {}


def _answer(
    request: web.Request, error: ServiceError, headers: Mapping[str, str] | None = None
) -> web.Response:
    answer = web.Response(
        status=error.status,
        body=_encoder.encode(describe(error, logs.correlation_id())),
        headers={hdrs.CONTENT_TYPE: CONTENT_TYPE, **(headers or {})},
    )
    if error.retry_after_s is not None:
        answer.headers[hdrs.RETRY_AFTER] = str(error.retry_after_s)
    if error.status in (401, 403) and CHALLENGE in request:
        answer.headers[hdrs.WWW_AUTHENTICATE] = request[CHALLENGE]
    return answer
