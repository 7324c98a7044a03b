"""The Library: where a user's games are. Grants carry our id, so a repeat changes nothing."""

from typing import Final
from uuid import UUID

from service.outbound import CallError, Outbound

GRANTED: Final = frozenset({200, 201})
REVOKED: Final = frozenset({200, 204, 404})
"""404: the Library has no such grant, which is what a revoke wants."""


class LibraryError(Exception):
    """The Library did not take it; try again later."""


class Library:
    """Grants and revokes."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound

    async def grant(
        self, grant_id: UUID, *, user_id: str, game_id: str, quantity: int, order_id: UUID
    ) -> None:
        """Give the user the game; raise LibraryError."""
        await self._call(
            "grant",
            "PUT",
            grant_id,
            GRANTED,
            {
                "user_id": user_id,
                "game_id": game_id,
                "quantity": quantity,
                "order_id": str(order_id),
            },
        )

    async def revoke(self, grant_id: UUID) -> None:
        """Take the game back; raise LibraryError."""
        await self._call("revoke", "DELETE", grant_id, REVOKED, None)

    async def _call(
        self,
        operation: str,
        method: str,
        grant_id: UUID,
        expected: frozenset[int],
        body: dict[str, object] | None,
    ) -> None:
        try:
            answer = await self._outbound.call(
                operation, method, f"/library/v1/grants/{grant_id}", body=body
            )
        except CallError as error:
            raise LibraryError(str(error)) from error
        if answer.status not in expected:
            raise LibraryError(f"status {answer.status}")
