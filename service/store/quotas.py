"""Who may do how much in a while: the counts behind the rate limits.

Each key has a bucket of `quota` requests that refills evenly over a window. What is stored is one
number, the moment at which the bucket is full again (the generic cell rate algorithm, ITU-T I.371);
a request moves it by the time that one takes to refill.

Requests that wait while Valkey is asked share the next question, so the price of a round trip is
shared by all of them. Without Valkey each process counts for itself.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final

from service.quota import MICROSECONDS, Count, Counts, Demands, Quota
from service.store.batch import Batcher
from service.store.cache import Cache

CACHE: Final = "rate_limit"
MAX_REQUESTS: Final = 64
"""That share a round trip: 128 keys, which Valkey goes through in less than 0.1 ms."""
MAX_WAITING: Final = 10_000
MAX_KEYS: Final = 10_000
"""That a process remembers: those that have used up their quota, and all while Valkey is away."""

SCRIPT: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local answer, key, arg, malformed = {}, 1, 1, 0
local function stored(name, most)
  local found = redis.pcall('GET', name)
  if not found then return now end
  local full = type(found) == 'string' and tonumber(found) or nil
  if full and full >= 0 and full <= most then return full end
  malformed = malformed + 1
  return full and full > most and most or now
end
while arg <= #ARGV do
  local count, allowed, full, retry = tonumber(ARGV[arg]), true, {}, {}
  for i = 0, count - 1 do
    local interval, window = tonumber(ARGV[arg + 1 + 2 * i]), tonumber(ARGV[arg + 2 + 2 * i])
    full[i] = math.max(now, stored(KEYS[key + i], now + window))
    retry[i] = math.max(0, full[i] + interval - now - window)
    allowed = allowed and retry[i] == 0
  end
  for i = 0, count - 1 do
    local interval, window = tonumber(ARGV[arg + 1 + 2 * i]), tonumber(ARGV[arg + 2 + 2 * i])
    if allowed then
      full[i] = full[i] + interval
      local lifetime = math.ceil((full[i] - now) / 1000)
      redis.call('SET', KEYS[key + i], string.format('%.0f', full[i]), 'PX', lifetime)
    end
    answer[#answer + 1] = retry[i]
    answer[#answer + 1] = math.floor((window - (full[i] - now)) / interval)
    answer[#answer + 1] = full[i] - now
  end
  key, arg = key + count, arg + 1 + 2 * count
end
answer[#answer + 1] = malformed
return answer
"""
"""Requests one after the other; one that any of its keys refuses takes nothing from the others.

Others may write to Valkey, or its clock may have been set back: a moment beyond the window counts
as an empty bucket, and what is no number as a full one. The last number is how many there were.
"""


class Local:
    """The counts of one process, in memory: what the script does, with Python's clock."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us = now_us
        self._full: OrderedDict[str, int] = OrderedDict()

    def take(self, demands: Demands) -> Counts:
        """Count one request."""
        now = self._now_us()
        full = [max(now, self._full.get(key, 0)) for key, _ in demands]
        retry = [
            max(0, at + quota.interval_us - now - quota.window_us)
            for at, (_, quota) in zip(full, demands, strict=True)
        ]
        if not any(retry):
            full = [at + quota.interval_us for at, (_, quota) in zip(full, demands, strict=True)]
            for at, (key, _) in zip(full, demands, strict=True):
                self._remember(key, at)
        return tuple(
            Count(wait, (quota.window_us - (at - now)) // quota.interval_us, at - now)
            for wait, at, (_, quota) in zip(retry, full, demands, strict=True)
        )

    def _remember(self, key: str, at: int) -> None:
        self._full[key] = at
        self._full.move_to_end(key)
        if len(self._full) > MAX_KEYS:
            self._full.popitem(last=False)


class Quotas:
    """Counts requests, with all processes together if there is a Valkey to ask."""

    def __init__(self, cache: Cache, now: Callable[[], float] = time.monotonic) -> None:
        self._cache = cache
        self._now = now
        self._local = Local(self._now_us)
        self._refused: OrderedDict[str, int] = OrderedDict()
        self._batches: Batcher[Demands, Counts] = Batcher(
            self._ask,
            conflict_keys=lambda _demands: (),
            max_items=MAX_REQUESTS,
            max_queue=MAX_WAITING,
            lanes=1,
        )

    async def take(self, demands: Demands) -> Counts:
        """Count one request under all its keys, or under none if one of them refuses it."""
        now = self._now_us()
        for index, (key, _) in enumerate(demands):
            until = self._refused.get(key, 0)
            if until > now:
                # Nothing but time changes a refusal, so a flood need not be asked about.
                return _refused(len(demands), index, until - now)
        counts = await self._batches.submit(demands)
        for (key, _), count in zip(demands, counts, strict=True):
            if count.retry_us:
                self._refuse(key, now + count.retry_us)
        return counts

    def _now_us(self) -> int:
        return int(self._now() * MICROSECONDS)

    async def close(self, timeout_s: float) -> None:
        """Let those that wait be counted, then close the connection."""
        await self._batches.close(timeout_s)
        await self._cache.close()

    async def _ask(self, requests: Sequence[Demands]) -> Sequence[Counts]:
        keys = [key for demands in requests for key, _ in demands]
        arguments: list[int] = []
        for demands in requests:
            arguments.append(len(demands))
            for _, quota in demands:
                arguments += (quota.interval_us, quota.window_us)
        answer = await self._cache.run(CACHE, SCRIPT, keys, arguments)
        if answer is None:
            return [self._local.take(demands) for demands in requests]
        quotas = [quota for demands in requests for _, quota in demands]
        checked = _checked(answer, quotas)
        if checked is None or answer[-1] != 0:
            self._cache.malformed(CACHE)
        if checked is None:
            return [self._local.take(demands) for demands in requests]
        counts = iter(checked)
        return [tuple(next(counts) for _ in demands) for demands in requests]

    def _refuse(self, key: str, until_us: int) -> None:
        self._refused[key] = until_us
        self._refused.move_to_end(key)
        if len(self._refused) > MAX_KEYS:
            self._refused.popitem(last=False)


def _checked(answer: Any, quotas: Sequence[Quota]) -> list[Count] | None:
    """Return the counts in what Valkey answered, each within its quota; None if it is none."""
    if not isinstance(answer, list) or len(answer) != 3 * len(quotas) + 1:
        return None
    if not all(isinstance(number, int) for number in answer):
        return None
    counts = [Count(*answer[at : at + 3]) for at in range(0, 3 * len(quotas), 3)]
    fit = all(map(_is_within, counts, quotas))
    return counts if fit else None


def _is_within(count: Count, quota: Quota) -> bool:
    return (
        0 <= count.retry_us <= quota.interval_us
        and 0 <= count.remaining <= quota.limit
        and 0 <= count.full_us <= quota.window_us
    )


def _refused(count: int, index: int, retry_us: int) -> Counts:
    return tuple(Count(retry_us if at == index else 0, 0, retry_us) for at in range(count))
