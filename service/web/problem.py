"""Errors as problem documents (RFC 9457). One middleware answers for every error there is."""

from collections.abc import Mapping
from typing import Final

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from service import errors as e
from service import logs

CONTENT_TYPE: Final = "application/problem+json"
CHALLENGE: Final = web.RequestKey("challenge", str)
"""The WWW-Authenticate header if this request is refused (RFC 9110, 11.6.1)."""

UNREADABLE: Final = web.RequestKey("unreadable", bool)
"""Set when the rest of the body can't be read: nothing can follow on this connection."""

_BY_STATUS: Final[Mapping[int, type[e.ServiceError]]] = {
    400: e.MalformedRequestError,
    404: e.NotFoundError,
    405: e.MethodNotAllowedError,
    413: e.PayloadTooLargeError,
    415: e.UnsupportedMediaTypeError,
}
"""Our error for each status that aiohttp raises by itself."""

_REASONS: Final[Mapping[int, str]] = {499: "Client Closed Request"}
"""Of statuses that HTTP doesn't know."""

_log = logs.get_logger(__name__)
_encoder: Final = msgspec.json.Encoder()


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem document. `code` is stable and for programs; `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    correlation_id: str
    errors: tuple[e.ProblemField, ...] = ()


def describe(error: e.ServiceError, correlation_id: str) -> Problem:
    """Return the document of an error."""
    return Problem(
        type=type_uri(error.code),
        title=error.title,
        status=error.status,
        detail=error.detail,
        code=error.code,
        correlation_id=correlation_id,
        errors=error.fields,
    )


def type_uri(code: str) -> str:
    """Return the URI that names a kind of problem (RFC 9457, 3.1.1); nothing is behind it."""
    return f"urn:coinslot:problem:{code}"


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error of the layers below with a problem document."""
    try:
        return await handler(request)
    except e.ServiceError as error:
        return _answer(request, error)
    except web.HTTPException as error:
        if error.status < 400:  # noqa: PLR2004  a redirect is an answer, not an error
            raise
        return _answer(request, _translate(error), _allow(error))
    except Exception:  # noqa: BLE001  the last resort, and it logs the traceback
        # Whatever it was may hold what the client must not see: it learns the id and no more.
        _log.exception("unexpected_error", method=request.method)
        return _answer(request, e.InternalError())


def _translate(error: web.HTTPException) -> e.ServiceError:
    kind = _BY_STATUS.get(error.status)
    if kind is None:
        _log.error("unexpected_http_error", status=error.status, reason=error.reason)
        return e.InternalError()
    return kind()


def _allow(error: web.HTTPException) -> dict[str, str]:
    return {hdrs.ALLOW: error.headers[hdrs.ALLOW]} if hdrs.ALLOW in error.headers else {}


def _answer(
    request: web.Request, error: e.ServiceError, headers: Mapping[str, str] | None = None
) -> web.Response:
    answer = answer_of(error, logs.correlation_id())
    answer.headers.update(headers or {})
    if error.status in (401, 403) and CHALLENGE in request:
        answer.headers[hdrs.WWW_AUTHENTICATE] = request[CHALLENGE]
    if UNREADABLE in request:
        answer.force_close()
    return answer


def answer_of(error: e.ServiceError, correlation_id: str) -> web.Response:
    """Return the answer that an error is, whatever was asked."""
    answer = web.Response(
        status=error.status,
        reason=_REASONS.get(error.status),
        body=_encoder.encode(describe(error, correlation_id)),
        headers={hdrs.CONTENT_TYPE: CONTENT_TYPE},
    )
    if error.retry_after_s is not None:
        answer.headers[hdrs.RETRY_AFTER] = str(error.retry_after_s)
    if error.status == 415:  # noqa: PLR2004  RFC 9110, 15.5.16
        answer.headers[hdrs.ACCEPT_ENCODING] = "identity"
    return answer
