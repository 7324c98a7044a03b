"""The Stripe adapter against answers as Stripe gives them: what each means for the money."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest

from service.domain.money import Money
from service.domain.payment import Charge, ChargeOutcome, NextAction
from service.ids import made_at, new_id
from service.providers.port import (
    ChargeOpenError,
    ChargeRequest,
    HeldRequest,
    NoSuchChargeError,
    NotSentError,
    OutcomeUnknownError,
    RefundRequest,
)
from service.providers.stripe import adapter
from service.providers.stripe.adapter import StripeProvider
from tests.integration.providers.conftest import Calls, Connect
from tests.support.recorded import (
    Recorded,
    error,
    intent,
    page,
    recorded_server,
)

PRICE = Money(1999, "EUR")
PI = "pi_3PgafyB7WZ01zgkW"


@pytest.fixture
async def server() -> AsyncIterator[Recorded]:
    async with recorded_server() as recorded:
        yield recorded


@pytest.fixture
def provider(connect: Connect, server: Recorded) -> StripeProvider:
    return StripeProvider(connect(server.url, "sk_test_x", timeout_s=0.5))


def a_charge(*, capture: bool = True) -> ChargeRequest:
    return ChargeRequest(new_id(), new_id(), PRICE, capture, "pm_card_visa")


def held() -> HeldRequest:
    return HeldRequest(new_id(), PI, PRICE)


def a_refund() -> RefundRequest:
    return RefundRequest(new_id(), PI, Money(500, "EUR"))


async def test_a_charge_is_one_request_with_key_version_and_our_names(
    provider: StripeProvider, server: Recorded
) -> None:
    request = a_charge()
    server.will((200, intent("succeeded")))
    assert await provider.charge(request) == Charge(ChargeOutcome.SUCCEEDED, PI, PRICE)
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/v1/payment_intents")
    assert asked.form == {
        "amount": "1999",
        "currency": "eur",
        "capture_method": "automatic",
        "confirm": "true",
        "payment_method": "pm_card_visa",
        "payment_method_types[0]": "card",
        "metadata[payment_id]": str(request.payment_id),
        "metadata[attempt_id]": str(request.attempt_id),
    }
    assert asked.headers["Idempotency-Key"] == str(request.attempt_id)
    assert asked.headers["Stripe-Version"] == adapter.VERSION
    assert asked.headers["Authorization"] == "Bearer sk_test_x"
    assert asked.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert asked.headers["X-Correlation-ID"] == "a-correlation-id"


async def test_a_repeat_is_the_same_request_to_the_letter(
    provider: StripeProvider, server: Recorded
) -> None:
    request = a_charge(capture=False)
    server.will((200, intent("requires_capture")), (200, intent("requires_capture")))
    first, second = await provider.charge(request), await provider.charge(request)
    assert first == second == Charge(ChargeOutcome.AUTHORIZED, PI, PRICE)
    assert server.asked[0].form == server.asked[1].form
    assert server.asked[0].headers["Idempotency-Key"] == server.asked[1].headers["Idempotency-Key"]


async def test_the_buyer_is_told_what_to_do(connect: Connect, server: Recorded) -> None:
    provider = StripeProvider(connect(server.url, "sk"), return_url="https://shop.example/back")
    page_of_bank = "https://hooks.stripe.com/3d_secure_2/hosted"
    action = {
        "type": "redirect_to_url",
        "redirect_to_url": {"url": page_of_bank, "return_url": "https://shop.example/back"},
    }
    server.will(
        (200, intent("requires_action", next_action=action)),
        (200, intent("requires_action", next_action={"type": "use_stripe_sdk"})),
    )
    secret = "pi_3PgafyB7WZ01zgkW_secret_Dm43xiq1k0"
    charge = await provider.charge(a_charge())
    assert charge.outcome is ChargeOutcome.REQUIRES_ACTION
    assert charge.next_action == NextAction("redirect_to_url", page_of_bank, secret)
    assert secret not in repr(charge)  # it completes the payment, so no log may have it
    assert server.asked[0].form["return_url"] == "https://shop.example/back"
    again = await provider.get_charge(PI)
    assert again.next_action == NextAction("use_stripe_sdk", None, secret)


def of_a_card(code: str, **more: Any) -> dict[str, Any]:
    trouble = {"type": "card_error", "code": code, **more}
    declined = intent("requires_payment_method", last_payment_error=trouble)
    return error("card_error", code, payment_intent=declined, **more)


@pytest.mark.parametrize(
    ("status", "body", "outcome", "code"),
    [
        (402, of_a_card("card_declined", decline_code="do_not_honor"), "declined", "do_not_honor"),
        (
            402,
            of_a_card("card_declined", decline_code="insufficient_funds"),
            "declined",
            "insufficient_funds",
        ),
        (402, of_a_card("expired_card"), "declined", "expired_card"),
        (400, error("invalid_request_error", "resource_missing"), "rejected", "resource_missing"),
        (
            400,
            error("invalid_request_error", "resource_missing", param="payment_method"),
            "declined",
            "resource_missing",
        ),
        (400, error("invalid_request_error", "amount_too_small"), "rejected", "amount_too_small"),
        (400, error("invalid_request_error"), "rejected", "unspecified"),
        (404, error("invalid_request_error", "resource_missing"), "rejected", "resource_missing"),
    ],
)
async def test_a_definite_no_is_final(
    provider: StripeProvider,
    server: Recorded,
    calls: Calls,
    status: int,
    body: dict[str, Any],
    outcome: str,
    code: str,
) -> None:
    server.will((status, body))
    charge = await provider.charge(a_charge())
    assert (charge.outcome, charge.failure_code) == (ChargeOutcome(outcome), code)
    expected = {400: "refused", 402: "declined", 404: "ok"}[status]
    assert calls == [("charge", expected)]


@pytest.mark.parametrize(
    "answer",
    [
        (401, error("invalid_request_error")),
        (403, error("invalid_request_error")),
        (429, error("invalid_request_error", "rate_limit")),
    ],
)
async def test_what_is_refused_before_any_work_was_not_done(
    provider: StripeProvider, server: Recorded, answer: tuple[int, Any]
) -> None:
    server.will(answer)
    with pytest.raises(NotSentError) as caught:
        await provider.charge(a_charge())
    assert caught.value.passing == (answer[0] == 429)  # a refused key is refused again
    assert caught.value.retry_after_s == 0.0


@pytest.mark.parametrize(("header", "rest_s"), [("1", 1.0), ("0", 0.0), ("soon", 0.0), ("-5", 0.0)])
async def test_a_limit_that_is_reached_says_when_it_is_over(
    provider: StripeProvider, server: Recorded, header: str, rest_s: float
) -> None:
    server.retry_after = header
    server.will((429, error("invalid_request_error", "rate_limit")))
    with pytest.raises(NotSentError) as caught:
        await provider.charge(a_charge())
    assert caught.value.passing
    assert caught.value.retry_after_s == rest_s


@pytest.mark.parametrize(
    ("answer", "answered"),
    [
        ("reset", False),
        ("silence", False),
        ((500, error("api_error")), False),
        ((503, "upstream"), False),
        ((200, "{"), False),
        ((200, "[]"), False),
        ((200, {"id": "pi_1"}), False),
        ((400, "no JSON at all"), False),
        ((402, {"error": "a string"}), False),
        ((409, error("idempotency_error", "idempotency_key_in_use")), True),
        ((400, error("idempotency_error")), True),
        ((429, error("invalid_request_error", "lock_timeout")), True),
        ((424, error("api_error")), True),
        ((302, error("api_error")), False),
        ((200, intent("processing")), True),
        ((200, intent("requires_confirmation")), True),
        ((402, error("card_error", payment_intent=intent("processing"))), True),
    ],
)
async def test_what_is_not_certain_is_unknown_and_nothing_else(
    provider: StripeProvider,
    server: Recorded,
    answer: tuple[int, Any] | str,
    answered: bool,  # noqa: FBT001
) -> None:
    server.will(answer)
    with pytest.raises(OutcomeUnknownError) as caught:
        await provider.charge(a_charge())
    assert caught.value.answered == answered


async def test_a_connection_that_is_refused_was_not_used(connect: Connect) -> None:
    provider = StripeProvider(connect("http://127.0.0.1:1", "sk"))
    with pytest.raises(NotSentError) as caught:
        await provider.charge(a_charge())
    assert caught.value.passing


async def test_an_attempt_is_found_by_its_own_id_only(
    provider: StripeProvider, server: Recorded
) -> None:
    request = a_charge()
    ours = {"attempt_id": str(request.attempt_id)}
    server.will(
        (200, page(intent("succeeded", metadata=ours))),
        (200, page(intent("succeeded", metadata={"attempt_id": str(new_id())}))),
        (200, page()),
    )
    found = await provider.find_charge(request)
    assert found == Charge(ChargeOutcome.SUCCEEDED, PI, PRICE, attempt_id=request.attempt_id)
    assert await provider.find_charge(request) is None
    assert await provider.find_charge(request) is None
    query = {"query": f"metadata['attempt_id']:'{request.attempt_id}'", "limit": "1"}
    assert [asked.query for asked in server.asked] == [query] * 3
    assert {asked.path for asked in server.asked} == {"/v1/payment_intents/search"}


async def test_a_charge_is_whose_stripe_says_it_is(
    provider: StripeProvider, server: Recorded
) -> None:
    payment_id, attempt_id = new_id(), new_id()
    ours = {"payment_id": str(payment_id), "attempt_id": str(attempt_id)}
    server.will(
        (200, intent("succeeded", metadata=ours)),
        (200, intent("succeeded", metadata={"payment_id": "7", "order": "x"})),
        (200, intent("processing", metadata=ours)),
        (404, error("invalid_request_error", "resource_missing")),
    )
    found = [await provider.get_charge(PI) for _ in range(2)]
    assert [(c.payment_id, c.attempt_id) for c in found] == [
        (payment_id, attempt_id),
        (None, None),
    ]
    with pytest.raises(ChargeOpenError) as caught:
        await provider.get_charge(PI)
    assert caught.value.payment_id == payment_id
    with pytest.raises(NoSuchChargeError):
        await provider.get_charge(PI)


@pytest.mark.parametrize("ref", ["../v1/accounts", "pi_1?x=1", "pi_1#x", "pi_1/capture", "a%2Fb"])
async def test_a_reference_stays_one_segment_of_the_path(
    provider: StripeProvider, server: Recorded, ref: str
) -> None:
    """Wherever it came from, no other thing of Stripe's is asked or changed."""
    server.otherwise = lambda _: (404, error("invalid_request_error", "resource_missing"))
    request = HeldRequest(new_id(), ref, PRICE)
    with pytest.raises(NoSuchChargeError):
        await provider.get_charge(ref)
    for operation in (provider.capture, provider.cancel):
        assert (await operation(request)).outcome is ChargeOutcome.REJECTED
    named = ["", "v1", "payment_intents", ref]
    assert [list(map(unquote, asked.raw_path.split("/"))) for asked in server.asked] == [
        named,
        [*named, "capture"],
        [*named, "cancel"],
    ]


@pytest.mark.parametrize("ref", ["", ".", ".."])
async def test_what_is_no_reference_is_not_asked_for(
    provider: StripeProvider, server: Recorded, ref: str
) -> None:
    for ask in (provider.get_charge(ref), provider.capture(HeldRequest(new_id(), ref, PRICE))):
        with pytest.raises(NotSentError):
            await ask
    assert server.asked == []


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((500, error("api_error")), OutcomeUnknownError),
        ((400, error("invalid_request_error", "resource_missing")), OutcomeUnknownError),
        ((404, error("invalid_request_error", "resource_missing")), OutcomeUnknownError),
        ((401, error("invalid_request_error")), NotSentError),
        ((200, {"data": [{}], "has_more": False}), OutcomeUnknownError),
    ],
)
async def test_a_look_up_that_fails_tells_nothing_about_the_charge(
    provider: StripeProvider, server: Recorded, answer: tuple[int, Any], kind: type[Exception]
) -> None:
    lookups: list[Callable[[], Awaitable[object]]] = [
        lambda: provider.find_charge(a_charge()),
        lambda: provider.get_charge(PI),
        lambda: provider.find_refund(a_refund()),
    ]
    for look_up in lookups:
        server.will(answer)
        with pytest.raises(kind):
            await look_up()


async def test_a_key_that_stripe_may_have_forgotten_is_not_used_again(
    connect: Connect, server: Recorded
) -> None:
    """After 24 hours the same key would make a second charge."""
    later = StripeProvider(connect(server.url, "sk"), clock=lambda: time.time() + 23 * 3600 + 1)
    repeats: list[Callable[[], Awaitable[object]]] = [
        lambda: later.charge(a_charge()),
        lambda: later.capture(held()),
        lambda: later.refund(a_refund()),
    ]
    for repeat in repeats:
        with pytest.raises(OutcomeUnknownError, match="too old"):
            await repeat()
    assert server.asked == []
    nearly = StripeProvider(connect(server.url, "sk"), clock=lambda: time.time() + 23 * 3600 - 60)
    server.will((200, intent("succeeded")))
    assert (await nearly.charge(a_charge())).outcome is ChargeOutcome.SUCCEEDED


def test_an_id_tells_when_it_was_made() -> None:
    made = made_at(new_id())
    assert made is not None
    assert abs(made - datetime.now(UTC)) < timedelta(seconds=5)


async def test_a_capture_and_a_cancellation(provider: StripeProvider, server: Recorded) -> None:
    server.will((200, intent("succeeded")), (200, intent("canceled")))
    assert await provider.capture(held()) == Charge(ChargeOutcome.SUCCEEDED, PI, PRICE)
    assert await provider.cancel(held()) == Charge(ChargeOutcome.CANCELED, PI, PRICE)
    capture, cancel = server.asked
    assert (capture.path, capture.form) == (
        f"/v1/payment_intents/{PI}/capture",
        {"amount_to_capture": "1999"},
    )
    assert (cancel.path, cancel.form) == (f"/v1/payment_intents/{PI}/cancel", {})


@pytest.mark.parametrize(
    ("present", "outcome"),
    [
        ("succeeded", ChargeOutcome.SUCCEEDED),
        ("canceled", ChargeOutcome.CANCELED),
        ("requires_capture", ChargeOutcome.REJECTED),
    ],
)
async def test_a_refused_operation_tells_where_the_payment_is(
    provider: StripeProvider, server: Recorded, present: str, outcome: ChargeOutcome
) -> None:
    code = "payment_intent_unexpected_state"
    server.will((400, error("invalid_request_error", code, payment_intent=intent(present))))
    assert (await provider.capture(held())).outcome is outcome


async def test_only_what_was_received_counts_as_captured(
    provider: StripeProvider, server: Recorded
) -> None:
    server.will((200, intent("succeeded", amount_received=1500)))
    assert (await provider.capture(held())).captured == 1500
