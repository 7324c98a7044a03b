"""A cache that somebody else writes to: it costs speed, and never a price or an hour of waiting."""

import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from scripts.platform.client import Client
from scripts.platform.embedded import Valkey
from tests.integration.api.conftest import Api, Start

MALFORMED = 'cache_requests_total{{cache="{cache}",outcome="malformed"}}'

ASKED = 'integration_requests_total{integration="game_catalog",operation="get_game",outcome="ok"}'

PATIENT = {"CACHE_TIMEOUT_S": "5"}  # a busy machine must not make a miss of a malformed value


@pytest.fixture
async def api(start_api: Start) -> Api:
    return await start_api(**PATIENT)


@pytest.fixture
async def intruder(valkey: Valkey) -> AsyncIterator[Redis]:
    """Give a connection of somebody who has got into Valkey."""
    redis: Redis = Redis.from_url(valkey.url)
    yield redis
    await redis.aclose()


async def price(buyer: Client, game: str) -> int:
    """Order a game; return what it costs."""
    return int((await buyer.order([game]))["items"][0]["unit_price"])


async def keys_of(redis: Redis, game: str) -> list[bytes]:
    return [key async for key in redis.scan_iter(f"signed:game:*{game}")]


def cheap(game: str) -> bytes:
    return f'{{"id":"{game}","title":"Cheap","prices":{{"EUR":1}},"available":true}}'.encode()


@pytest.mark.parametrize("planted", [cheap("game-301"), b'{"x":', b"", b"\xff" * 40])
async def test_what_an_intruder_writes_is_a_miss_and_counted(
    api: Api, ada: Client, intruder: Redis, planted: bytes
) -> None:
    true_price = await price(ada, "game-301")
    for key in await keys_of(intruder, "game-301"):
        await intruder.set(key, planted, ex=60)
    before = api.counted(MALFORMED.format(cache="game"))
    assert await price(ada, "game-301") == true_price
    assert api.counted(MALFORMED.format(cache="game")) == before + bool(planted)


async def test_a_value_of_another_type_is_a_miss_and_no_outage(
    api: Api, ada: Client, intruder: Redis
) -> None:
    true_price = await price(ada, "game-302")
    for key in await keys_of(intruder, "game-302"):
        await intruder.delete(key)
        await intruder.rpush(key, "x")
    assert await price(ada, "game-302") == true_price
    assert api.counted(MALFORMED.format(cache="game")) == 1
    assert api.counted('cache_requests_total{cache="game",outcome="error"}') == 0


async def test_a_true_entry_of_another_game_is_a_miss(
    api: Api, ada: Client, intruder: Redis
) -> None:
    prices = {game: await price(ada, game) for game in ("game-303", "game-304")}
    assert len(set(prices.values())) == 2
    [first], [second] = [await keys_of(intruder, game) for game in prices]
    value = await intruder.get(first)
    assert value is not None
    await intruder.set(second, value, ex=60)
    assert await price(ada, "game-304") == prices["game-304"]
    assert api.counted(MALFORMED.format(cache="game")) == 1


async def test_a_true_entry_is_worth_nothing_after_its_time(
    start_api: Start, intruder: Redis
) -> None:
    api = await start_api(**PATIENT, GAME_CACHE_TTL_S="0.2")
    async with api.client() as buyer:
        await price(buyer, "game-305")
        [key] = await keys_of(intruder, "game-305")
        value = await intruder.get(key)
        assert value is not None
        deadline = time.monotonic() + 10
        while (asked := api.counted(ASKED)) == 1:  # the intruder shows it again and again
            assert time.monotonic() < deadline
            await intruder.set(key, value)
            await price(buyer, "game-305")
    assert asked == 2
    await intruder.delete(key)


@pytest.mark.parametrize("planted", ["1e300", "-1e300", "nan", "inf", "x", ""])
async def test_a_counter_out_of_bounds_never_makes_anybody_wait_for_long(
    start_api: Start, intruder: Redis, planted: str
) -> None:
    api = await start_api(**PATIENT, RATE_LIMIT_USER="2", RATE_LIMIT_ADDRESS="0")
    user = f"hostile-{planted}"
    async with api.client(user) as buyer:
        await buyer.call("GET", "/v1/orders")
        [key] = [key async for key in intruder.scan_iter(f"rate:user:{user}")]
        await intruder.set(key, planted, ex=60)
        replies = [await buyer.call("GET", "/v1/orders") for _ in range(4)]
        await intruder.delete(key)
    assert {reply.status for reply in replies} <= {200, 429}
    waits = [int(reply.headers["Retry-After"]) for reply in replies if reply.status == 429]
    assert waits
    assert all(1 <= wait <= 30 for wait in waits)
    assert api.counted(MALFORMED.format(cache="rate_limit")) >= 1


async def test_a_counter_of_another_type_is_counted_anew(start_api: Start, intruder: Redis) -> None:
    api = await start_api(**PATIENT, RATE_LIMIT_USER="2", RATE_LIMIT_ADDRESS="0")
    await intruder.rpush("rate:user:hostile-list", "x")
    async with api.client("hostile-list") as buyer:
        statuses = [(await buyer.call("GET", "/v1/orders")).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert api.counted('cache_requests_total{cache="rate_limit",outcome="error"}') == 0
    await intruder.delete("rate:user:hostile-list")


async def test_an_unknown_game_is_remembered_for_a_short_time(api: Api, ada: Client) -> None:
    body = {"currency": "EUR", "items": [{"game_id": "nothing-like-it-either"}]}
    for _ in range(3):
        (await ada.call("POST", "/v1/orders", json=body)).expect(422)
    assert api.counted(ASKED) == 1


async def test_the_release_before_finds_nothing_that_it_cannot_read(
    ada: Client, intruder: Redis
) -> None:
    """Both run at once in a rollout, with one cache; the older keeps JSON under this name."""
    await intruder.delete("game:game-309")
    await price(ada, "game-309")
    assert await keys_of(intruder, "game-309")
    assert await intruder.get("game:game-309") is None
