"""Every endpoint of the real API without a token, with another user's, and with a changed one."""

import base64
import json
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any, Final
from uuid import UUID, uuid4

import aiohttp
import pytest

from scripts.platform.client import Client, Reply
from service.api.common import ADMIN, READ, WRITE
from service.api.routes import ROUTES
from service.ids import new_id
from service.store import database
from service.web.endpoint import Endpoint
from tests.integration.api.conftest import Api, Start
from tests.support.services import bearer
from tests.support.webhooks import Hook, inbox

SCOPES: Final = {READ, WRITE, ADMIN}
OPEN: Final = {"receiveWebhook"}
"""Operations without a token: a webhook's signature is its key."""

GUARDED: Final = [endpoint for endpoint in ROUTES if endpoint.operation_id not in OPEN]


def path_of(endpoint: Endpoint) -> str:
    """Return a path of the endpoint, with ids that are nobody's."""
    return endpoint.path.format_map(Filled())


class Filled(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return str(uuid4()) if name.endswith("_id") else "1"


async def knock(api: Api, endpoint: Endpoint, token: str | None) -> tuple[int, dict[str, Any]]:
    """Call an endpoint with an empty body, and a key where one is needed."""
    headers = {"Idempotency-Key": str(uuid4()), "Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    async with aiohttp.ClientSession(api.url, headers=headers) as session:
        data = b"{}" if endpoint.method == "POST" else None
        async with session.request(endpoint.method, path_of(endpoint), data=data) as answer:
            return answer.status, await answer.json()


def test_only_webhooks_need_no_token() -> None:
    assert {endpoint.operation_id for endpoint in ROUTES if not endpoint.scope} == OPEN
    assert {endpoint.scope for endpoint in GUARDED} == SCOPES


def test_what_only_operators_may_do_has_a_path_of_its_own() -> None:
    for endpoint in GUARDED:
        assert endpoint.path.startswith("/v1/admin/") == (endpoint.scope == ADMIN)


async def test_no_door_opens_without_its_key(api: Api) -> None:
    tampered = made_over(bearer("ada"), scope=" ".join(SCOPES))
    for endpoint in GUARDED:
        others = bearer("ada", " ".join(SCOPES - {endpoint.scope}))
        expected = [
            (None, 401, "unauthenticated"),
            (tampered, 401, "unauthenticated"),
            (others, 403, "scope_missing"),
            (bearer("ada", ""), 403, "scope_missing"),
        ]
        for token, status, code in expected:
            found, body = await knock(api, endpoint, token)
            assert (found, body["code"]) == (status, code), endpoint.operation_id


def made_over(token: str, **claims: Any) -> str:
    """Return the token with other claims, under its old signature."""
    head, payload, signature = token.split(".")
    signed = json.loads(base64.urlsafe_b64decode(payload + "=="))
    changed = base64.urlsafe_b64encode(json.dumps({**signed, **claims}).encode()).rstrip(b"=")
    return f"{head}.{changed.decode()}.{signature}"


@pytest.mark.parametrize("claims", [{"sub": "ada"}, {"exp": 9_999_999_999}, {"aud": ["x", "y"]}])
async def test_a_token_made_over_is_refused_while_the_good_one_is_remembered(
    api: Api, claims: dict[str, Any]
) -> None:
    good = bearer("mallory")
    async with Client(api.url, good) as mallory:
        await mallory.read("/v1/orders")
    async with Client(api.url, made_over(good, **claims)) as forger:
        assert (await forger.call("GET", "/v1/orders")).status == 401


async def test_a_user_is_told_apart_by_case(api: Api, ada: Client) -> None:
    order = await ada.order(["game-1"])
    async with api.client("ADA") as other:
        assert (await other.call("GET", f"/v1/orders/{order['id']}")).status == 404


async def test_a_delivery_for_one_provider_is_none_for_another(
    start_api: Start,
) -> None:
    api = await start_api(
        PROVIDERS="simulator,stripe",
        STRIPE_API_KEY="sk_test_x",
        STRIPE_WEBHOOK_SECRETS="another-secret-of-the-tests",
    )
    async with aiohttp.ClientSession() as session:
        status, body = await Hook(api.url, session).send({"id": "evt_1"}, provider="stripe")
    assert (status, body["code"]) == (400, "webhook_refused")
    assert await inbox(api.context.db) == []


Ask = Callable[[str], Awaitable[Reply]]


@pytest.mark.parametrize("what", ["order", "payment", "paying", "refunding"])
async def test_what_is_foreign_costs_as_much_as_what_is_missing(
    api: Api, ada: Client, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    # Statements and not milliseconds: one more makes 16 % here, and what a busy machine does to a
    # median is as much. What takes as many steps can be told apart by nobody over a network.
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"])).expect(201).body
    async with api.client("mallory") as mallory:
        ways: dict[str, tuple[str, Ask]] = {
            "order": (order["id"], lambda one: mallory.call("GET", f"/v1/orders/{one}")),
            "payment": (payment["id"], lambda one: mallory.call("GET", f"/v1/payments/{one}")),
            "paying": (order["id"], mallory.pay),
            "refunding": (payment["id"], mallory.refund),
        }
        foreign, ask = ways[what]
        steps = statements(monkeypatch)
        took = []
        for one in (foreign, str(new_id())):
            steps.clear()
            assert (await ask(one)).status == 404
            took.append(list(steps))
    assert took[0] == took[1] != []


def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which every statement of this process is added."""
    sent: list[str] = []
    run = database._run

    async def recording(connection: Any, sql: str, parameters: Any) -> Any:
        sent.append(sql)
        return await run(connection, sql, parameters)

    monkeypatch.setattr(database, "_run", recording)
    return sent


def test_an_id_tells_when_it_was_made_and_not_its_neighbours() -> None:
    made = [new_id() for _ in range(2_000)]
    rest = [random_bits(one) for one in made]
    assert len(set(rest)) == len(rest)
    rising = sum(one < other for one, other in pairwise(rest))
    # A counter would always rise; of chance, within five standard deviations of the half.
    assert abs(rising - len(rest) / 2) < 5 * (len(rest) / 12) ** 0.5


def random_bits(identifier: UUID) -> int:
    """Return what is left of a UUIDv7 without its time, version and variant."""
    return (identifier.int >> 64 & 0xFFF) << 62 | identifier.int & (1 << 62) - 1
