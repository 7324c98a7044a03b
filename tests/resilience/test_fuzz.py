"""Bytes that no client of ours would send, on real sockets, where parsers differ most."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from yarl import URL

from service.providers.signature import HEADER, sign
from tests.integration.api.conftest import Api, Start
from tests.resilience.conftest import Say
from tests.support.services import SIMULATOR_SECRETS, bearer

Value = TypeVar("Value")
EXAMPLES: Final = {"short": 150, "long": 5_000}
SECRET: Final = SIMULATOR_SECRETS["SIMULATOR_WEBHOOK_SECRETS"]
ANSWER_S: Final = 10.0
PATIENCE_S: Final = 0.2
"""Of a client that hangs up; an answer to what is whole takes milliseconds."""

ODD = st.sampled_from(
    (
        *(b"", b"\0", b"\r", b"\n", b"\r\n X: y", b"\x85", b"\xff\xfe", b'"', b";", b"%0d%0a"),
        *(b"a" * 9_000, b"' OR 1=1 --", b"\t a", b"a b", b"a,b"),
        *("ключ".encode(), "\u202e\u0000".encode()),
    )
)
HEADER_VALUES = st.one_of(st.binary(max_size=300), ODD, st.lists(ODD, max_size=3).map(b"".join))

WORDS = st.sampled_from(
    ["id", "type", "data", "object", "charge", "refund", "reference", "status", "metadata",
     "idempotency_key", "payment_intent", "evt_1", "ch_1", "succeeded", "\0", "x" * 300]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=25,
)
CHARGES = st.dictionaries(WORDS, JSON, max_size=6).map(
    lambda more: {"object": "charge", "id": "ch_1", **more}
)
BODIES = st.one_of(
    st.binary(max_size=400),
    JSON.map(lambda value: json.dumps(value).encode()),
    CHARGES.map(
        lambda record: json.dumps({"id": "e", "type": "t", "data": {"object": record}}).encode()
    ),
)


FRAMINGS = st.sampled_from(
    [("Transfer-Encoding", b"chunked"), ("Transfer-Encoding", b"gzip, chunked"),
     ("Content-Encoding", b"gzip"), ("Content-Encoding", b"identity"), ("Content-Length", b"9"),
     ("Content-Length", b"-1"), ("Expect", b"100-continue"), ("Upgrade", b"websocket"),
     ("Connection", b"Upgrade")]
)  # fmt: skip
CHUNKS = st.lists(
    st.sampled_from(
        [b"4\r\n{}  \r\n", b"0\r\n\r\n", b"zz\r\n", b"-1\r\n", b"ffffffffffffffffff\r\n", b"\0",
         b"{}", b"\x1f\x8b", b"5;x=y\r\nabcde\r\n", b"3\r\nabcdef\r\n"]
    ),
    max_size=5,
).map(b"".join)  # fmt: skip
PATHS = st.sampled_from(["/v1/webhooks/simulator", "/v1/orders", "/nope", "/openapi.json"])


async def sent(url: str, path: str, headers: Sequence[tuple[str, bytes]], body: bytes) -> int:
    """Send a request as it is written, byte for byte; return the status, 0 if there is none."""
    where = URL(url)
    reader, writer = await asyncio.open_connection(str(where.host), where.port)
    try:
        lines = [f"POST {path} HTTP/1.1".encode(), b"Host: x", b"Connection: close"]
        lines += [name.encode() + b": " + value for name, value in headers]
        lines += [b"Content-Type: application/json", b"Content-Length: %d" % len(body)]
        writer.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        async with asyncio.timeout(ANSWER_S):
            status = await reader.readline()
            await reader.read()
        return int(status.split()[1]) if status else 0
    finally:
        writer.close()


async def each(
    depth: str, values: st.SearchStrategy[Value], act: Callable[[Value], Awaitable[int]]
) -> set[int]:
    """Act on many values; return the statuses that came back."""
    drawn: list[Value] = []

    @settings(
        max_examples=EXAMPLES[depth],
        derandomize=depth == "short",
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(values)
    def draw(value: Value) -> None:
        drawn.append(value)

    draw()
    return {await act(value) for value in drawn}


@pytest.fixture
async def quiet_api(start_api: Start) -> Api:
    return await start_api(RATE_LIMIT_WEBHOOKS="0")


async def test_no_idempotency_key_does_harm(quiet_api: Api, depth: str, say: Say) -> None:
    async with quiet_api.client() as ada:
        order = await ada.order(["game-1"])
    body = json.dumps({"order_id": order["id"]}).encode()
    token = ("Authorization", f"Bearer {bearer('ada')}".encode())
    statuses = await each(
        depth,
        st.lists(HEADER_VALUES, max_size=2),
        lambda values: sent(
            quiet_api.url,
            "/v1/payments",
            [token, *(("Idempotency-Key", value) for value in values)],
            body,
        ),
    )
    assert statuses <= {201, 400, 409, 422, 431}, statuses
    assert len((await quiet_api.simulator.state())["charges"]) <= 1
    await quiet_api.sound()
    say(f"{EXAMPLES[depth]} idempotency keys; statuses {sorted(statuses)}")


async def test_no_webhook_does_harm(quiet_api: Api, depth: str, say: Say) -> None:
    """Signed as if a provider's own system had gone mad."""

    async def deliver(body: bytes) -> int:
        at_s = int(time.time())
        header = (HEADER, f"t={at_s},v1={sign(SECRET, at_s, body)}".encode())
        return await sent(quiet_api.url, "/v1/webhooks/simulator", [header], body)

    statuses = await each(depth, BODIES, deliver)
    assert statuses <= {200, 400, 413}, statuses
    assert {200, 400} <= statuses
    await quiet_api.sound()
    say(f"{EXAMPLES[depth]} signed webhooks; statuses {sorted(statuses)}")


async def test_no_framing_is_our_failure(quiet_api: Api, depth: str, say: Say) -> None:
    """Each client loses its patience: what still waits for a body learns of that at once."""

    async def deliver(drawn: tuple[str, list[tuple[str, bytes]], bytes]) -> int:
        path, framings, body = drawn
        return await sent_and_left(quiet_api.url, path, framings, body)

    drawn = st.tuples(PATHS, st.lists(FRAMINGS, max_size=3), CHUNKS)
    statuses = await each(depth, drawn, deliver)
    assert statuses <= {0, 100, 400, 401, 404, 405, 413, 415, 417}, statuses
    assert {400, 404, 415} <= statuses
    counted = quiet_api.context.metrics.exposition().decode().splitlines()
    assert not [line for line in counted if line.startswith("http_requests_total") and
                'status="5' in line]  # fmt: skip
    say(f"{EXAMPLES[depth]} framings; statuses {sorted(statuses)}")


async def sent_and_left(
    url: str, path: str, headers: Sequence[tuple[str, bytes]], body: bytes
) -> int:
    """Send a request without a word on its length but `headers`; hang up if there is no answer."""
    where = URL(url)
    reader, writer = await asyncio.open_connection(str(where.host), where.port)
    try:
        lines = [f"POST {path} HTTP/1.1".encode(), b"Host: x"]
        lines += [name.encode() + b": " + value for name, value in headers]
        writer.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        async with asyncio.timeout(PATIENCE_S):
            status = await reader.readline()
        return int(status.split()[1]) if status else 0
    except (TimeoutError, ConnectionError):
        return 0
    finally:
        writer.close()


async def test_no_signature_is_taken_but_the_right_one(quiet_api: Api, depth: str) -> None:
    body = b'{"id": "evt_1", "type": "t", "data": {"object": {"object": "charge", "id": "ch_1"}}}'
    wrong = f"t={int(time.time())},v1={'0' * 64}".encode()
    near = st.sampled_from([wrong, b"t=1", b"v1=" + b"a" * 64])
    statuses = await each(
        depth,
        st.lists(st.one_of(HEADER_VALUES, near), max_size=3),
        lambda values: sent(
            quiet_api.url, "/v1/webhooks/simulator", [(HEADER, value) for value in values], body
        ),
    )
    assert statuses <= {400, 401, 431}, statuses
