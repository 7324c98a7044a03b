"""A client that knows /openapi.json and nothing else buys a game and gives it back.

It finds operations by their ids, takes bodies from the examples, and checks each answer against
the schema that the document promises.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from uuid import uuid4

import aiohttp
from jsonschema import Draft202012Validator

from tests.support.services import Services, bearer

Json = dict[str, Any]


@dataclass(frozen=True)
class Operation:
    """How to call one operation, as the document tells."""

    method: str
    path: str
    described: Json


class DocumentClient:
    """Speaks to an API by its document."""

    def __init__(self, session: aiohttp.ClientSession, document: Json) -> None:
        self._session = session
        self._document = document
        self._operations = {
            described["operationId"]: Operation(method, path, described)
            for path, item in document["paths"].items()
            for method, described in item.items()
        }

    @classmethod
    async def read(cls, session: aiohttp.ClientSession) -> Self:
        """Fetch the document."""
        async with session.get("/openapi.json") as answer:
            return cls(session, await answer.json())

    async def call(self, name: str, /, *, body: Json | None = None, **path: str) -> Json:
        """Call an operation; `body` changes its example. Fail if the answer was not promised."""
        operation = self._operations[name]
        content = operation.described.get("requestBody", {}).get("content", {})
        sent = None
        if content:
            example = content["application/json"]["example"]
            sent = {**example, **body} if body else example
        async with self._session.request(
            operation.method.upper(),
            operation.path.format_map(path),
            json=sent,
            headers=self._headers(operation.described),
        ) as answer:
            promised = operation.described["responses"][str(answer.status)]
            assert answer.status < 300, await answer.text()
            found: Json = await answer.json()
            self._check(promised, answer.headers, answer.content_type, found)
            return found

    def _headers(self, described: Json) -> dict[str, str]:
        parameters = [self._resolved(each) for each in described["parameters"]]
        return {
            each["name"]: str(uuid4())
            for each in parameters
            if each["in"] == "header" and each["required"]
        }

    def _check(self, promised: Json, headers: Mapping[str, str], media: str, found: Json) -> None:
        schema = {
            **promised["content"][media]["schema"],
            "components": self._document["components"],
        }
        assert [each.message for each in Draft202012Validator(schema).iter_errors(found)] == []
        optional = {"Idempotent-Replayed"}
        assert set(promised["headers"]) - optional <= set(headers)

    def _resolved(self, given: Json) -> Json:
        found: Json = given
        if "$ref" in given:
            found = self._document
            for part in given["$ref"].removeprefix("#/").split("/"):
                found = found[part]
        return found


async def test_the_document_is_enough_to_pay_and_refund(start_service: Services) -> None:
    api = await start_service("api")
    headers = {"Authorization": f"Bearer {bearer('reader')}"}
    async with aiohttp.ClientSession(api.url, headers=headers) as session:
        client = await DocumentClient.read(session)
        order = await client.call("createOrder")
        body = {"order_id": order["id"], "provider": None}
        payment = await client.call("createPayment", body=body)
        assert (payment["status"], payment["captured"]) == ("succeeded", order["total"])
        refund = await client.call(
            "createRefund", body={"amount": payment["captured"]}, payment_id=payment["id"]
        )
        assert (refund["status"], refund["amount"]) == ("succeeded", order["total"])
        paid = await client.call("getPayment", payment_id=payment["id"])
        assert (paid["refunded"], paid["refund_pending"]) == (order["total"], 0)
        listed = await client.call("listRefunds", payment_id=payment["id"])
        assert [each["id"] for each in listed["items"]] == [refund["id"]]
        events = await client.call("getTimeline", payment_id=payment["id"])
        assert events["items"]
