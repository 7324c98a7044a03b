"""Correlation ids, traces, access lines, metrics, deadlines and clients that hang up."""

import asyncio
import re
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiohttp.web_protocol import RequestHandler
from hypothesis import given
from hypothesis import strategies as st

from service.metrics import Metrics
from service.settings import Settings
from service.web import app_factory
from service.web.middleware import correlation_of, trace_of
from service.web.ops import LIFECYCLE, METRICS
from tests.unit.service.web.sample_api import Client, Connect, Lines, Slow, in_memory, table

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
WAIT_S = 5.0  # of anything in these tests; all of it takes milliseconds


async def test_a_correlation_id_comes_back_and_is_on_every_line(client: Client, log: Lines) -> None:
    headers = {"X-Correlation-ID": "shop-42"}
    async with client.post("/v1/fail/unforeseen", headers=headers) as answer:
        assert answer.headers["X-Correlation-ID"] == "shop-42"
    events = {line["event"]: line["correlation_id"] for line in log() if "correlation_id" in line}
    assert events == {"unexpected_error": "shop-42", "http_request": "shop-42"}


async def test_without_one_each_request_gets_its_own(client: Client) -> None:
    made = set()
    for _ in range(3):  # over one connection
        async with client.get("/v1/things") as answer:
            made.add(answer.headers["X-Correlation-ID"])
    assert len(made) == 3


async def test_nothing_of_a_request_is_left_for_the_next_on_the_connection(
    client: Client, bearer: dict[str, str], log: Lines
) -> None:
    path = "/v1/things/0198f3c2-7b4e-7d0a-9c51-f2e88a6d4b13/x"
    async with client.get(path, headers={**bearer, "traceparent": f"00-{TRACE}-{SPAN}-01"}):
        pass
    async with client.get("/v1/things"):
        pass
    first, second = log("http_request")
    assert (first["user_id"], first["trace_id"]) == ("user-1", TRACE)
    assert "user_id" not in second
    assert "trace_id" not in second


@given(st.text())
def test_only_plain_words_are_taken_as_correlation_ids(header: str) -> None:
    taken = correlation_of(header)
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", taken)
    assert (taken == header) == bool(re.fullmatch(r"[A-Za-z0-9._-]{1,64}", header))


@given(st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True))
def test_a_plain_word_is_kept(header: str) -> None:
    assert correlation_of(header) == header


@pytest.mark.parametrize(
    ("header", "trace"),
    [
        (f"00-{TRACE}-{SPAN}-01", TRACE),
        (f"01-{TRACE}-{SPAN}-01-of-a-later-version", TRACE),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}-01\n", None),
        ("", None),
        (None, None),
    ],
)
def test_a_traceparent_is_read_as_the_standard_says(header: str | None, trace: str | None) -> None:
    assert trace_of(header) == trace


@given(st.text())
def test_no_text_breaks_the_reading_of_a_traceparent(header: str) -> None:
    assert trace_of(header) is None or re.fullmatch("[0-9a-f]{32}", str(trace_of(header)))


async def test_the_access_line_names_the_route_and_not_the_path(client: Client, log: Lines) -> None:
    async with client.post("/v1/fail/declared?secret=1"):
        pass
    (line,) = log("http_request")
    assert (line["method"], line["route"], line["status"]) == ("POST", "/v1/fail/{how}", 422)
    assert 0 < line["duration_ms"] < 60_000
    assert "secret" not in str(line)


async def test_requests_of_machines_are_logged_at_debug(
    app: web.Application, settings: Settings, aiohttp_client: Connect, client: Client, log: Lines
) -> None:
    ops = await aiohttp_client(app_factory.build_ops(settings, app[METRICS], app[LIFECYCLE]))
    for side, path in ((client, "/health/live"), (ops, "/metrics"), (client, "/openapi.json")):
        async with side.get(path):
            pass
    levels = {line["route"]: line["level"] for line in log("http_request")}
    assert levels == {"/health/live": "debug", "/metrics": "debug", "/openapi.json": "info"}


async def test_metrics_are_by_route_template(client: Client, app: web.Application) -> None:
    for method, path in (
        ("POST", "/v1/fail/declared"),
        ("POST", "/v1/fail/busy"),
        ("GET", "/v1/nowhere/1"),
        ("GET", "/v1/nowhere/2"),
        ("PURGE", "/v1/things"),
    ):
        async with client.request(method, path):
            pass
    registry = app[METRICS].registry

    def count(**labels: str) -> float | None:
        return registry.get_sample_value("http_requests_total", labels)

    assert count(method="POST", route="/v1/fail/{how}", status="409") == 1
    assert count(method="POST", route="/v1/fail/{how}", status="503") == 1
    assert count(method="GET", route="unmatched", status="404") == 2
    assert count(method="other", route="unmatched", status="405") == 1
    duration = {"method": "POST", "route": "/v1/fail/{how}"}
    assert registry.get_sample_value("http_request_duration_seconds_count", duration) == 2


async def test_answers_are_private_and_do_not_name_the_software(client: Client) -> None:
    async with client.get("/v1/things") as answer:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Server"] == "coinslot"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_request_that_takes_too_long_is_answered_503(
    settings: Settings, slow: Slow, log: Lines, aiohttp_client: Connect
) -> None:
    quick = msgspec.structs.replace(settings, request_timeout_s=0.05)
    app = app_factory.build(
        quick, Metrics(version="1", role="api"), table(slow), quotas=in_memory()
    )
    client = await aiohttp_client(app)
    async with client.post("/v1/slow") as answer:
        document = await answer.json()
    assert (answer.status, document["code"]) == (503, "request_timeout")
    assert answer.headers["Retry-After"] == "2"
    assert await asyncio.wait_for(slow.ended, WAIT_S) == "canceled"
    assert [line["status"] for line in log("http_request")] == [503]


async def test_a_client_that_hangs_up_does_not_stop_the_handler(
    app: web.Application,
    slow: Slow,
    log: Lines,
    aiohttp_server: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost = event_when_called(monkeypatch, RequestHandler, "connection_lost")
    server: TestServer = await aiohttp_server(app)
    _reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(b"POST /v1/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    async with asyncio.timeout(WAIT_S):
        await slow.began.wait()
        writer.transport.abort()
        await lost.wait()
        assert not slow.ended.done()
        slow.go.set()
        assert await slow.ended == "finished"
    assert [line["status"] for line in log("http_request")] == [200]


async def test_a_request_that_outlives_the_drain_is_canceled_and_said(
    app: web.Application, slow: Slow, log: Lines
) -> None:
    runner = web.AppRunner(app, shutdown_timeout=0.05)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    _reader, writer = await asyncio.open_connection(*runner.addresses[0])
    writer.write(b"POST /v1/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    async with asyncio.timeout(WAIT_S):
        await slow.began.wait()
        await runner.cleanup()
        assert await slow.ended == "canceled"
    writer.close()
    assert [line["route"] for line in log("http_request_canceled")] == ["/v1/slow"]


def event_when_called(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> asyncio.Event:
    """Return an event that is set when a method has run."""
    event, original = asyncio.Event(), getattr(owner, name)

    def noting(*args: Any) -> Any:
        result = original(*args)
        event.set()
        return result

    monkeypatch.setattr(owner, name, noting)
    return event
