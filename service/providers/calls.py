"""A call to a provider over HTTP, with the port's two ways of not getting an answer."""

from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from service.outbound import CallError, CallOutcome, Outbound, OutboundResponse
from service.providers.port import NotSentError, OutcomeUnknownError

_DOTS: Final = frozenset({"", ".", ".."})
"""No names, and as segments of a path they would lead to another one, quoted or not."""


def segment(ref: str) -> str:
    """Return a reference as one segment of a URL's path; raise NotSentError if it can be none."""
    if ref in _DOTS:
        raise NotSentError(f"{ref!r} is no reference")
    return quote(ref, safe="")


def whole(at: datetime) -> str:
    """Return the first whole Unix second that is not before `at`; providers count in seconds."""
    return str(-int(-at.timestamp() // 1))


TOO_MANY_REQUESTS: Final = 429


def not_let_in(answer: OutboundResponse, reason: str) -> NotSentError:
    """Return what an answer means that came before any work: a limit passes, a wrong key stays."""
    passing = answer.status == TOO_MANY_REQUESTS
    return NotSentError(reason, passing=passing, retry_after_s=answer.retry_after_s)


async def send(
    outbound: Outbound, operation: str, method: str, path: str, **options: Any
) -> OutboundResponse:
    """Return the answer below 500; raise NotSentError or OutcomeUnknownError."""
    try:
        return await outbound.call(operation, method, path, **options)
    except CallError as error:
        if error.sent:
            raise OutcomeUnknownError(str(error)) from error
        # A refused connection may be a pod that restarts; a time-out has used up the patience.
        passing = error.outcome is not CallOutcome.TIMEOUT
        raise NotSentError(str(error), passing=passing) from error
