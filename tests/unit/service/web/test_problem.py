"""Every error is a problem document, and none says more than the client may know."""

from typing import Any

import pytest

from service.errors import ProblemField, ServiceError, ValidationFailedError
from service.web.problem import describe, type_uri
from tests.unit.service.web.sample_api import Client, Lines


async def problem_of(client: Client, method: str, path: str) -> tuple[int, dict[str, Any], Any]:
    async with client.request(method, path, allow_redirects=False) as answer:
        assert answer.headers["Content-Type"] == "application/problem+json"
        return answer.status, await answer.json(content_type=None), answer.headers


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/v1/fail/declared", 409, "order_not_payable"),
        ("POST", "/v1/fail/busy", 503, "overloaded"),
        ("POST", "/v1/fail/timeout", 500, "internal_error"),
        ("POST", "/v1/fail/teapot", 500, "internal_error"),
        ("POST", "/v1/fail/public", 500, "internal_error"),
        ("POST", "/v1/fail/unforeseen", 500, "internal_error"),
        ("GET", "/v1/nowhere", 404, "not_found"),
        ("GET", "/v1/fail/declared", 405, "method_not_allowed"),
        ("PURGE", "/v1/things", 405, "method_not_allowed"),
    ],
)
async def test_each_error_has_its_document(
    client: Client, method: str, path: str, status: int, code: str
) -> None:
    answered, document, headers = await problem_of(client, method, path)
    assert (answered, document["status"], document["code"]) == (status, status, code)
    assert document["type"] == type_uri(code)
    assert document["correlation_id"] == headers["X-Correlation-ID"]
    assert set(document) == {"type", "title", "status", "detail", "code", "correlation_id"}


async def test_the_detail_of_a_known_error_is_shown(client: Client) -> None:
    _, document, _ = await problem_of(client, "POST", "/v1/fail/declared")
    assert (document["title"], document["detail"]) == ("The order cannot be paid", "It is canceled")


async def test_an_unforeseen_error_shows_nothing_and_is_logged_in_full(
    client: Client, log: Lines
) -> None:
    _, document, _ = await problem_of(client, "POST", "/v1/fail/unforeseen")
    assert document["detail"] == document["title"] == "Something went wrong"
    (line,) = log("unexpected_error")
    assert "RuntimeError" in line["exception"]
    assert "Traceback" in line["exception"]
    assert line["correlation_id"] == document["correlation_id"]
    assert "hunter2" not in line["exception"]
    assert line["level"] == "error"


async def test_an_error_of_aiohttp_that_nobody_foresaw_shows_nothing(
    client: Client, log: Lines
) -> None:
    _, document, _ = await problem_of(client, "POST", "/v1/fail/teapot")
    assert "raw reason" not in str(document)
    assert [line["reason"] for line in log("unexpected_http_error")] == ["the raw reason"]


async def test_retry_after_comes_with_the_error(client: Client) -> None:
    _, _, headers = await problem_of(client, "POST", "/v1/fail/busy")
    assert headers["Retry-After"] == "7"


async def test_405_says_what_is_allowed(client: Client) -> None:
    _, _, headers = await problem_of(client, "DELETE", "/v1/things")
    assert {word.strip() for word in headers["Allow"].split(",")} == {"GET", "POST"}


async def test_a_redirect_is_no_error(client: Client) -> None:
    async with client.post("/v1/fail/moved", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, "/health/live")


def test_field_errors_are_listed() -> None:
    error = ValidationFailedError(fields=(ProblemField("$.a", "wrong"), ProblemField("$.b", "too")))
    document = describe(error, "c-1")
    assert [(item.field, item.detail) for item in document.errors] == [
        ("$.a", "wrong"),
        ("$.b", "too"),
    ]


def test_no_two_errors_share_a_code() -> None:
    classes = ServiceError.__subclasses__()
    assert len({error.code for error in classes}) == len(classes) > 20
