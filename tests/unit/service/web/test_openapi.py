"""/openapi.json is valid, and says what the service does."""

from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from service.api.routes import ROUTES
from service.errors import ServiceError
from service.web.endpoint import Endpoint, Nothing
from service.web.openapi import document
from tests.unit.service.web.sample_api import Client, Slow, table


@pytest.fixture
async def served(client: Client) -> dict[str, Any]:
    async with client.get("/openapi.json") as answer:
        assert answer.headers["Content-Type"] == "application/json"
        found: dict[str, Any] = await answer.json()
        return found


async def test_the_served_document_is_valid(served: dict[str, Any], slow: Slow) -> None:
    validate(served)
    assert served["openapi"] == "3.1.0"
    assert served == document(table(slow), "dev")


def test_the_document_of_the_service_is_valid() -> None:
    made = document(ROUTES, "1.2.3")
    validate(made)
    assert made["info"]["version"] == "1.2.3"
    operations = [
        operation["operationId"] for item in made["paths"].values() for operation in item.values()
    ]
    assert sorted(operations) == sorted(endpoint.operation_id for endpoint in ROUTES)


async def test_an_operation_says_all_that_it_takes(served: dict[str, Any]) -> None:
    create = served["paths"]["/v1/things"]["post"]
    assert create["security"] == [{"bearer": []}]
    assert "`things:write`" in create["description"]
    assert {"$ref": "#/components/parameters/IdempotencyKey"} in create["parameters"]
    assert create["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Order"
    }
    assert served["components"]["schemas"]["Order"]["additionalProperties"] is False


async def test_parameters_are_typed(served: dict[str, Any]) -> None:
    listing = served["paths"]["/v1/things"]["get"]
    limit = {item.get("name"): item for item in listing["parameters"]}["limit"]
    assert limit["in"] == "query"
    assert limit["required"] is False
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
    reading = served["paths"]["/v1/things/{thing_id}/{kind}"]["get"]["parameters"]
    assert [(item["name"], item["schema"].get("format")) for item in reading[:2]] == [
        ("thing_id", "uuid"),
        ("kind", None),
    ]


async def test_a_public_operation_needs_no_token(served: dict[str, Any]) -> None:
    listing = served["paths"]["/v1/things"]["get"]
    assert listing["security"] == []
    assert not {"401", "403"} & set(listing["responses"])


@pytest.mark.parametrize("endpoint", ROUTES, ids=lambda endpoint: endpoint.operation_id)
def test_every_error_of_an_operation_is_described(endpoint: Endpoint) -> None:
    made = document(ROUTES, "1")
    responses = made["paths"][endpoint.path][endpoint.method.lower()]["responses"]
    error: type[ServiceError]
    for error in endpoint.every_error:
        answer = responses[str(error.status)]
        assert error.code in answer["content"]["application/problem+json"]["examples"]
        assert f"`{error.code}`" in answer["description"]


async def test_a_real_problem_fits_the_described_one(
    client: Client, served: dict[str, Any]
) -> None:
    async with client.get("/v1/things?limit=0") as answer:
        problem = await answer.json()
    schema = {"$ref": "#/components/schemas/Problem", "components": served["components"]}
    Draft202012Validator(schema).validate(problem)
    for example in served["components"]["examples"].values():
        Draft202012Validator(schema).validate(example["value"])


DOCUMENT = document(ROUTES, "1")
OPERATION_OBJECTS = [
    operation for item in DOCUMENT["paths"].values() for operation in item.values()
]
OPERATIONS = [pytest.param(each, id=each["operationId"]) for each in OPERATION_OBJECTS]


def check(schema: dict[str, Any], value: Any) -> None:
    whole = {**schema, "components": DOCUMENT["components"]}
    validator = Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)
    assert [error.message for error in validator.iter_errors(value)] == []


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_request_and_answer_has_an_example_that_fits(operation: dict[str, Any]) -> None:
    answers = operation["responses"].values()
    for content in [operation.get("requestBody", {}), *answers]:
        for media in content.get("content", {}).values():
            if "examples" in media:
                names = [each["$ref"].rsplit("/", 1)[1] for each in media["examples"].values()]
                values = [DOCUMENT["components"]["examples"][name]["value"] for name in names]
            else:
                values = [media["example"]]
            assert values
            for value in values:
                check(media["schema"], value)
    for parameter in operation["parameters"]:
        found = parameter
        if "$ref" in parameter:
            found = DOCUMENT["components"]["parameters"][parameter["$ref"].rsplit("/", 1)[1]]
        check(found["schema"], found["example"])


@pytest.mark.parametrize("endpoint", ROUTES, ids=lambda endpoint: endpoint.operation_id)
def test_the_example_of_a_request_is_taken_by_the_parser(endpoint: Endpoint) -> None:
    operation = DOCUMENT["paths"][endpoint.path][endpoint.method.lower()]
    if endpoint.body not in (bytes, Nothing):
        example = operation["requestBody"]["content"]["application/json"]["example"]
        msgspec.convert(example, endpoint.body)
    given = {
        each["name"]: str(each["example"])
        for each in operation["parameters"]
        if each.get("in") == "query"
    }
    msgspec.convert(given, endpoint.query, strict=False)


@pytest.mark.parametrize("endpoint", ROUTES, ids=lambda endpoint: endpoint.operation_id)
def test_the_example_of_an_answer_is_one_of_its_type(endpoint: Endpoint) -> None:
    answers = DOCUMENT["paths"][endpoint.path][endpoint.method.lower()]["responses"]
    for status, kind in endpoint.responses.items():
        example = answers[str(status)]["content"]["application/json"]["example"]
        msgspec.json.decode(msgspec.json.encode(example), type=kind)


OF_THE_PROVIDER = {("NextActionView", "type"), ("ParkedEvent", "type")}
"""Words that are not ours to list."""


def test_the_document_lists_what_can_be_listed() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        for field, found in schema.get("properties", {}).items():
            written = msgspec.json.encode(found).decode()
            if field.endswith("_at") or field == "at":
                assert '"format":"date-time"' in written, (name, field)
            answered = name.endswith(("View", "Event", "Capture", "Dispute", "Receipt"))
            listed = answered and field in {"status", "kind", "type", "outcome", "origin", "review"}
            if listed and (name, field) not in OF_THE_PROVIDER:
                assert '"enum"' in written or '"$ref"' in written, (name, field)


def test_every_list_is_a_page_with_a_name_of_its_own() -> None:
    lists = [endpoint for endpoint in ROUTES if endpoint.operation_id.startswith("list")]
    assert len(lists) > 10
    for endpoint in lists:
        answers = DOCUMENT["paths"][endpoint.path][endpoint.method.lower()]["responses"]
        name = answers["200"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        schema = DOCUMENT["components"]["schemas"][name]
        assert (name, schema["title"]) == (name.removesuffix("Page") + "Page", name)
        assert set(schema["properties"]) == {"items", "next_cursor"}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_header_of_an_answer_is_described(operation: dict[str, Any]) -> None:
    for status, answer in operation["responses"].items():
        assert {"X-Correlation-ID", "RateLimit", "RateLimit-Policy"} <= set(answer["headers"])
        assert ("Retry-After" in answer["headers"]) == (status in {"409", "429", "503"})
        for name in answer["headers"]:
            assert DOCUMENT["components"]["headers"][name]["description"].endswith(".")


def test_every_link_leads_to_an_operation_and_fills_what_it_takes() -> None:
    operations = {each["operationId"]: each for each in OPERATION_OBJECTS}
    answers = [answer for each in OPERATION_OBJECTS for answer in each["responses"].values()]
    links = [link for answer in answers for link in answer.get("links", {}).values()]
    assert len(links) > 20
    for link in links:
        target = operations[link["operationId"]]
        parameters, body = link.get("parameters", {}), link.get("requestBody", {})
        assert set(parameters) <= {each.get("name") for each in target["parameters"]}, link
        if body:
            assert set(body) <= set(target["requestBody"]["content"]["application/json"]["example"])
        for value in (*parameters.values(), *body.values()):
            assert value.startswith("$response.body#/"), link
