"""What schemathesis can't know of this shop. It is loaded by schemathesis, in a process of its own.

Only requests that are meant to be good are touched, so what is wrong on purpose stays wrong. Each
answer is written down, for the test to see how deep the requests went.
"""

import json
import os
import random
import time
from itertools import count
from typing import Any, Final
from uuid import uuid4

import requests
import schemathesis
from requests.auth import AuthBase

from service.providers.signature import HEADER, sign
from service.web.parse import IDEMPOTENCY_KEY

PRICES: Final[dict[str, Any]] = {"EUR": 999, "USD": 999, "GBP": 999, "JPY": 999}
OF_THE_SHOP: Final = frozenset({"game_unavailable", "provider_unknown", "idempotency_key_reused"})
"""Refusals of well-formed requests that depend on what the shop sells, through whom, and before."""

OF_THE_PROVIDER: Final = frozenset({"webhook_refused", "malformed_request"})
"""Refusals of webhooks whose secret or inner form only their provider knows."""

CREATE_PAYMENT: Final = "POST /v1/payments"
WEBHOOKS: Final = "POST /v1/webhooks/{provider}"
ENDPOINTS: Final = "/v1/admin/webhook-endpoints"
HELD: Final = ("/capture", "/cancel")

CONFLICT: Final = 409
TURN: Final = count()
LUCK: Final = random.Random(1)  # noqa: S311  the same in each run
GAME: Final = count()
ENDPOINT: Final[dict[str, str]] = {}
"""The merchant's endpoint that was registered here last."""

SHOPPER: Final = os.environ.get("SHOPPER", "")
"""A token to order and pay with beside what is tried; without one nothing is prepared."""

SIMULATOR_URL: Final = os.environ["SIMULATOR_URL"]
SECRET: Final = os.environ["SIMULATOR_WEBHOOK_SECRETS"]
ANSWERS: Final = os.environ["ANSWERS"]
TIMEOUT_S: Final = 30.0


class Signed(AuthBase):
    """Signs the body as it is sent."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if HEADER in request.headers:
            body = request.body or b""
            raw = body.encode() if isinstance(body, str) else bytes(body)  # type: ignore[arg-type]
            now = int(time.time())
            request.headers[HEADER] = f"t={now},v1={sign(SECRET, now, raw)}"
        return request


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Make a good request one that this shop can do something about."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    label = context.operation.label
    if IDEMPOTENCY_KEY in case.headers and mostly(8):
        case.headers[IDEMPOTENCY_KEY] = f"intent-{next(TURN)}"
    if label == WEBHOOKS:
        kwargs["auth"] = Signed()
    elif isinstance(case.body, dict):
        case.body = whole(case.body)
        if label == "POST /v1/orders":
            sell_what_there_is(case.body)
        elif label == CREATE_PAYMENT and mostly(4):
            case.body.pop("provider", None)
    if ENDPOINTS in label and isinstance(case.body, dict) and case.body.get("url"):
        case.body["url"] = new_url()  # of text that fits the schema nearly none is a URL
    if SHOPPER and case.meta.phase.name != "stateful" and mostly(4):
        name_what_there_is(label, case, case.operation.base_url.rstrip("/"))


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Write down what was answered."""
    good = case.meta is not None and case.meta.generation.mode.is_positive
    with open(ANSWERS, "a") as file:  # noqa: PTH123  a line an answer
        line = {
            "operation": context.operation.label,
            "good": good,
            "status": response.status_code,
            "code": problem_of(response).get("code", ""),
        }
        file.write(json.dumps(line) + "\n")


@schemathesis.hook
def filter_failure(_context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Let refusals be that no document can foretell; each of their codes is described in it."""
    if type(failure).__name__ != "RejectedPositiveData":
        return True
    problem = problem_of(response)
    if all(
        each["field"].startswith("$.evidence") for each in problem.get("errors", [{"field": ""}])
    ):
        return False  # an operator's words that the provider contradicts
    known = OF_THE_PROVIDER if case.operation.label == WEBHOOKS else OF_THE_SHOP
    return problem.get("code") not in known


def name_what_there_is(label: str, case: Any, url: str) -> None:
    """Put the id of an order, or of a payment in a fit status, in the place of an invented one."""
    path = case.path_parameters
    if label == CREATE_PAYMENT:
        if isinstance(case.body, dict) and "order_id" in case.body:
            case.body["order_id"] = new_order(url)
    elif "order_id" in path:
        path["order_id"] = new_order(url)
    elif "payment_id" in path:
        path["payment_id"] = new_payment(url, "manual" if label.endswith(HELD) else "automatic")
    elif "refund_id" in path:
        refunds = f"{url}/v1/payments/{new_payment(url, 'automatic')}/refunds"
        path["refund_id"] = made(refunds, {"amount": 1}) or path["refund_id"]
    elif "endpoint_id" in path:
        path["endpoint_id"] = endpoint = new_endpoint(url)
        if "delivery" in path:
            sent = asked("POST", f"{url}{ENDPOINTS}/{endpoint}/test", {"note": "x"})
            path["delivery"] = str(sent.json()["id"])
    elif "message" in path:
        answer = asked("GET", f"{url}/v1/admin/outbox?state=delivered&limit=1")
        for message in answer.json()["items"]:
            path["message"] = str(message["id"])


def new_url() -> str:
    """Return an endpoint's URL that none has yet; nobody is there."""
    return f"https://merchant-{uuid4()}.invalid/"


def new_endpoint(url: str) -> str:
    """Register an endpoint in the place of the one before; return its id."""
    if before := ENDPOINT.pop("id", ""):
        requests.post(
            f"{url}{ENDPOINTS}/{before}/close",
            json={"note": "x"},
            headers={"Authorization": f"Bearer {SHOPPER}"},
            timeout=TIMEOUT_S,
        )
    answer = asked("POST", f"{url}{ENDPOINTS}", {"url": new_url(), "note": "x"})
    ENDPOINT["id"] = str(answer.json()["endpoint"]["id"])
    return ENDPOINT["id"]


def new_order(url: str) -> str:
    """Order a game that nobody has; return the order's id."""
    return made(f"{url}/v1/orders", {"currency": "EUR", "items": [{"game_id": next_game()}]})


def new_payment(url: str, capture: str) -> str:
    """Pay a new order; return the payment's id."""
    payment = made(f"{url}/v1/payments", {"order_id": new_order(url), "capture": capture})
    assert payment, "a new order of a new game can be paid"
    return payment


def made(url: str, body: dict[str, Any]) -> str:
    """Return the id of what was made, "" if what is there does not allow it (409)."""
    answer = asked("POST", url, body)
    return "" if answer.status_code == CONFLICT else str(answer.json()["id"])


def asked(method: str, url: str, body: Any = None) -> requests.Response:
    """Ask the API beside schemathesis; raise HTTPError unless it is done, or can't be (409)."""
    headers = {"Authorization": f"Bearer {SHOPPER}", IDEMPOTENCY_KEY: str(uuid4())}
    answer = requests.request(method, url, json=body, headers=headers, timeout=TIMEOUT_S)
    if answer.status_code != CONFLICT:
        answer.raise_for_status()
    return answer


def next_game() -> str:
    """Put one game after the other into the catalog: nobody can own one twice."""
    name = f"tried-{next(GAME)}"
    game: dict[str, Any] = {"id": name, "title": name, "prices": PRICES, "available": True}
    answer = requests.post(f"{SIMULATOR_URL}/control/games", json=game, timeout=TIMEOUT_S)
    answer.raise_for_status()
    return name


def problem_of(response: Any) -> dict[str, Any]:
    """Return the problem document of an answer; an empty one if it is none."""
    if "application/problem+json" not in response.headers.get("content-type", []):
        return {}
    found: dict[str, Any] = json.loads(response.content)
    return found


def whole(value: Any) -> Any:
    """Write 5.0 as 5. To JSON Schema both are integers; of money we take no decimal point."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: whole(item) for name, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return value


def sell_what_there_is(body: dict[str, Any]) -> None:
    """Name each game once, which no schema can ask for, and mostly games that are for sale."""
    seen: dict[str, dict[str, Any]] = {}
    for item in body["items"]:
        if mostly(8):
            item["game_id"] = next_game()
        seen.setdefault(item["game_id"], item)
    body["items"] = list(seen.values())


def mostly(of: int) -> bool:
    """Return False once in so many calls, in the same ones in each run.

    Never by what a request holds: small examples repeat one key, which would always have no luck.
    """
    return LUCK.randrange(of) > 0
