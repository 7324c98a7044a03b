"""The Library's grants and the Game Catalog's prices."""

from uuid import uuid4

import pytest

from simulator.client import Control
from tests.unit.simulator.conftest import MAX_RECORDS, Caller

GRANT = {"user_id": "ada", "game_id": "game-1", "quantity": 1, "order_id": "o1"}


async def test_a_grant_is_made_once(library: Caller) -> None:
    path = f"/grants/{uuid4()}"
    assert (await library("PUT", path, GRANT)).status == 201
    assert (await library("PUT", path, GRANT)).status == 200
    other = await library("PUT", path, {**GRANT, "game_id": "game-2"})
    assert (other.status, other.body["error"]["code"]) == (409, "grant_differs")
    held = await library("GET", "/grants", params={"user_id": "ada"})
    assert [grant["game_id"] for grant in held.body["data"]] == ["game-1"]


async def test_a_revoked_grant_stays_revoked(library: Caller, control: Control) -> None:
    path = f"/grants/{uuid4()}"
    await library("PUT", path, GRANT)
    assert (await library("DELETE", path)).status == 200
    assert (await library("DELETE", path)).status == 200
    assert await control.shelf("ada") == []
    late = await library("PUT", path, GRANT)
    assert (late.status, late.body["error"]["code"]) == (409, "grant_revoked")
    counts = (await control.state())["counts"]
    assert (counts["grants"], counts["revoked"]) == (0, 1)


async def test_a_grant_that_never_was_is_not_found(library: Caller) -> None:
    assert (await library("DELETE", f"/grants/{uuid4()}")).status == 404


async def test_wrong_grants_are_refused(library: Caller) -> None:
    assert (await library("PUT", "/grants/7", GRANT)).status == 400
    zero = await library("PUT", f"/grants/{uuid4()}", {**GRANT, "quantity": 0})
    assert zero.status == 400
    assert "quantity" in zero.body["error"]["message"]
    stranger = Caller(library._session, "/library/v1", "guess")
    assert (await stranger("PUT", f"/grants/{uuid4()}", GRANT)).status == 401


async def test_all_grants_are_listed_page_by_page_the_newest_first(library: Caller) -> None:
    made = [str(uuid4()) for _ in range(3)]
    for grant_id in made:
        await library("PUT", f"/grants/{grant_id}", GRANT)
    await library("DELETE", f"/grants/{made[0]}")
    first = (await library("GET", "/grants", params={"limit": "2"})).body
    assert ([grant["id"] for grant in first["data"]], first["has_more"]) == (made[:0:-1], True)
    rest = await library("GET", "/grants", params={"limit": "2", "starting_after": made[1]})
    assert [(grant["id"], grant["revoked"]) for grant in rest.body["data"]] == [(made[0], True)]
    assert rest.body["has_more"] is False
    unknown = await library("GET", "/grants", params={"starting_after": str(uuid4())})
    assert (unknown.status, unknown.body["error"]["code"]) == (400, "cursor_unknown")


async def test_the_shelves_are_bounded(library: Caller) -> None:
    for _ in range(MAX_RECORDS):
        await library("PUT", f"/grants/{uuid4()}", GRANT)
    full = await library("PUT", f"/grants/{uuid4()}", GRANT)
    assert (full.status, full.body["error"]["code"]) == (429, "simulator_full")


@pytest.mark.parametrize("game_id", ["game-1", "game-500"])
async def test_a_game_has_a_title_and_prices(catalog: Caller, game_id: str) -> None:
    game = (await catalog("GET", f"/games/{game_id}")).body
    assert (game["id"], game["available"]) == (game_id, True)
    assert set(game["prices"]) == {"EUR", "USD", "GBP", "JPY"}
    assert all(isinstance(price, int) and price > 0 for price in game["prices"].values())
    assert (await catalog("GET", f"/games/{game_id}")).body == game


async def test_prices_do_not_change_between_runs(catalog: Caller) -> None:
    game = (await catalog("GET", "/games/game-1")).body
    assert (game["title"], game["prices"]["EUR"]) == ("Midnight Isle 1", 1499)


async def test_the_catalog_has_an_end(catalog: Caller) -> None:
    assert (await catalog("GET", "/games/game-501")).status == 404
    assert (await catalog("GET", "/games/game-0")).body["available"] is False
    page = (await catalog("GET", "/games", params={"limit": "500"})).body["data"]
    assert (page[0]["id"], page[-1]["id"], len(page)) == ("game-1", "game-500", 500)
    assert (await catalog("GET", "/games", params={"limit": "501"})).status == 400
