"""Whatever arrives, fit for the document or not: an answer that the document describes, no 5xx."""

import io
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import aiohttp
import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from service import logs
from service.http.endpoint import Endpoint, Nothing
from service.http.openapi import document
from service.http.parse import IDEMPOTENCY_KEY
from service.http.routes import ADMIN, READ, ROUTES, WRITE
from service.settings import Settings, load
from tests.integration.api.conftest import Api
from tests.support.services import bearer, settings

DOCUMENT: Final = document(ROUTES, "1")
SCHEMAS: Final = DOCUMENT["components"]["schemas"]
EXAMPLES: Final = 300
"""Enough for each operation to see fit and unfit input several times, within seconds."""

Schema = dict[str, Any]
Strategy = st.SearchStrategy[Any]

AN_ORDER: Final = "00000000-0000-4000-8000-000000000001"
"""Stands for an order that exists; the test puts its id here."""

NAMED: Final = re.compile(r"\{(\w+)\}")
IDS: Final = st.uuids().map(str) | st.just(AN_ORDER)
KEYS: Final = st.sampled_from(["k1", "k2", "k3"]) | st.text("a~ \t\u00e9", min_size=1, max_size=300)

JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def fitting(schema: Schema) -> Strategy:
    """Return values that the schema allows, as far as our own types use JSON Schema."""
    if "$ref" in schema:
        return fitting(SCHEMAS[schema["$ref"].rsplit("/", 1)[1]])
    if "anyOf" in schema:
        return st.one_of([fitting(each) for each in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    return BY_TYPE[schema["type"]](schema)


def texts(schema: Schema) -> Strategy:
    if "pattern" in schema:
        return st.from_regex(schema["pattern"], fullmatch=True)
    if schema.get("format") == "uuid":
        return IDS
    return st.text(min_size=schema.get("minLength", 0), max_size=schema["maxLength"])


def objects(schema: Schema) -> Strategy:
    fields = {name: fitting(each) for name, each in schema.get("properties", {}).items()}
    required = schema.get("required", [])
    return st.fixed_dictionaries(
        {name: fields[name] for name in required},
        optional={name: each for name, each in fields.items() if name not in required},
    )


BY_TYPE: Final[dict[str, Callable[[Schema], Strategy]]] = {
    "string": texts,
    "integer": lambda schema: st.integers(schema["minimum"], schema["maximum"]),
    "null": lambda _schema: st.none(),
    "array": lambda schema: st.lists(fitting(schema["items"]), min_size=1, max_size=3),
    "object": objects,
}


@st.composite
def requests(draw: st.DrawFn) -> tuple[Endpoint, str, dict[str, str], dict[str, str], bytes]:
    """Draw an operation with a path, a query, headers and a body, each fit or unfit."""
    endpoint = draw(st.sampled_from(ROUTES))
    operation = DOCUMENT["paths"][endpoint.path][endpoint.method.lower()]
    identifier = draw(IDS)
    word = draw(st.sampled_from(["simulator", "stripe", "1", "no-such-thing"]))
    path = NAMED.sub(lambda found: identifier if found[1].endswith("_id") else word, endpoint.path)
    known = {item["name"]: item["schema"] for item in operation["parameters"] if "name" in item}
    query = {
        name: str(draw(fitting(schema) | st.text()))
        for name, schema in known.items()
        if "{" + name + "}" not in endpoint.path and draw(st.booleans())
    }
    headers = {"Content-Type": "application/json"}
    if draw(st.integers(0, 9)):
        headers[IDEMPOTENCY_KEY] = draw(KEYS)
    return endpoint, path, query, headers, draw(bodies(operation))


def bodies(operation: Schema) -> st.SearchStrategy[bytes]:
    unfit = JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=64)
    if "requestBody" not in operation:
        return st.just(b"") | st.just(b"{}") | unfit
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    return unfit | fitting(schema).map(msgspec.json.encode)


@pytest.fixture
async def session(api: Api) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {bearer('mallory', f'{READ} {WRITE} {ADMIN}')}"}
    async with aiohttp.ClientSession(api.url, headers=headers) as session:
        yield session


@pytest.fixture
async def order_id(api: Api) -> str:
    async with api.client("mallory") as client:
        return str((await client.order(["game-1"]))["id"])


@pytest.fixture
def log(database_url: str) -> io.BytesIO:
    stream = io.BytesIO()
    logs.configure(quiet(database_url), stream)
    return stream


def quiet(database_url: str) -> Settings:
    base = settings(database_url=database_url, redis_url="", simulator_url="http://127.0.0.1:1")
    return load({**base, "LOG_LEVEL": "error"})


@given(drawn=requests())
@hypothesis_settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_every_request_gets_an_answer_of_the_document(
    log: io.BytesIO, session: aiohttp.ClientSession, order_id: str, drawn: Any
) -> None:
    endpoint, path, query, headers, body = drawn
    path, body = (
        path.replace(AN_ORDER, order_id),
        body.replace(AN_ORDER.encode(), order_id.encode()),
    )
    async with session.request(
        endpoint.method, path, params=query, headers=headers, data=body or None
    ) as answer:
        found = await answer.json(content_type=None)
    described = DOCUMENT["paths"][endpoint.path][endpoint.method.lower()]["responses"]
    assert answer.status < 500, found
    content = described[str(answer.status)]["content"][answer.content_type]
    Draft202012Validator({**content["schema"], "components": {"schemas": SCHEMAS}}).validate(found)
    if answer.status >= 400:
        assert found["code"] in content["examples"]
    assert log.getvalue() == b""


WITH_BODY: Final = [each for each in ROUTES if each.body not in (bytes, Nothing)]


@given(data=st.data())
def test_what_is_drawn_as_fitting_is_taken_by_the_types(data: st.DataObject) -> None:
    # Guards the test above: if nothing that fits were drawn, it would only try the parser.
    endpoint = data.draw(st.sampled_from(WITH_BODY))
    body = data.draw(fitting({"$ref": f"#/components/schemas/{endpoint.body.__name__}"}))
    assert isinstance(msgspec.convert(body, endpoint.body), endpoint.body)
