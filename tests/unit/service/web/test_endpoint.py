"""Requests against a table of endpoints, over real HTTP."""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import pytest

from service.api.routes import ROUTES
from service.web import parse
from service.web.endpoint import Call, Endpoint, Nothing, Reply
from tests.unit.service.web.sample_api import Client

GOOD = {"currency": "EUR", "items": [{"game_id": "g1", "quantity": 2}]}
THING = "0198f3c2-7b4e-7d0a-9c51-f2e88a6d4b13"


@pytest.fixture
def writing(bearer: dict[str, str]) -> dict[str, str]:
    return {**bearer, "Idempotency-Key": "order-1", "Content-Type": "application/json"}


async def test_a_handler_gets_everything_parsed(client: Client, writing: dict[str, str]) -> None:
    async with client.post("/v1/things", json=GOOD, headers=writing) as answer:
        said = (await answer.json())["said"]
    assert (answer.status, answer.headers["Location"]) == (201, "/v1/things/1")
    assert said[:3] == ["user-1", "order-1", GOOD]


async def test_the_fingerprint_ignores_how_the_json_is_written(
    client: Client, writing: dict[str, str]
) -> None:
    prints = []
    for text in (
        b'{"currency":"EUR","items":[{"game_id":"g1","quantity":2}]}',
        b' {"items": [{"quantity":2, "game_id":"g\\u0031"}], "currency":"EUR"}',
        b'{"currency":"EUR","items":[{"game_id":"g1","quantity":3}]}',
    ):
        async with client.post("/v1/things", data=text, headers=writing) as answer:
            prints.append((await answer.json())["said"][3])
    assert prints[0] == prints[1] != prints[2]


async def test_the_fingerprint_is_of_ids_and_not_of_how_they_are_written(
    client: Client, bearer: dict[str, str]
) -> None:
    prints = set()
    for thing in (THING, THING.upper(), THING.replace("9", "%39")):
        async with client.post(f"/v1/things/{thing}/print", headers=bearer) as answer:
            prints.add((await answer.json())["said"])
    head = f"POST /v1/things/{THING}/print\n{{}}".encode()
    assert prints == {hashlib.sha256(head).hexdigest()}


async def test_path_parameters_are_typed(client: Client, bearer: dict[str, str]) -> None:
    headers = {**bearer, "X-Correlation-ID": "c-1"}
    async with client.get(f"/v1/things/{THING}/receipt", headers=headers) as answer:
        assert (await answer.json())["said"] == [THING, "receipt", "c-1"]


@pytest.mark.parametrize(
    "path",
    ["1/receipt", f"{THING}x/receipt", f"{{{THING}}}/receipt", f"{THING}/A%00B", f"{THING}/UP"],
)
async def test_a_path_that_names_nothing_is_404(
    client: Client, bearer: dict[str, str], path: str
) -> None:
    async with client.get(f"/v1/things/{path}", headers=bearer) as answer:
        assert (answer.status, (await answer.json())["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        (b"", 400, "malformed_request", None),
        (b"{", 400, "malformed_request", None),
        (msgspec.json.encode(GOOD) + b"x", 400, "malformed_request", None),
        (b'{"currency": "\xff"}', 400, "malformed_request", None),
        (b'{"currency": "\\ud800"}', 400, "malformed_request", None),
        (b"[" * 60_000, 422, "validation_failed", "$"),
        (b'{"currency":' + b"[" * 60_000, 422, "validation_failed", "$.currency"),
        (b'{"deep":' + b"[" * 60_000, 422, "validation_failed", "$.deep"),
        (b"{}", 422, "validation_failed", "$.currency"),
        (b'{"currency":"EUR","items":[],"x":1}', 422, "validation_failed", "$.items"),
        (b'{"currency":"EUR","tip":1}', 422, "validation_failed", "$.tip"),
        (
            b'{"currency":"EUR","items":[{"game_id":"g","quantity":11}]}',
            422,
            "validation_failed",
            "$.items[0].quantity",
        ),
        (
            b'{"currency":"EUR","items":[{"game_id":"g","quantity":1.5}]}',
            422,
            "validation_failed",
            "$.items[0].quantity",
        ),
        (
            b'{"currency":"EUR","items":[{"game_id":"g\\u0000","quantity":1}]}',
            422,
            "validation_failed",
            "$.items[0].game_id",
        ),
    ],
)
async def test_a_wrong_body_is_refused(
    client: Client, writing: dict[str, str], body: bytes, status: int, code: str, field: str | None
) -> None:
    async with client.post("/v1/things", data=body, headers=writing) as answer:
        problem = await answer.json(content_type="application/problem+json")
    assert (answer.status, problem["code"]) == (status, code)
    assert [item["field"] for item in problem.get("errors", [])] == ([field] if field else [])


async def test_an_escaped_backslash_before_u0000_is_no_nul(
    client: Client, writing: dict[str, str]
) -> None:
    text = rb'{"currency":"\\u0000","items":[{"game_id":"g","quantity":1}]}'
    async with client.post("/v1/things", data=text, headers=writing) as answer:
        assert (await answer.json())["said"][2]["currency"] == r"\u0000"


async def test_details_are_short_however_long_the_input(
    client: Client, writing: dict[str, str]
) -> None:
    text = b'{"' + b"x" * 60_000 + b'":1}'
    async with client.post("/v1/things", data=text, headers=writing) as answer:
        assert answer.status == 422
        assert len(await answer.read()) < 1_000


@pytest.mark.parametrize("path", ["/v1/things", "/v1/raw"])
async def test_a_large_body_is_413(client: Client, writing: dict[str, str], path: str) -> None:
    body = b" " * (parse.MAX_BODY_BYTES + 1)
    async with client.post(path, data=body, headers=writing) as answer:
        assert (answer.status, (await answer.json())["code"]) == (413, "payload_too_large")


async def test_a_compressed_body_is_415(client: Client, writing: dict[str, str]) -> None:
    async with client.post("/v1/things", data=b"{}", headers=writing, compress="gzip") as answer:
        assert answer.status == 415


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 201),
        ("Application/JSON; charset=UTF-8", 201),
        ("application/json; charset=latin-1", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/jsonx", 415),
    ],
)
async def test_only_json_is_taken(
    client: Client, writing: dict[str, str], kind: str, status: int
) -> None:
    headers = {**writing, "Content-Type": kind}
    async with client.post("/v1/things", data=msgspec.json.encode(GOOD), headers=headers) as answer:
        assert answer.status == status


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, "idempotency_key_missing"),
        ("", "idempotency_key_invalid"),
        ("a b", "idempotency_key_invalid"),
        ("\u00e9", "idempotency_key_invalid"),
        ("k" * 256, "idempotency_key_invalid"),
    ],
)
async def test_an_unfit_idempotency_key_is_400(
    client: Client, bearer: dict[str, str], key: str | None, code: str
) -> None:
    headers = bearer if key is None else {**bearer, "Idempotency-Key": key}
    async with client.post("/v1/things", json=GOOD, headers=headers) as answer:
        assert (answer.status, (await answer.json())["code"]) == (400, code)


async def test_two_idempotency_keys_are_one_too_many(
    client: Client, bearer: dict[str, str]
) -> None:
    headers = [*bearer.items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    async with client.post("/v1/things", json=GOOD, headers=headers) as answer:
        assert (await answer.json())["code"] == "idempotency_key_invalid"


@pytest.mark.parametrize(
    ("query", "status", "expected"),
    [
        ("", 200, {"limit": 20, "order_id": None, "note": None}),
        (f"limit=5&order_id={THING}", 200, {"limit": 5, "order_id": THING, "note": None}),
        ("limit=0", 422, "$.limit"),
        ("limit=x", 422, "$.limit"),
        ("order_id=1", 422, "$.order_id"),
        ("page=1", 422, "$.page"),
        ("note=a%00b", 422, "$.note"),
        ("limit=1&limit=2", 400, None),
    ],
)
async def test_queries_are_validated(
    client: Client, query: str, status: int, expected: Any
) -> None:
    async with client.get(f"/v1/things?{query}") as answer:
        document = await answer.json()
    assert answer.status == status
    if status == 200:
        assert document["said"] == expected
    else:
        assert [item["field"] for item in document.get("errors", [])] == [expected] * bool(expected)


async def test_a_raw_body_comes_unparsed(client: Client) -> None:
    async with client.post("/v1/raw", data=b"\x00 not json") as answer:
        assert await answer.read() == b"\x00 not json"


@pytest.mark.parametrize(("body", "status"), [(b"", 409), (b"{}", 409), (b'{"a":1}', 422)])
async def test_an_operation_without_a_body_takes_an_empty_one(
    client: Client, body: bytes, status: int
) -> None:
    headers = {"Content-Type": "application/json"}
    async with client.post("/v1/fail/declared", data=body, headers=headers) as answer:
        assert answer.status == status


async def test_a_status_missing_in_the_table_is_answered_and_logged(
    client: Client, log: Any
) -> None:
    async with client.post("/v1/odd") as answer:
        assert answer.status == 299
    assert [line["status_code"] for line in log("undeclared_status")] == [299]


async def test_an_error_missing_in_the_table_is_answered_and_logged(
    client: Client, log: Any
) -> None:
    for how in ("declared", "busy", "lost", "owned"):
        async with client.post(f"/v1/fail/{how}") as answer:
            assert answer.status >= 400
    # A lost connection is declared with its kind, the store that does not answer.
    assert [line["code"] for line in log("undeclared_error")] == ["already_owned"]


class Tree(msgspec.Struct, forbid_unknown_fields=True):
    children: list["Tree"]


class Loose(msgspec.Struct):
    name: str


class Holder(msgspec.Struct, forbid_unknown_fields=True):
    inner: list[tuple[Loose | None, ...]]


class Number(msgspec.Struct, forbid_unknown_fields=True):
    amount: Annotated[int, msgspec.Meta(ge=1, description="no upper bound")]


class Newline(msgspec.Struct, forbid_unknown_fields=True):
    word: Annotated[str, msgspec.Meta(pattern="^[a-z]+$", examples=["a"])]


class Free(msgspec.Struct, forbid_unknown_fields=True):
    word: str


@dataclass
class Inner:
    name: str


class Plain(msgspec.Struct, forbid_unknown_fields=True):
    inner: Inner


class Anything(msgspec.Struct, forbid_unknown_fields=True):
    inner: list[Any]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Tree, "holds itself"),
        (Loose, "Loose takes unknown fields"),
        (Holder, "Loose takes unknown fields"),
        (Anything, "an Any"),
        (Plain, "use a msgspec.Struct"),
        (Number, "give ge and le"),
        (Newline, "takes a newline"),
        (Free, "takes NUL"),
    ],
)
def test_loose_input_types_are_refused_at_start(kind: type, reason: str) -> None:
    with pytest.raises(TypeError, match=reason):
        parse.refuse_loose(kind)


@pytest.mark.parametrize("endpoint", ROUTES, ids=lambda endpoint: endpoint.operation_id)
def test_every_operation_takes_strict_input(endpoint: Endpoint) -> None:
    parse.refuse_loose(endpoint.query)
    parse.body_reader(endpoint.body)


def test_a_handler_must_say_what_it_takes() -> None:
    async def vague(_request: str) -> Reply:
        return Reply(200)

    endpoint = Endpoint("GET", "/", vague, None, {}, tag="")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="vague"):
        _ = endpoint.body


def test_a_call_has_only_what_its_endpoint_demands() -> None:
    async def public(_call: Call[Nothing, Nothing]) -> Reply:
        return Reply(200)

    endpoint = Endpoint("GET", "/p", public, None, {}, tag="")
    call = Call(endpoint, {}, lambda _: (), Nothing(), Nothing(), None, {}, {}, None)
    with pytest.raises(RuntimeError, match="/p is public"):
        _ = call.caller
    with pytest.raises(RuntimeError, match="/p does not demand"):
        _ = call.idempotency_key
