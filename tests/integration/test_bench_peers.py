"""The benchmark's peers give the guarantees that the service gives, or they would be no peers."""

import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from bench import money, orders, peers
from bench.ground import Ground, provider
from bench.sides import SIDES, ServerRun
from scripts.platform import token
from scripts.platform.embedded import Postgres, Valkey

PEERS = ("go_pgx", "go_pgx_tuned", "fastapi_asyncpg", "fastapi_asyncpg_tuned")
LIMIT = 30

pytestmark = pytest.mark.timeout(600)  # the first run on a machine builds them


class Limited(Ground):
    def environ(self, database_url: str) -> dict[str, str]:
        return super().environ(database_url) | {"RATE_LIMIT_USER": str(LIMIT)}


@dataclass
class Answer:
    status: int
    headers: Message
    body: bytes

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["code"])


@dataclass
class Peer:
    url: str
    secret: str
    database_url: str
    number: int
    """Of an order; its owner is a user of this peer alone, as all peers share one Valkey."""

    @property
    def order(self) -> str:
        return orders.order_id(1, self.number)

    def bearer(self, **changes: str) -> str:
        secret = changes.get("secret", self.secret)
        scopes = changes.get("scopes", token.DEFAULT_SCOPES)
        return token.make(secret, orders.user(self.number), scopes, environ={})

    def pay(
        self, key: str, *, bearer: str | None = None, body: dict[str, Any] | None = None
    ) -> Answer:
        request = urllib.request.Request(  # noqa: S310  ours
            f"{self.url}/v1/payments",
            json.dumps({"order_id": self.order} if body is None else body).encode(),
            {
                "Authorization": f"Bearer {bearer or self.bearer()}",
                "Content-Type": "application/json",
                "Idempotency-Key": key,
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  ours
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def one(self, query: str, *parameters: str) -> Any:
        with closing(psycopg2.connect(self.database_url)) as connection:
            with connection.cursor() as cursor:
                cursor.execute(query, parameters)
                row = cursor.fetchone()
            connection.commit()
        assert row is not None
        return row[0]


@pytest.fixture(params=PEERS)
def peer(
    request: pytest.FixtureRequest, owner_url: str, valkey: Valkey, tmp_path: Path
) -> Iterator[Peer]:
    name = request.param
    if name.startswith("go_") and shutil.which("go") is None:
        reason = "the peer in Go needs Go on PATH"
        if os.environ.get("CI"):
            pytest.fail(f"{reason}: CI leaves it out for no reason")
        pytest.skip(reason)
    peers.install_functions(owner_url)
    number = 1 + PEERS.index(name)
    orders.make(owner_url, round_=1, start=number, stop=number)
    with provider(tmp_path) as (_, provider_url):
        secret = "a secret for the peers, of more than 32 bytes"
        ground = Limited(Postgres(owner_url), valkey, provider_url, secret, tmp_path, 1, {})
        with SIDES[name].start(ground, owner_url, 1) as running:
            assert isinstance(running, ServerRun)
            yield Peer(running.urls[0], secret, owner_url, number)


def test_a_peer_pays_as_the_service_does(peer: Peer) -> None:
    first = peer.pay("key-1")
    assert first.status == 201, first.body
    payment = json.loads(first.body)
    assert (payment["status"], payment["order_id"]) == ("succeeded", peer.order)
    assert (payment["amount"], payment["captured"], payment["currency"]) == (1999, 1999, "EUR")
    assert first.headers["RateLimit"].startswith('"address"')

    again = peer.pay("key-1")
    assert (again.status, again.body) == (201, first.body)
    assert again.headers["Idempotent-Replayed"] == "true"
    _refuses(peer)
    _has_written(peer, payment["id"])
    _limits(peer)


def _refuses(peer: Peer) -> None:
    other = {"order_id": peer.order, "payment_method": "pm_other"}
    reused = peer.pay("key-1", body=other)
    assert (reused.status, reused.code) == (422, "idempotency_key_reused")
    assert reused.headers["Content-Type"] == "application/problem+json"
    live = peer.pay("key-2")
    assert (live.status, live.code) == (409, "live_payment_exists")
    foreign = peer.pay("key-3", body={"order_id": orders.order_id(1, 999)})
    assert (foreign.status, foreign.code) == (404, "not_found")
    unknown = peer.pay("key-4", body={"order_id": peer.order, "more": 1})
    assert (unknown.status, unknown.code) == (422, "validation_failed")
    bad = peer.pay("key-5", bearer=peer.bearer(secret="x" * 40))
    assert (bad.status, bad.code) == (401, "unauthenticated")
    reading = peer.pay("key-6", bearer=peer.bearer(scopes="payments:read"))
    assert (reading.status, reading.code) == (403, "scope_missing")
    large = peer.pay("key-7", body={"order_id": peer.order, "payment_method": "x" * 70_000})
    assert (large.status, large.code) == (413, "payload_too_large")
    peer.one(
        "INSERT INTO idempotency_keys (caller, key, fingerprint, resource_id, locked_until,"
        " created_at) SELECT caller, 'key-8', fingerprint, uuidv7(), now() + interval '1 min',"
        " now() FROM idempotency_keys WHERE key = 'key-1' RETURNING 1"
    )
    in_flight = peer.pay("key-8")
    assert (in_flight.status, in_flight.code) == (409, "idempotency_key_in_flight")


def _has_written(peer: Peer, payment_id: str) -> None:
    of_payment = "WHERE payment_id = %s"
    assert peer.one(f"SELECT count(*) FROM payment_events {of_payment}", payment_id) == 2
    assert peer.one(f"SELECT topic FROM outbox {of_payment}", payment_id) == "library.grant"
    booked = (
        "SELECT array_agg(amount_minor ORDER BY account) FROM ledger_entries e"
        " JOIN ledger_transactions t ON t.id = e.transaction_id WHERE t.payment_id = %s"
    )
    assert peer.one(booked, payment_id) == [1999, -1999]
    assert peer.one("SELECT status FROM orders WHERE id = %s", peer.order) == "paid"
    assert set(money.violations(peer.database_url).values()) == {0}
    with urllib.request.urlopen(f"{peer.url}/metrics", timeout=30) as answer:  # noqa: S310  ours
        assert b'payments_total{provider="simulator",status="succeeded"} 1' in answer.read()


def _limits(peer: Peer) -> None:
    refused = next(
        answer for n in range(LIMIT + 1) if (answer := peer.pay(f"more-{n}")).status == 429
    )
    assert refused.code == "rate_limited"
    assert int(refused.headers["Retry-After"]) >= 1
