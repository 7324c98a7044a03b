"""/openapi.json is valid, and says what the service does."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from service.errors import ServiceError
from service.http.endpoint import Endpoint
from service.http.openapi import document
from service.http.routes import ROUTES
from tests.unit.service.http.sample_api import Client, Slow, table


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
