"""Rate limits by address and by user, both in one call of a script."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from redis import asyncio as redis

WINDOW_S = 60
MICROSECONDS = 1_000_000
CONNECTIONS = 64  # requests beyond wait for one; without a pool that waits they would fail
TIMEOUT_S = 10


class Quota:
    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self.interval = max(1, WINDOW_S * MICROSECONDS // limit)
        self.window = self.interval * limit
        self.policy = f'"{name}";q={limit};w={WINDOW_S}'


class Quotas:
    def __init__(self, client: "redis.Redis", script: str) -> None:
        self._script = client.register_script(script)
        self._address = Quota("address", int(os.environ["RATE_LIMIT_ADDRESS"]))
        self._user = Quota("user", int(os.environ["RATE_LIMIT_USER"]))

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, script: str) -> AsyncIterator[Self]:
        pool = redis.BlockingConnectionPool.from_url(
            url, max_connections=CONNECTIONS, timeout=TIMEOUT_S
        )
        async with redis.Redis.from_pool(pool) as client:
            yield cls(client, script)

    async def take(self, address: str, user: str | None) -> tuple[int, dict[str, str]]:
        """Take a request from its buckets; return the seconds to wait, and the answer's headers."""
        applied = [(self._address, address)]
        if user is not None:
            applied.append((self._user, user))
        keys = [f"rate:{quota.name}:{who}" for quota, who in applied]
        arguments = [n for quota, _ in applied for n in (quota.interval, quota.window)]
        counts = await self._script(keys=keys, args=arguments)
        standing = [
            f'"{quota.name}";r={max(0, counts[3 * at + 1])};t={_seconds(counts[3 * at + 2])}'
            for at, (quota, _) in enumerate(applied)
        ]
        headers = {
            "RateLimit-Policy": ", ".join(quota.policy for quota, _ in applied),
            "RateLimit": ", ".join(standing),
        }
        return _seconds(max(counts[::3])), headers


def _seconds(microseconds: int) -> int:
    return -(-microseconds // MICROSECONDS)
