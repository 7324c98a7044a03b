"""What an endpoint's URL can reach: nothing of ours, whenever, by name or by number."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest

from service.addresses import networks
from service.integrations import merchants
from service.integrations.merchants import (
    ForbiddenAddressError,
    Merchants,
    UnreachableError,
    public_connector,
)
from service.settings import SettingsError
from tests.integration.api.conftest import Start
from tests.integration.api.merchant_webhooks.sending import buy, send_due
from tests.support.merchant import TAKES_LOOPBACK, Merchant, deliveries, merchant, register
from tests.support.services import ADMIN

STRICT = {"WEBHOOK_MASTER_KEYS": TAKES_LOOPBACK["WEBHOOK_MASTER_KEYS"]}
LAX = {**STRICT, "WEBHOOK_URL_SCHEMES": "http+https"}


@pytest.fixture
async def receiver() -> AsyncIterator[Merchant]:
    async with merchant() as found:
        yield found


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://shop.example/hook", "not https"),
        ("ftp://shop.example/hook", "not https"),
        ("file:///etc/passwd", "no URL with a host"),
        ("https://", "no URL with a host"),
        ("https://user:planted-9f3b2c7e@shop.example/", "a user, a password"),
        ("https://user@shop.example/", "a user, a password"),
        ("https://shop.example/#x", "a fragment"),
        ("https://shop.example:8443/", "port is not 443"),
        ("https://shop.example:99999/", "no URL"),
        ("https://127.0.0.1/", "not public"),
        ("https://[::1]/", "not public"),
        ("https://[::ffff:169.254.169.254]/", "not public"),
        ("https://169.254.169.254/latest/meta-data", "not public"),
        ("https://168.63.129.16/machine?comp=goalstate", "not public"),
        ("https://100.100.100.200/latest/meta-data", "not public"),
        ("https://192.0.0.192/", "not public"),
        ("https://169.254.170.2/v2/credentials", "not public"),
        ("https://[fd00:ec2::254]/", "not public"),
        ("https://[64:ff9b::a9fe:a9fe]/", "not public"),
        ("https://[2002:a83f:8110::1]/", "not public"),
        ("https://10.1.2.3/", "not public"),
        ("https://127.1/", "not public"),
        ("https://2130706433/", "not public"),
        ("https://0x7f.1/", "not public"),
        ("https://0x7f000001/", "not public"),
        ("https://0177.0.0.01./", "not public"),
        ("https://0/", "not public"),
        ("https://shop.example/a b", "no URL with a host"),
        ("https://shop.example/\r\nX: y", "no URL with a host"),
        ("https://sh\u043ep.example/", "no URL with a host"),
        ("https://[::1/", "no URL"),
    ],
)
async def test_urls_that_are_refused_at_once(start_api: Start, url: str, says: str) -> None:
    api = await start_api(**STRICT)
    async with api.client("olga", ADMIN) as operator:
        body = {"url": url, "note": "x"}
        reply = await operator.call("POST", "/v1/admin/webhook-endpoints", json=body)
        assert (reply.status, reply.body["code"]) == (422, "validation_failed")
        assert reply.body["errors"][0]["field"] == "$.url"
        assert says in reply.body["errors"][0]["detail"]
        made = await register(operator, "https://shop.example/hook")
        path = f"/v1/admin/webhook-endpoints/{made[0]['id']}"
        assert (await operator.call("PATCH", path, json=body)).status == 422


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST"])
async def test_names_of_this_machine_are_not_connected_to(
    start_api: Start, receiver: Merchant, host: str
) -> None:
    """The URL looks harmless; what it resolves to is looked at when a socket is opened."""
    api = await start_api(**LAX)
    url = receiver.url.replace("127.0.0.1", host)
    async with api.client("olga", ADMIN) as operator, api.client("ada") as ada:
        endpoint, _ = await register(operator, url, "payment.succeeded")
        await buy(api, ada)
        assert await send_due(api) == 1
        [row] = await deliveries(operator, endpoint)
        assert (row["status"], row["last_error"]) == ("pending", "the address is not public")
    assert receiver.messages == []
    exposed = api.context.metrics.exposition().decode()
    assert 'merchant_webhooks_total{outcome="refused"} 1.0' in exposed


class Rebinding:
    """A name that is public when it is checked and ours when it is connected to."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, _host: str, port: int, _family: int) -> list[Any]:
        self.asked += 1
        address = "8.8.8.8" if self.asked == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]


async def test_a_name_that_changes_its_mind_gains_nothing(
    receiver: Merchant, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Rebinding()
    monkeypatch.setattr(merchants, "_look_up", names)
    assert names("shop.example", 80, 0)[0][4][0] == "8.8.8.8"  # the attacker's first answer
    async with aiohttp.ClientSession(connector=public_connector()) as session:
        url = receiver.url.replace("127.0.0.1", "shop.example")
        with pytest.raises(UnreachableError, match="not public") as caught:
            await Merchants(session, 5).post(url, b"{}", {})
    assert (caught.value.outcome, names.asked, receiver.messages) == ("refused", 2, [])


async def test_an_address_among_public_ones_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a name's addresses only those are tried that may be; here none answers."""
    tried: list[str] = []
    real = asyncio.get_running_loop().sock_connect

    async def connect(sock: socket.socket, address: Any) -> None:
        tried.append(address[0])
        await real(sock, ("127.0.0.1", 1))

    def both(_host: str, port: int, _family: int) -> list[Any]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in ("10.0.0.1", "8.8.8.8")
        ]

    monkeypatch.setattr(merchants, "_look_up", both)
    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", connect)
    async with aiohttp.ClientSession(connector=public_connector()) as session:
        with pytest.raises(UnreachableError):
            await Merchants(session, 5).post("http://shop.example/", b"{}", {})
    assert set(tried) == {"8.8.8.8"}


def test_the_refusal_names_no_address() -> None:
    assert str(ForbiddenAddressError()) == "the address is not public"


@pytest.fixture
def raw_server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"", "error"),
        (b"garbage\r\n\r\n", "error"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "error"),
        (b"HTTP/1.1 200 OK\r\nLocation: http://127.0.0.1/\r\nContent-Length: 5\r\n\r\nhi", None),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "error"),
    ],
)
async def test_whatever_is_answered_is_borne(
    raw_server: socket.socket, answer: bytes, outcome: str | None
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, sock=raw_server)
    connector = public_connector(networks("127.0.0.0/8"))
    async with (
        server,
        aiohttp.ClientSession(connector=connector, auto_decompress=False) as session,
    ):
        port = raw_server.getsockname()[1]
        sending = Merchants(session, 5).post(f"http://127.0.0.1:{port}/", b"{}", {})
        if outcome is None:
            assert (await sending).status == 200
        else:
            with pytest.raises(UnreachableError) as caught:
                await sending
            assert caught.value.outcome == outcome


async def test_an_endpoint_that_never_answers_is_left_after_the_timeout(receiver: Merchant) -> None:
    receiver.open.clear()
    connector = public_connector(networks("127.0.0.0/8"))
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(UnreachableError) as caught:
            await Merchants(session, 0.2).post(receiver.url, b"{}", {})
    assert caught.value.outcome == "timeout"


async def test_outside_of_local_nothing_is_lax(start_api: Start) -> None:
    with pytest.raises(SettingsError) as caught:
        await start_api(ENVIRONMENT="staging", **TAKES_LOOPBACK)
    assert "WEBHOOK_PRIVATE_NETWORKS is for ENVIRONMENT=local only" in str(caught.value)
    assert "WEBHOOK_URL_SCHEMES is for ENVIRONMENT=local only" in str(caught.value)
