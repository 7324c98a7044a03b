"""Bodies that are compressed, broken, slow or never end: the client's failure, and never ours."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from service.web.ops import METRICS
from tests.support.raw_http import RawConnection, bomb, connected, longest_stall, request
from tests.support.waiting import eventually
from tests.unit.service.web.sample_api import Client, Lines

STALL_S = 0.2
"""Of CPU; what was inflated before took two seconds and more."""
MEGABYTES = 1_000

ROUTES = [
    ("POST", "/nope"),
    ("POST", "/v1/raw"),
    ("POST", "/v1/things"),
    ("POST", "/v1/slow"),
    ("DELETE", "/v1/things"),
    ("GET", "/v1/things"),
    ("GET", "/health/live"),
]


@pytest.fixture
def url(client: Client) -> str:
    return str(client.make_url("/"))


def counted(app: web.Application) -> dict[tuple[str, str], float]:
    """Return how often each route got each status."""
    return {
        (sample.labels["route"], sample.labels["status"]): sample.value
        for family in app[METRICS].registry.collect()
        for sample in family.samples
        if sample.name == "http_requests_total"
    }


async def until_counted(app: web.Application, *expected: tuple[str, str]) -> None:
    async def look() -> dict[tuple[str, str], float]:
        return counted(app)

    assert await eventually(look) == dict.fromkeys(expected, 1)


def no_trace(log: Lines) -> bool:
    """Tell whether no line has a traceback or is an error."""
    return not [line for line in log() if "exception" in line or line["level"] == "error"]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_no_byte_of_a_bomb_is_inflated(url: str, log: Lines, method: str, path: str) -> None:
    body = bomb(MEGABYTES)
    async with connected(url) as connection, longest_stall() as stall:
        await connection.send(request(method, path, "Content-Encoding: gzip", body=body))
        answer = await connection.answer()
    assert (answer.status, answer.problem["code"]) == (415, "unsupported_media_type")
    assert answer.headers["accept-encoding"] == "identity"
    assert stall.longest_s < STALL_S
    assert no_trace(log)


@pytest.mark.parametrize(
    "line",
    [
        *(f"Content-Encoding: {coding}" for coding in ("gzip", "GZIP", "deflate", "br", "zstd")),
        "Content-Encoding: x-gzip",
        "Content-Encoding: identity, gzip",
        "Content-Encoding: identity\r\nContent-Encoding: gzip",
        "Content-Encoding: what-is-this",
        "Content-Encoding: \xe9",
    ],
)
async def test_every_coding_is_refused_wherever_it_stands(url: str, log: Lines, line: str) -> None:
    async with connected(url) as connection:
        await connection.send(request("POST", "/v1/raw", line, body=b"not compressed at all"))
        answer = await connection.answer()
    assert (answer.status, answer.problem["code"]) == (415, "unsupported_media_type")
    assert no_trace(log)


@pytest.mark.parametrize("coding", ["", "identity", "Identity , identity"])
async def test_no_coding_is_taken(url: str, coding: str) -> None:
    async with connected(url) as connection:
        line = f"Content-Encoding: {coding}"
        await connection.send(request("POST", "/v1/raw", line, body=b'{"a":1}'))
        answer = await connection.answer()
    assert (answer.status, answer.body) == (200, b'{"a":1}')


async def test_a_body_under_a_compressing_transfer_is_not_inflated(url: str, log: Lines) -> None:
    packed = bomb(MEGABYTES)
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed)
    async with connected(url) as connection, longest_stall() as stall:
        line = "Transfer-Encoding: gzip, chunked"
        await connection.send(request("POST", "/v1/things", line, body=body))
        assert 400 <= (await connection.answer()).status < 500
    assert stall.longest_s < STALL_S
    assert no_trace(log)


HALF = request("POST", "/v1/raw", "Content-Length: 100", body=b"x" * 50)
HALF_CHUNKED = request("POST", "/v1/raw", "Transfer-Encoding: chunked", body=b"5\r\nab")


@pytest.mark.parametrize("sent", [HALF, HALF_CHUNKED], ids=["length", "chunked"])
@pytest.mark.parametrize("end", ["close", "half-close", "reset"])
async def test_a_client_that_hangs_up_in_its_body_is_counted_as_such(
    app: web.Application, url: str, log: Lines, sent: bytes, end: str
) -> None:
    async with connected(url) as connection:
        await connection.send(sent)
        await asyncio.sleep(0.05)  # the server reads the head, and waits for the rest
        if end == "half-close":
            connection.writer.write_eof()
        elif end == "reset":
            connection.reset()
        else:
            connection.writer.close()
        await until_counted(app, ("/v1/raw", "499"))
    assert [line["status"] for line in log("http_request")] == [499]
    assert no_trace(log)


async def test_a_client_that_hangs_up_before_its_whole_body_is_read_is_counted_as_such(
    app: web.Application, url: str, log: Lines
) -> None:
    async with connected(url) as connection:
        await connection.send(request("POST", "/v1/raw", body=b"x" * 60_000))
        connection.reset()

        async def look() -> list[str]:
            return [status for _, status in counted(app)]

        [status] = await eventually(look)
        assert status in {"200", "499"}  # by how much had arrived before
    assert no_trace(log)


@pytest.mark.parametrize(
    "chunk",
    [b"zz\r\nab\r\n0\r\n\r\n", b"-5\r\nab\r\n", b"5\r\nabcdefgh\r\n0\r\n\r\n", b"\x00"],
    ids=["no number", "negative", "too long", "nul"],
)
@pytest.mark.parametrize("apart", [False, True])
async def test_a_body_that_is_no_http_is_a_bad_request(
    app: web.Application,
    url: str,
    log: Lines,
    chunk: bytes,
    apart: bool,  # noqa: FBT001
) -> None:
    head = request("POST", "/v1/raw", "Transfer-Encoding: chunked")
    async with connected(url) as connection:
        await connection.send(head if apart else head + chunk)
        if apart:
            await asyncio.sleep(0.05)  # the handler waits for the body
            await connection.send(chunk)
        answer = await connection.answer()
        assert (answer.status, answer.problem["code"]) == (400, "malformed_request")
        assert answer.headers["server"] == "coinslot"
        assert await connection.closed()
    assert not [status for _, status in counted(app) if status[0] == "5"]
    assert no_trace(log)


async def test_a_slow_body_is_the_clients_time_out(
    app: web.Application, url: str, log: Lines
) -> None:
    async with connected(url) as connection:
        started = asyncio.get_running_loop().time()
        await connection.send(request("POST", "/v1/raw", "Content-Length: 100"))
        dripping = asyncio.create_task(drip(connection))
        answer = await connection.answer()
        took_s = asyncio.get_running_loop().time() - started
        dripping.cancel()
        assert (answer.status, answer.problem["code"]) == (408, "request_body_timeout")
        assert answer.headers["connection"] == "close"
        assert await connection.closed()
    assert took_s < 10
    assert counted(app) == {("/v1/raw", "408"): 1}
    assert no_trace(log)


async def drip(connection: RawConnection) -> None:
    while True:
        await asyncio.sleep(0.3)  # the slowness is what is tested
        await connection.send(b"x")


JUNK = {
    "no method": b"BREW /pot HTTP/1.1\r\n\r\n",
    "tls": b"\x16\x03\x01 hello\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "long line": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "long header": request("GET", "/v1/things", "X-Big: " + "a" * 100_000),
    "many headers": request("GET", "/v1/things", *(f"X-{number}: 1" for number in range(1_000))),
    "two lengths": request("GET", "/v1/things", "Content-Length: 5", "Content-Length: 6"),
    "http 9": b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("kind", JUNK)
@pytest.mark.parametrize("before", [b"", request("GET", "/v1/things")], ids=["first", "second"])
async def test_what_is_no_http_gets_a_problem_document(
    app: web.Application, url: str, log: Lines, kind: str, before: bytes
) -> None:
    async with connected(url) as connection:
        if before:
            await connection.send(before)
            assert (await connection.answer()).status == 200
        await connection.send(JUNK[kind])
        answer = await connection.answer()
        assert (answer.status, answer.problem["code"]) == (400, "malformed_request")
        assert answer.problem["correlation_id"] == answer.headers["x-correlation-id"]
        assert answer.headers["server"] == "coinslot"
        assert "aiohttp" not in str(answer)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert await connection.closed()
    assert counted(app)[("unmatched", "400")] == 1
    [line] = log("http_request_unreadable")
    assert (line["level"], line["correlation_id"]) == ("info", answer.problem["correlation_id"])
    assert no_trace(log)


async def test_an_unread_body_is_not_waited_for_without_end(url: str, log: Lines) -> None:
    """An answer that was given before the body is through: its rest is dropped, for a while."""
    async with connected(url) as connection:
        started = asyncio.get_running_loop().time()
        await connection.send(request("POST", "/nope", "Content-Length: 1000000000"))
        assert (await connection.answer()).status == 404
        dripping = asyncio.create_task(drip(connection))
        assert await connection.closed()
        took_s = asyncio.get_running_loop().time() - started
        dripping.cancel()
    assert took_s < 5
    assert no_trace(log)


async def test_a_large_body_that_is_refused_still_gets_its_answer(url: str) -> None:
    """A reset while the client writes would hide the answer from it."""
    async with connected(url) as connection:
        await connection.send(request("POST", "/v1/raw", body=b"x" * 3_000_000))
        answer = await connection.answer()
    assert (answer.status, answer.problem["code"]) == (413, "payload_too_large")


async def test_the_connection_goes_on_after_a_small_body_that_nobody_read(url: str) -> None:
    async with connected(url) as connection:
        await connection.send(request("POST", "/nope", body=b"x" * 1_000))
        assert (await connection.answer()).status == 404
        await connection.send(request("GET", "/v1/things"))
        assert (await connection.answer()).status == 200


async def test_an_error_of_ours_outside_the_middlewares_shows_nothing(
    client: Client, log: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: Any) -> None:
        raise RuntimeError("postgresql://u:hunter2@db/x said no")

    monkeypatch.setattr("service.web.middleware._count", broken)
    async with client.get("/v1/things") as answer:
        document = await answer.json(content_type=None)
        assert (answer.status, document["code"]) == (500, "internal_error")
        assert answer.headers["Server"] == "coinslot"
    assert "hunter2" not in str(document)
    [line] = log("unexpected_error")
    assert "RuntimeError" in line["exception"]
