"""The Game Catalog: titles and prices, cached, because orders read them all the time."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol
from urllib.parse import quote

import msgspec

from service.errors import IntegrationUnavailableError
from service.outbound import CallError, Outbound

NOT_FOUND: Final = 404
RETRY_AFTER_S: Final = 2


class Game(msgspec.Struct, frozen=True):
    """A game; `prices` are minor units by currency."""

    id: str
    title: str
    prices: dict[str, int]
    available: bool


class Cache(Protocol):
    """Bytes by (cache, key); a cache that fails finds nothing and keeps nothing."""

    async def get(self, cache: str, key: str) -> bytes | None:
        """Return what is stored, or None."""

    async def put(self, cache: str, key: str, value: bytes, ttl_s: float) -> None:
        """Store for `ttl_s` seconds."""


class GameCatalog:
    """Looks games up, first in the cache."""

    def __init__(self, outbound: Outbound, cache: Cache, ttl_s: float) -> None:
        self._outbound = outbound
        self._cache = cache
        self._ttl_s = ttl_s

    async def games(self, game_ids: Sequence[str]) -> list[Game | None]:
        """Return each game, None where there is none; raise IntegrationUnavailableError."""
        return list(await asyncio.gather(*(self._game(game_id) for game_id in game_ids)))

    async def _game(self, game_id: str) -> Game | None:
        cached = await self._cache.get("game", game_id)
        if cached is not None:
            return msgspec.json.decode(cached, type=Game)
        try:
            answer = await self._outbound.call(
                "get_game", "GET", f"/catalog/v1/games/{quote(game_id, safe='')}"
            )
            if answer.status == NOT_FOUND:
                return None
            game = msgspec.convert(answer.body, Game)  # another status has another body
        except (CallError, msgspec.ValidationError) as error:
            raise IntegrationUnavailableError(
                "The Game Catalog does not answer", retry_after_s=RETRY_AFTER_S
            ) from error
        await self._cache.put("game", game_id, msgspec.json.encode(game), self._ttl_s)
        return game
