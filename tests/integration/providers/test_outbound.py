"""Calls to others: whether one that failed may have had an effect, and how it is counted."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from service import outbound
from service.call_results import CallError, CallOutcome
from service.outbound import Outbound
from tests.integration.providers.conftest import Calls, Connect
from tests.support.recorded import Recorded, recorded_server


@pytest.fixture
async def server() -> AsyncIterator[Recorded]:
    async with recorded_server() as recorded:
        yield recorded


async def failed(remote: Outbound) -> CallError:
    with pytest.raises(CallError) as caught:
        await remote.call("charge", "POST", "/x", body={})
    return caught.value


async def test_an_answer_without_end_is_cut_off(
    connect: Connect, server: Recorded, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbound, "MAX_ANSWER_BYTES", 1_000)
    server.will((200, [0] * 333), (200, [0] * 500))
    remote = connect(server.url, "key")
    assert (await remote.call("charge", "POST", "/x")).body == [0] * 333  # 999 bytes
    error = await failed(remote)
    assert (error.sent, str(error)) == (True, "the answer is too large")
    assert calls == [("charge", "ok"), ("charge", "error")]


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"{", "not JSON"),
        (b'{"id": "\xff\xfe"}', "not JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "not JSON"),
        (b'{"failure_code": "no\\u0000"}', "holds NUL"),
    ],
    ids=["cut short", "not UTF-8", "deep", "NUL"],
)
async def test_an_answer_that_cannot_be_read_leaves_the_outcome_open(
    connect: Connect, server: Recorded, calls: Calls, raw: bytes, why: str
) -> None:
    server.will((200, raw))
    error = await failed(connect(server.url, "key"))
    assert error.sent
    assert why in str(error)
    assert calls == [("charge", "error")]


async def test_a_connection_that_is_not_to_be_had_was_not_used(
    server: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait for a place among the connections counts as connecting."""
    monkeypatch.setattr(outbound, "CONNECT_TIMEOUT_S", 0.1)
    seen: Calls = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        remote = Outbound(
            session,
            server.url,
            headers={},
            timeout_s=5,
            observe=lambda operation, outcome, _seconds: seen.append((operation, outcome)),
            correlation_id=lambda: "",
        )
        server.will("silence")
        first = asyncio.create_task(remote.call("charge", "POST", "/x"))
        await asyncio.wait_for(server.arrived.wait(), 5)
        error = await failed(remote)
        assert (error.sent, error.outcome) == (False, CallOutcome.TIMEOUT)
        assert seen == [("charge", "timeout")]
        first.cancel()
    assert len(server.asked) == 1


async def test_a_redirect_is_an_answer_and_not_followed(connect: Connect, server: Recorded) -> None:
    """A provider's key goes to the provider and nowhere else."""
    server.will((307, {}))
    assert (await connect(server.url, "key").call("charge", "POST", "/x", body={})).status == 307
    assert len(server.asked) == 1


async def test_a_form_and_a_body_say_what_they_are(connect: Connect, server: Recorded) -> None:
    server.will((200, {}), (200, {}), (200, ""))
    remote = connect(server.url, "key")
    await remote.call("charge", "POST", "/x", form={"a[b]": "ä &=", "c": ""})
    await remote.call("charge", "POST", "/x", body={"a": 1})
    assert (await remote.call("find", "GET", "/x", query={"q": "a'b"})).body is None
    form, body, nothing = server.asked
    assert form.form == {"a[b]": "ä &=", "c": ""}
    assert form.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert body.headers["Content-Type"] == "application/json"
    assert "Content-Type" not in nothing.headers
    assert nothing.query == {"q": "a'b"}
