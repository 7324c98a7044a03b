"""What a hostile client can put into a request, and what every answer says to a browser."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from service.web.compress import MIN_BYTES, chosen
from tests.unit.service.web.sample_api import Client

READ = "/v1/things/0198f3c2-7b4e-7d0a-9c51-f2e88a6d4b13/receipt"
ORDER: dict[str, Any] = {"currency": "EUR", "items": [{"game_id": "g", "quantity": 1}]}


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/things", 200), ("/docs", 200), ("/openapi.json", 200), ("/metrics", 404),
     ("/health/live", 200), ("/nothing", 404), (READ, 401), ("/v1/raw", 405)],
)  # fmt: skip
async def test_every_answer_is_safe_in_a_browser(client: Client, path: str, status: int) -> None:
    async with client.get(path) as answer:
        assert answer.status == status
        headers = answer.headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Server"] == "coinslot"
    assert ("no-store" in headers["Cache-Control"]) == (path not in {"/docs", "/openapi.json"})
    assert "Access-Control-Allow-Origin" not in headers
    assert "Set-Cookie" not in headers


class TestCompression:
    @pytest.mark.parametrize("coding", ["gzip", "deflate"])
    async def test_a_large_answer_is_compressed_for_who_asks(
        self, client: Client, coding: str
    ) -> None:
        async with client.get("/openapi.json", headers={"Accept-Encoding": coding}) as answer:
            assert answer.headers["Content-Encoding"] == coding
            assert answer.headers["Vary"] == "Accept-Encoding"
            assert (await answer.json())["openapi"] == "3.1.0"
            assert int(answer.headers["Content-Length"]) < len(await answer.read()) / 2

    @pytest.mark.parametrize(
        "accepted", ["", "identity", "gzip;q=0", "br", "gzip;q=0, deflate;q=0"]
    )
    async def test_nobody_gets_what_was_not_asked_for(self, client: Client, accepted: str) -> None:
        headers = {"Accept-Encoding": accepted}
        async with client.get("/openapi.json", headers=headers) as answer:
            assert "Content-Encoding" not in answer.headers
            assert answer.headers["Vary"] == "Accept-Encoding"
            assert len(await answer.read()) == int(answer.headers["Content-Length"])

    @pytest.mark.parametrize("length", [1, MIN_BYTES - 1, MIN_BYTES])
    async def test_a_small_answer_is_sent_as_it_is(self, client: Client, length: int) -> None:
        headers = {"Content-Type": "application/json", "Accept-Encoding": "gzip"}
        async with client.post("/v1/raw", data=b"x" * length, headers=headers) as answer:
            assert ("Content-Encoding" in answer.headers) == (length >= MIN_BYTES)
            assert await answer.read() == b"x" * length

    async def test_an_error_is_never_compressed(self, client: Client) -> None:
        query = "&".join(f"{'n' * 20}{number}={'v' * 50}" for number in range(60))
        async with client.get(f"/v1/things?{query}") as answer:
            assert answer.status == 422
            assert "Content-Encoding" not in answer.headers

    @pytest.mark.parametrize(
        ("accepted", "coding"),
        [
            ("gzip", "gzip"),
            ("GZIP", "gzip"),
            ("deflate, gzip;q=0.5", "gzip"),
            ("*", "gzip"),
            ("*;q=0", None),
            ("gzip;q=0, *", "deflate"),
            ("br, zstd", None),
            ("notgzip", None),
            ("gzip;q=2", None),
        ],
    )
    def test_what_is_asked_for_is_read_as_it_is_meant(
        self, accepted: str, coding: str | None
    ) -> None:
        found = chosen(accepted)
        assert (found and found.value) == coding

    @given(accepted=st.text(max_size=100))
    def test_whatever_is_asked_for_has_an_answer(self, accepted: str) -> None:
        assert chosen(accepted) in {None, web.ContentCoding.gzip, web.ContentCoding.deflate}


class TestBodies:
    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            (b"[" * 60_000, 422, "validation_failed"),  # the type ends the descent at once
            (b'{"a":' * 13_000, 422, "validation_failed"),
            (b'{"items":' + b"[" * 500 + b"]" * 500 + b"}", 422, "validation_failed"),
            (b'{"currency":"' + b"x" * 70_000 + b'"}', 413, "payload_too_large"),
            (b"\xff\xfe{}", 400, "malformed_request"),
            (b'{"currency":"EUR","currency":"USD","items":[]}', 422, "validation_failed"),
            (b'{"__proto__":{},"constructor":{}}', 422, "validation_failed"),
            (json.dumps({**ORDER, "admin": True}).encode(), 422, "validation_failed"),
        ],
        ids=range(8),
    )
    async def test_a_hostile_body_is_refused(
        self, client: Client, bearer: dict[str, str], log: Any, body: bytes, status: int, code: str
    ) -> None:
        headers = {**bearer, "Content-Type": "application/json", "Idempotency-Key": "k"}
        async with client.post("/v1/things", data=body, headers=headers) as answer:
            assert (answer.status, (await answer.json())["code"]) == (status, code)
        assert log("unexpected_error") == []


async def exchange(client: Client, request: bytes) -> bytes:
    """Send bytes that no HTTP library would, and return the answer."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    try:
        writer.write(request)
        await writer.drain()
        return await asyncio.wait_for(reader.read(65_536), 5)
    finally:
        writer.close()
        await writer.wait_closed()


class TestHeaders:
    @pytest.mark.parametrize(
        "lines",
        [
            b"X-Big: " + b"a" * 100_000,
            b"Authorization: Bearer " + b"a" * 100_000,
            b"Content-Length: 5\r\nTransfer-Encoding: chunked",
            b"Content-Length: 5\r\nContent-Length: 6",
            b"Bad Header: x",
            b"X-Null: a\x00b",
        ],
        ids=["oversized", "oversized token", "smuggling", "two lengths", "bad name", "nul"],
    )
    async def test_what_is_no_http_is_refused(self, client: Client, log: Any, lines: bytes) -> None:
        answer = await exchange(
            client,
            b"GET /v1/things HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + lines + b"\r\n\r\n",
        )
        assert answer.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))
        assert log("unexpected_error") == []

    @pytest.mark.parametrize(
        "value",
        [
            'a"}\\n{"event":"forged"',
            "a\tb",
            "x" * 65,
            "\u202eevil",
            "../../etc/passwd",
            "a b",
            "a;b",
        ],
        ids=range(7),
    )
    async def test_a_correlation_id_that_is_none_comes_back_nowhere(
        self, client: Client, log: Any, value: str
    ) -> None:
        async with client.get("/v1/things", headers={"X-Correlation-ID": value}) as answer:
            assert answer.headers["X-Correlation-ID"] != value
            assert len(answer.headers["X-Correlation-ID"]) == 32
        assert log("forged") == []
        assert value not in [line["correlation_id"] for line in log("http_request")]

    async def test_an_encoded_line_break_splits_neither_answer_nor_log(
        self, client: Client, log: Any
    ) -> None:
        path = b"/v1/%0d%0aX-Evil:%201%0d%0a%0d%0a{%22event%22:%22forged%22}"
        answer = await exchange(
            client, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        head, _, _ = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 404")
        assert b"X-Evil" not in head
        assert log("forged") == []
        assert len(log("http_request")) == 1

    async def test_a_user_agent_cannot_write_a_log_line(self, client: Client, log: Any) -> None:
        forged = '\\u000a{"event":"forged"}'
        async with client.get("/v1/things", headers={"User-Agent": forged}) as answer:
            assert answer.status == 200
        assert log("forged") == []
