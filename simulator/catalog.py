"""The Game Catalog: invented games with prices that are the same in every run."""

import hashlib
from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from simulator.faults import Faults, Target, failing
from simulator.replies import RefusalError, query, reply

PREFIX: Final = "/catalog/v1"
GAMES: Final = 500
UNAVAILABLE: Final = "game-0"

ADJECTIVES: Final = (
    *("Amber", "Broken", "Crimson", "Distant", "Electric", "Fading", "Gilded", "Hollow"),
    *("Iron", "Jagged", "Kindred", "Lunar", "Midnight", "Neon", "Quiet", "Verdant"),
)
NOUNS: Final = (
    *("Archive", "Bastion", "Comet", "Dynasty", "Expanse", "Frontier", "Gambit", "Harbor"),
    *("Isle", "Labyrinth", "Meridian", "Odyssey", "Paradox", "Reverie", "Signal", "Tides"),
)
EURO_PRICES: Final = (499, 999, 1499, 1999, 2499, 2999, 3999, 4999, 5999, 6999)


class Game(msgspec.Struct, frozen=True):
    """A game; `prices` are in minor units (the yen has none smaller)."""

    id: str
    title: str
    prices: dict[str, int]
    available: bool


class Page(msgspec.Struct, forbid_unknown_fields=True):
    """The query of GET /games."""

    limit: Annotated[int, Meta(ge=1, le=GAMES)] = 50


def invent(number: int) -> Game:
    """Return game `number`, always the same."""
    first, second, third = hashlib.sha256(f"game {number}".encode()).digest()[:3]
    euro = EURO_PRICES[third % len(EURO_PRICES)]
    return Game(
        id=f"game-{number}",
        title=f"{ADJECTIVES[first % 16]} {NOUNS[second % 16]} {number}",
        prices={"EUR": euro, "USD": euro, "GBP": euro - 100, "JPY": (euro + 1) * 16 // 10},
        available=f"game-{number}" != UNAVAILABLE,
    )


class Games:
    """What is in the catalog: the invented games, and those that a test puts there."""

    def __init__(self) -> None:
        self._invented = {game.id: game for game in map(invent, range(GAMES + 1))}
        self.reset()

    def reset(self) -> None:
        """Leave the invented games alone."""
        self._added: dict[str, Game] = {}

    def add(self, game: Game) -> None:
        """Add a game, or put it in the place of another."""
        self._added[game.id] = game

    def __getitem__(self, game_id: str) -> Game:
        """Return a game; raise KeyError."""
        return self._added.get(game_id) or self._invented[game_id]


def routes(games: Games, faults: Faults) -> web.RouteTableDef:
    """Return the catalog's URL table."""
    table = web.RouteTableDef()

    @table.get(f"{PREFIX}/games")
    async def games_page(request: web.Request) -> web.Response:
        limit = query(request, Page).limit
        return reply({"data": [games[f"game-{number}"] for number in range(1, limit + 1)]})

    @table.get(f"{PREFIX}/games/{{id}}")
    @failing(faults, Target.GAME)
    async def game(request: web.Request) -> web.Response:
        try:
            return reply(games[request.match_info["id"]])
        except KeyError:
            raise RefusalError(404, "game_not_found", f"games are game-0 to game-{GAMES}") from None

    return table
