"""Customers in a pod, who buy one game each at a steady rate; needs aiohttp and PyJWT alone.

    JWT_SECRET=… JWT_ISSUER=… JWT_AUDIENCE=… python buyers.py URL RATE

Each customer is another user, because nobody buys a game twice. Each try of a request is a line of
JSON on stdout: `at` (seconds since 1970, of its answer), `ok`, `seconds`, and `why` if it failed. A
customer repeats a request under the same key until it is answered for good, each time after twice
the pause. SIGTERM ends the sales; those that have begun go on to their end. The last line holds
`orders`, as they were paid.
"""

import asyncio
import json
import os
import signal
import sys
import time
from itertools import count
from typing import Any
from uuid import uuid4

import aiohttp
import jwt

TRY_TIMEOUT_S = 10.0
TTL_S = 3_600
PATIENCE_S = 900.0
END_S = 120.0
PAUSE_S = 0.25
LONGEST_PAUSE_S = 10.0
CONCURRENT = 400  # beyond that nobody new comes: the service is down anyway
ORDER = {"currency": "EUR", "items": [{"game_id": "game-1", "quantity": 1}]}


class Buyers:
    """Those of one session; every second one uses a new connection for each request."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self.orders: list[str] = []
        self.lost = 0

    async def buy(self, *, anew: bool) -> None:
        """Buy one game; what nobody has thought of is a purchase that was lost."""
        headers = {"Authorization": f"Bearer {token_of(f'user-{uuid4()}')}"}
        try:
            await self._buy({**headers, **({"Connection": "close"} if anew else {})})
        except Exception as error:  # noqa: BLE001  whatever it is, it is to be seen
            self.lost += 1
            say({"at": time.time(), "ok": False, "seconds": 0, "why": f"bug: {error!r}"})

    async def _buy(self, headers: dict[str, str]) -> None:
        order = await self._surely("/v1/orders", ORDER, headers)
        if order is None:
            return
        body = {"order_id": order["id"], "provider": "simulator"}
        payment = await self._surely("/v1/payments", body, headers)
        if payment is not None:
            self.orders.append(order["id"])

    async def _surely(
        self, path: str, body: object, common: dict[str, str]
    ) -> dict[str, Any] | None:
        headers = {**common, "Idempotency-Key": str(uuid4())}
        until, pause_s = time.monotonic() + PATIENCE_S, PAUSE_S
        while time.monotonic() < until:
            answer = await self._try(path, body, headers)
            if answer is not None:
                return answer
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        self.lost += 1
        return None

    async def _try(self, path: str, body: object, headers: dict[str, str]) -> dict[str, Any] | None:
        began, why, answer = time.monotonic(), "", None
        try:
            async with self._session.post(self._url + path, json=body, headers=headers) as reply:
                text = await reply.text()
                if reply.status in (201, 202):
                    answer = json.loads(text)
                else:
                    why = f"{reply.status} {text[:200]}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = repr(error)[:200]
        say({"at": time.time(), "ok": not why, "seconds": time.monotonic() - began, "why": why})
        return answer


def token_of(user: str) -> str:
    """Return a token that is valid for longer than any load lasts."""
    now = int(time.time())
    claims = {
        "sub": user,
        "scope": "payments:read payments:write",
        "iss": os.environ["JWT_ISSUER"],
        "aud": os.environ["JWT_AUDIENCE"],
        "iat": now,
        "exp": now + TTL_S,
    }
    return jwt.encode(claims, os.environ["JWT_SECRET"], algorithm="HS256")


def say(line: object) -> None:
    sys.stdout.write(f"{json.dumps(line)}\n")
    sys.stdout.flush()


async def main() -> None:
    url, rate = sys.argv[1], float(sys.argv[2])
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    connector = aiohttp.TCPConnector(limit=CONCURRENT)
    timeout = aiohttp.ClientTimeout(total=TRY_TIMEOUT_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        buyers = Buyers(session, url)
        under_way: set[asyncio.Task[None]] = set()
        began = loop.time()
        for number in count():
            if len(under_way) < CONCURRENT:
                task = asyncio.create_task(buyers.buy(anew=bool(number % 2)))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            try:
                wait_s = began + (number + 1) / rate - loop.time()
                await asyncio.wait_for(stop.wait(), max(wait_s, 0))
                break
            except TimeoutError:
                continue
        if under_way:
            await asyncio.wait(under_way, timeout=END_S)
        say({"orders": buyers.orders, "lost": buyers.lost + len(under_way)})


if __name__ == "__main__":
    asyncio.run(main())
