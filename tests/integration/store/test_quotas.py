"""Counts of requests: with Valkey, without it, and the same either way."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.platform import embedded
from scripts.platform.embedded import Valkey
from service.quota import Count, Demands, Quota
from service.store import quotas as module
from service.store.cache import Cache
from service.store.quotas import Local, Quotas

MINUTE = 60_000_000
FIVE = Quota(5, 60)
Connect = Callable[[str], Quotas]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    made: list[Quotas] = []

    def start(url: str) -> Quotas:
        quotas = Quotas(Cache(url, 1.0, lambda _cache, _outcome: None))
        made.append(quotas)
        return quotas

    yield start
    for quotas in made:
        await quotas.close(1.0)


def key() -> str:
    return uuid4().hex


async def allowed(quotas: Quotas, demands: Demands, times: int) -> int:
    counts = await asyncio.gather(*(quotas.take(demands) for _ in range(times)))
    return sum(all(count.retry_us == 0 for count in each) for each in counts)


async def test_processes_share_a_quota_to_the_last_request(
    valkey: Valkey, connect: Connect
) -> None:
    first, second = connect(valkey.url), connect(valkey.url)
    demands = ((key(), Quota(50, 3_600)),)  # an hour, so that nothing refills meanwhile
    assert sum(await asyncio.gather(*(allowed(q, demands, 40) for q in (first, second)))) == 50


async def test_what_is_left_and_when_is_told(valkey: Valkey, connect: Connect) -> None:
    quotas, demands = connect(valkey.url), ((key(), FIVE),)
    counts = [(await quotas.take(demands))[0] for _ in range(6)]
    assert [count.remaining for count in counts[:5]] == [4, 3, 2, 1, 0]
    assert [count.retry_us == 0 for count in counts] == [True] * 5 + [False]
    assert counts[0].full_us == MINUTE // 5
    assert MINUTE - 5_000_000 < counts[4].full_us <= MINUTE
    assert MINUTE // 5 - 5_000_000 < counts[5].retry_us <= MINUTE // 5


async def test_a_request_that_one_key_refuses_takes_nothing_from_the_other(
    valkey: Valkey, connect: Connect
) -> None:
    quotas, user, address = connect(valkey.url), key(), key()
    demands = ((user, Quota(1, 60)), (address, FIVE))
    assert await allowed(quotas, demands, 10) == 1
    assert await allowed(quotas, ((address, FIVE),), 10) == 4


async def test_a_refused_key_is_not_asked_about_again(
    valkey: Valkey, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    run = Cache.run

    async def counting(self: Cache, *arguments: object) -> object:
        asked.append(1)
        return await run(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Cache, "run", counting)
    quotas, demands = connect(valkey.url), ((key(), Quota(1, 60)),)
    await allowed(quotas, demands, 2)
    before = len(asked)
    assert await allowed(quotas, demands, 100) == 0
    assert len(asked) == before
    assert before <= 2


async def test_requests_that_wait_share_a_round_trip(
    valkey: Valkey, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    run = Cache.run

    async def measuring(
        self: Cache, cache: str, script: str, keys: list[str], args: list[int]
    ) -> object:
        sizes.append(len(keys))
        return await run(self, cache, script, keys, args)

    monkeypatch.setattr(Cache, "run", measuring)
    quotas = connect(valkey.url)
    assert await allowed(quotas, ((key(), Quota(1_000, 60)),), 300) == 300
    assert sum(sizes) == 300
    assert len(sizes) <= -(-300 // module.MAX_REQUESTS) + 1


async def test_it_refills_evenly(valkey: Valkey, connect: Connect) -> None:
    quotas, demands = connect(valkey.url), ((key(), Quota(20, 20)),)  # one a second
    assert await allowed(quotas, demands, 30) == 20
    waits = []
    while wait_us := (await quotas.take(demands))[0].retry_us:
        waits.append(wait_us)
        await asyncio.sleep(wait_us / 1e6)  # what is tested is the passing of time
    assert 0 < waits[0] <= 1_000_000
    assert sum(waits[1:]) < 100_000, "Valkey's wall clock may be slower than ours, by a little"


async def test_keys_leave_valkey_when_their_buckets_are_full(
    valkey: Valkey, connect: Connect
) -> None:
    quotas, name = connect(valkey.url), key()
    await quotas.take(((name, Quota(1_000, 1)),))
    deadline = time.monotonic() + 5
    cache = Cache(valkey.url, 1.0, lambda _cache, _outcome: None)
    try:
        assert cache._redis is not None
        while await cache._redis.exists(name):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.001)
    finally:
        await cache.close()


async def test_without_valkey_a_process_counts_for_itself(connect: Connect) -> None:
    for url in ("", f"redis://127.0.0.1:{embedded.free_port()}"):
        quotas, demands = connect(url), ((key(), FIVE),)
        assert await allowed(quotas, demands, 20) == 5


async def test_losing_valkey_loses_no_request(tmp_path: Path, connect: Connect) -> None:
    demands = ((key(), FIVE),)
    with embedded.valkey(tmp_path, environ={}) as server:
        quotas = connect(server.url)
        assert await allowed(quotas, demands, 3) == 3
    assert await allowed(quotas, demands, 20) == 5  # its own count begins anew


async def test_memory_is_bounded(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEYS", 10)
    quotas = connect("")
    for _ in range(50):
        await allowed(quotas, ((key(), Quota(1, 60)),), 2)
    assert len(quotas._local._full) == len(quotas._refused) == 10


@given(
    limit=st.integers(1, 1_000),
    window_s=st.integers(1, 3_600),
    pauses=st.lists(st.integers(0, 10_000_000), max_size=50),
)
def test_no_window_sees_more_than_a_bucket_and_its_refill(
    limit: int, window_s: int, pauses: list[int]
) -> None:
    now, quota = [0], Quota(limit, window_s)
    local = Local(lambda: now[0])
    taken = 0
    for pause in pauses:
        now[0] += pause
        (count,) = local.take((("k", quota),))
        taken += count.retry_us == 0
        assert taken <= limit + now[0] // quota.interval_us
        assert 0 <= count.remaining < limit
    assert local.take((("other", quota),))[0].retry_us == 0


@given(steps=st.lists(st.sampled_from(["a", "b", "ab"]), max_size=30))
async def test_the_script_and_python_count_alike(valkey: Valkey, steps: list[str]) -> None:
    prefix, hour = key(), 3_600
    quota = {"a": Quota(3, hour), "b": Quota(7, hour)}
    local = Local(lambda: 0)
    quotas = Quotas(Cache(valkey.url, 1.0, lambda _cache, _outcome: None))
    try:
        for step in steps:
            demands = tuple((prefix + name, quota[name]) for name in step)
            (asked,) = await quotas._ask([demands])
            assert [rough(each) for each in asked] == [rough(each) for each in local.take(demands)]
    finally:
        await quotas.close(1.0)


def rough(count: Count) -> tuple[bool, int, int]:
    """Leave out the seconds that pass while the test runs; an hour's quota doesn't notice."""
    return count.retry_us > 0, count.remaining, round(count.full_us / 3e8)


@pytest.mark.parametrize(
    "answer",
    [
        None, [], [0, 4, 0], "OK", b"\x00", [0, 4, 0, 0, 0], [0, 4, b"0", 0], [-1, 4, 0, 0],
        [10**18, 0, 0, 0], [0, 10**18, 0, 0], [0, 0, 10**18, 0], [0, 0, -(2**63), 0],
    ],
    ids=str,
)  # fmt: skip
async def test_a_server_that_answers_nonsense_is_not_believed(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, answer: object
) -> None:
    async def lying(*_: object) -> object:
        return answer

    monkeypatch.setattr(Cache, "run", lying)
    assert await allowed(connect(""), ((key(), FIVE),), 20) == 5
