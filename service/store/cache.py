"""The cache; the only import of redis. Losing it costs speed and nothing else.

Others may be able to write to it: what comes from there is checked like input. Values are signed
(service/store/signing.py), and what is not ours counts as `malformed` and is a miss.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError
from redis.retry import Retry

from service.logs import get_logger
from service.store.signing import ForgedError, Signer

MAX_CONNECTIONS: Final = 32
PAUSE_AFTER_ERROR_S: Final = 2.0
"""A cache that failed is left alone this long, so that its time-outs don't slow every request."""

MAX_VALUE_BYTES: Final = 16_384
"""A game has about 200 bytes; whatever is longer is not ours, and not read to its end."""

_OTHER_TYPE: Final = "WRONGTYPE"
"""How Valkey's answer begins when there is a list, say, under the key of a string."""

Observe = Callable[[str, str], None]
"""Called with the cache's name and `hit`, `miss`, `malformed` or `error`."""

_log = get_logger(__name__)


SIGNED: Final = "signed"
"""Begins the names of signed values. The release before keeps its own, unsigned, without it, and
fails at one of ours while both run."""


class Cache:
    """Bytes by (cache, key), each with a time to live. Without a signer it keeps no values."""

    def __init__(
        self,
        url: str,
        timeout_s: float,
        observe: Observe,
        *,
        signer: Signer | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._timeout_s = timeout_s
        self._observe = observe
        self._signer = signer
        self._now = now
        self._silent_until = 0.0
        self._redis = _connect(url, timeout_s) if url else None
        self._scripts: dict[str, AsyncScript] = {}

    async def close(self) -> None:
        """Close the connections."""
        if self._redis is not None:
            await self._redis.aclose()

    async def ping(self) -> bool:
        """Return whether the cache answers."""
        if self._redis is None:
            return False
        try:
            async with asyncio.timeout(self._timeout_s):
                return bool(await self._redis.ping())
        except (RedisError, OSError, TimeoutError):
            return False

    async def get(self, cache: str, key: str) -> bytes | None:
        """Return what we have stored, or None: not there, not ours, or nobody to ask."""
        if self._redis is None or self._signer is None or time.monotonic() < self._silent_until:
            return None
        name = f"{SIGNED}:{cache}:{key}"
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await self._redis.getrange(name, 0, MAX_VALUE_BYTES)
            signed = found.encode() if isinstance(found, str) else found
            value = self._signer.read(name, signed, now_s=self._now()) if signed else None
        except (RedisError, OSError, TimeoutError, ForgedError) as error:
            if isinstance(error, ForgedError) or str(error).startswith(_OTHER_TYPE):
                self.malformed(cache)
            else:
                self._failed(cache)
            return None
        self._observe(cache, "miss" if value is None else "hit")
        return value

    async def put(self, cache: str, key: str, value: bytes, ttl_s: float) -> None:
        """Store for `ttl_s` seconds, if the cache answers."""
        if self._redis is None or self._signer is None or time.monotonic() < self._silent_until:
            return
        name = f"{SIGNED}:{cache}:{key}"
        signed = self._signer.sign(name, value, until_s=self._now() + ttl_s)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._redis.set(name, signed, px=max(1, int(ttl_s * 1_000)))
        except (RedisError, OSError, TimeoutError):
            self._failed(cache)

    def malformed(self, cache: str) -> None:
        """Count something that can't be ours."""
        self._observe(cache, "malformed")
        _log.warning("cache_value_malformed", cache=cache)

    async def run(
        self, cache: str, script: str, keys: Sequence[str], arguments: Sequence[int]
    ) -> Any | None:
        """Return what a Lua script answers, in one round trip, or None: nobody to ask."""
        if self._redis is None or time.monotonic() < self._silent_until:
            return None
        if script not in self._scripts:
            self._scripts[script] = self._redis.register_script(script)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._scripts[script](keys=keys, args=arguments)
        except (RedisError, OSError, TimeoutError):
            self._failed(cache)
            return None

    def _failed(self, cache: str) -> None:
        self._silent_until = time.monotonic() + PAUSE_AFTER_ERROR_S
        self._observe(cache, "error")


def _connect(url: str, timeout_s: float) -> Redis:
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=MAX_CONNECTIONS,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )
    return Redis(connection_pool=pool)
