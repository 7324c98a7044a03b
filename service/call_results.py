"""What a call to a provider or an integration comes to, and its lists page by page.

Kept apart from the client (service/outbound.py), so that the metric catalog, the settings and all
that is generated from them need no HTTP library.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

PAGE: Final = 100
"""Items a page of a list; neither providers nor the Library give more."""


class CallOutcome(StrEnum):
    """How a call ended, as the metrics' `outcome` label."""

    OK = "ok"
    DECLINED = "declined"
    REFUSED = "refused"
    ERROR = "error"
    TIMEOUT = "timeout"


class CallError(Exception):
    """A call without a usable answer; `sent` tells whether it may have had an effect."""

    def __init__(
        self, message: str, *, sent: bool, outcome: CallOutcome = CallOutcome.ERROR
    ) -> None:
        super().__init__(message)
        self.sent = sent
        self.outcome = outcome


class OutboundResponse(msgspec.Struct, frozen=True):
    """A complete answer below 500; `body` is decoded JSON.

    `retry_after_s` is how long its Retry-After asks to wait, 0 without one.
    """

    status: int
    body: Any
    retry_after_s: float = 0.0


class _Item(Protocol):
    @property
    def id(self) -> object: ...


class _Dated(Protocol):
    @property
    def created(self) -> int: ...


ItemT = TypeVar("ItemT", bound=_Item)
DatedT = TypeVar("DatedT", bound=_Dated)


class Page(msgspec.Struct, Generic[ItemT], frozen=True):
    """A page of a list, in the form of Stripe's API."""

    data: tuple[ItemT, ...]
    has_more: bool


async def paginate(
    fetch: Callable[[dict[str, str]], Awaitable[Page[ItemT]]], query: Mapping[str, str]
) -> AsyncIterator[ItemT]:
    """Yield the items of all pages; `fetch` returns the page of a query."""
    page = await fetch({**query, "limit": str(PAGE)})
    while page.data:
        for item in page.data:
            yield item
        if not page.has_more:
            return
        last = str(page.data[-1].id)
        page = await fetch({**query, "limit": str(PAGE), "starting_after": last})


async def created_within(
    items: AsyncIterator[DatedT], since: datetime, until: datetime
) -> AsyncIterator[DatedT]:
    """Yield what was created from `since` to before `until`; `items` come newest first."""
    async for item in items:
        if item.created < since.timestamp():
            return
        if item.created < until.timestamp():
            yield item
