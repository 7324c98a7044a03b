"""HTTP calls to providers, with the port's errors, and helpers to read the answers."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote
from uuid import UUID

import msgspec

from service.call_results import CallError, CallOutcome, OutboundResponse
from service.domain.money import Money
from service.providers.port import NotSentError, OutcomeUnknownError

if TYPE_CHECKING:
    from service.outbound import Outbound

MAX_CODE: Final = 64
"""Characters of a provider's code or reason that are kept."""
TOO_MANY_REQUESTS: Final = 429
_DOTS: Final = frozenset({"", ".", ".."})
"""As segments of a path they lead to another one, quoted or not."""

Record = TypeVar("Record", bound=msgspec.Struct)
Item = TypeVar("Item")


def segment(ref: str) -> str:
    """Return a reference as one segment of a URL's path; raise NotSentError if it can be none."""
    if ref in _DOTS:
        raise NotSentError(f"{ref!r} is no reference")
    return quote(ref, safe="")


async def send(
    outbound: "Outbound", operation: str, method: str, path: str, **options: Any
) -> OutboundResponse:
    """Return the answer below 500; raise NotSentError or OutcomeUnknownError."""
    try:
        return await outbound.call(operation, method, path, **options)
    except CallError as error:
        if error.sent:
            raise OutcomeUnknownError(str(error)) from error
        # A refused connection may be a pod that restarts; after a time-out no time is left.
        passing = error.outcome is not CallOutcome.TIMEOUT
        raise NotSentError(str(error), passing=passing) from error


def denied(answer: OutboundResponse, reason: str) -> NotSentError:
    """Return the error of an answer before any work: a limit passes, a wrong key stays."""
    passing = answer.status == TOO_MANY_REQUESTS
    return NotSentError(reason, passing=passing, retry_after_s=answer.retry_after_s)


def read(body: Any, record: type[Record]) -> Record:
    """Return the body as a `record`; raise OutcomeUnknownError if it is none."""
    try:
        return msgspec.convert(body, record)
    except msgspec.ValidationError as error:
        raise OutcomeUnknownError(f"the answer cannot be read: {error}") from error


async def at_most(most: int, items: AsyncIterator[Item]) -> list[Item]:
    """Return all items; raise OutcomeUnknownError if there are more than `most`."""
    found: list[Item] = []
    async for item in items:
        found.append(item)
        if len(found) > most:
            raise OutcomeUnknownError(f"the list has more than {most} items")
    return found


def unix_s(at: datetime) -> str:
    """Return the first whole Unix second that is not before `at`; providers count in seconds."""
    return str(-int(-at.timestamp() // 1))


def time_of(seconds: int) -> datetime:
    """Return a provider's time, in Unix seconds, as UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def uuid_of(text: str | None) -> UUID | None:
    """Return our id that a provider keeps for us; None for any other text."""
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def money_of(minor: int, currency: str) -> Money | None:
    """Return the amount, or None for one that can't be ours: it then counts as different."""
    try:
        return Money(minor, currency.upper())
    except ValueError:
        return None
