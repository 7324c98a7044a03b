"""Who the virtual users are: people with a token, who buy each game once at most."""

import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

GAMES: Final = tuple(f"game-{number}" for number in range(1, 501))
"""The games that the simulated catalog sells."""


class NoIdentityLeftError(Exception):
    """Every identity is in use or owns every game."""


@dataclass
class Identity:
    """A person: the bearer token, the games still to buy, and the last order made."""

    token: str
    unowned: list[str] = field(default_factory=lambda: random.sample(GAMES, len(GAMES)))
    last_order_id: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that every request of this person carries."""
        return {"Authorization": f"Bearer {self.token}"}

    def next_game(self) -> str | None:
        """Return a game that the person doesn't own, or None; it counts as owned from now on."""
        return self.unowned.pop() if self.unowned else None


class IdentityPool:
    """The identities that no virtual user has."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self._waiting = deque(Identity(token) for token in tokens)

    def take(self) -> Identity:
        """Return an identity that nobody uses; raise NoIdentityLeftError."""
        if not self._waiting:
            raise NoIdentityLeftError(
                "every identity is in use or owns every game; raise IDENTITIES_A_USER"
            )
        return self._waiting.popleft()

    def release(self, identity: Identity) -> None:
        """Make the identity available, unless it has no game left to buy."""
        if identity.unowned:
            self._waiting.append(identity)
