"""The Library: where a user's games are. Grants carry our id, so a repeat changes nothing."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec

from service.call_results import CallError, OutboundResponse, Page, created_within, paginate
from service.outbound import Outbound

OK: Final = 200
GRANTED: Final = frozenset({200, 201})
REVOKED: Final = frozenset({200, 204})
UNKNOWN: Final = 404

REFUSED: Final = frozenset({400, 402, 406, 409, 410, 411, 412, 413, 414, 415, 416, 422, 451})
"""Statuses with which the Library refuses a grant for good. Not included: 401, 403, 404, 405, 407
and the like, which are about a token, a route or a proxy and which an operator repairs; 408, 423,
424, 425 and 429, which mean `later`."""


class LibraryError(Exception):
    """The Library did not accept it; try again later."""


class LibraryRefusedError(LibraryError):
    """The Library will never accept it."""


class LibraryGrant(msgspec.Struct, frozen=True):
    """A grant in the Library's list; `created` is seconds since 1970 by the Library's clock."""

    id: UUID
    user_id: str
    game_id: str
    quantity: int
    created: int
    revoked: bool

    @property
    def created_at(self) -> datetime:
        """Return when it was made."""
        return datetime.fromtimestamp(self.created, UTC)


class Library:
    """Grants and revokes."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound

    async def grant(
        self, grant_id: UUID, *, user_id: str, game_id: str, quantity: int, order_id: UUID
    ) -> None:
        """Give the user the game; raise LibraryError, or LibraryRefusedError if it never will."""
        answer = await self._call(
            "grant",
            "PUT",
            f"/{grant_id}",
            body={
                "user_id": user_id,
                "game_id": game_id,
                "quantity": quantity,
                "order_id": str(order_id),
            },
        )
        if answer.status in REFUSED:
            raise LibraryRefusedError(f"status {answer.status}{_code(answer)}")
        _expect(answer, GRANTED)

    async def revoke(self, grant_id: UUID) -> bool:
        """Take the game back; False if the Library has no such grant. Raises LibraryError."""
        answer = await self._call("revoke", "DELETE", f"/{grant_id}")
        if answer.status == UNKNOWN:
            return False
        _expect(answer, REVOKED)
        return True

    def list_grants(self, since: datetime, until: datetime) -> AsyncIterator[LibraryGrant]:
        """Yield what was granted from `since` to before `until`, newest first; also the revoked.

        The Library's clock counts, in whole seconds. Every page may raise LibraryError.
        """
        return created_within(paginate(self._page, {}), since, until)

    async def _page(self, query: dict[str, str]) -> Page[LibraryGrant]:
        answer = await self._call("list", "GET", "", query=query)
        _expect(answer, frozenset({OK}))
        try:
            return msgspec.convert(answer.body, Page[LibraryGrant])
        except msgspec.ValidationError as error:
            raise LibraryError(f"the Library's list cannot be read: {error}") from error

    async def _call(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        body: dict[str, object] | None = None,
        query: dict[str, str] | None = None,
    ) -> OutboundResponse:
        try:
            return await self._outbound.call(
                operation, method, f"/library/v1/grants{path}", body=body, query=query
            )
        except CallError as error:
            raise LibraryError(str(error)) from error


def _expect(answer: OutboundResponse, statuses: frozenset[int]) -> None:
    if answer.status not in statuses:
        raise LibraryError(f"status {answer.status}")


def _code(answer: OutboundResponse) -> str:
    """Return the Library's error code, if it has one."""
    try:
        return f" {answer.body['error']['code']!s}"[:65]
    except (KeyError, TypeError):
        return ""
