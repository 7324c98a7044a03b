"""The Game Catalog: titles and prices, cached, because orders read them all the time."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Protocol
from urllib.parse import quote

import msgspec

from service.call_results import CallError
from service.errors import IntegrationUnavailableError
from service.outbound import Outbound

CACHE: Final = "game"
NOT_FOUND: Final = 404
RETRY_AFTER_S: Final = 2

UNKNOWN_TTL_S: Final = 10.0
"""How long it is remembered that there is no such game: long enough for a client that asks again
and again, short enough for a game that is published now."""


class Game(msgspec.Struct, frozen=True):
    """A game; `prices` are minor units by currency."""

    id: str
    title: str
    prices: dict[str, int]
    available: bool


class _Remembered(msgspec.Struct, frozen=True):
    """The catalog's answer: a game, or that there is none."""

    game: Game | None


_decode = msgspec.json.Decoder(_Remembered).decode


class Cache(Protocol):
    """Bytes by (cache, key); a cache that fails finds nothing and keeps nothing."""

    async def get(self, cache: str, key: str) -> bytes | None:
        """Return what was stored by us, or None."""

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
        remembered = await self._remembered(game_id)
        if remembered is None:
            remembered = _Remembered(await self._ask(game_id))
            ttl_s = self._ttl_s if remembered.game else min(self._ttl_s, UNKNOWN_TTL_S)
            await self._cache.put(CACHE, game_id, msgspec.json.encode(remembered), ttl_s)
        return remembered.game

    async def _remembered(self, game_id: str) -> _Remembered | None:
        cached = await self._cache.get(CACHE, game_id)
        if cached is None:
            return None
        try:
            return _decode(cached)
        except msgspec.DecodeError:
            return None  # of another release, for its signature is right

    async def _ask(self, game_id: str) -> Game | None:
        try:
            answer = await self._outbound.call(
                "get_game", "GET", f"/catalog/v1/games/{quote(game_id, safe='')}"
            )
            if answer.status == NOT_FOUND:
                return None
            return _read(answer.body, game_id)  # another status has another body
        except (CallError, msgspec.ValidationError) as error:
            raise IntegrationUnavailableError(
                "The Game Catalog does not answer", retry_after_s=RETRY_AFTER_S
            ) from error


def _read(body: Any, game_id: str) -> Game:
    game: Game = msgspec.convert(body, Game)
    if game.id != game_id:
        raise msgspec.ValidationError(f"the catalog answers with {game.id}")
    return game
