"""A provider that has surely done nothing is stood in for; one that may have, is not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID, uuid4

import pytest

from scripts.platform.client import Client, Reply
from service.store import idempotency
from service.store.database import Database
from tests.integration.api.conftest import Api, Start
from tests.support.recorded import Recorded, error, intent, paid, recorded_server

BOTH = {"PROVIDERS": "simulator,stripe", "STRIPE_API_KEY": "sk_test_x"}
STRIPE = {**BOTH, "PROVIDERS": "stripe", "DEFAULT_PROVIDER": "stripe"}
NOBODY = "http://127.0.0.1:1"
DOWN = {**BOTH, "SIMULATOR_URL": NOBODY}
LOCKED_S = 31  # the default lock and a moment


@pytest.fixture
async def stripe() -> AsyncIterator[Recorded]:
    async with recorded_server() as recorded:
        recorded.otherwise = paid
        yield recorded


async def payments_of(client: Client, order: dict[str, str]) -> list[tuple[str, str]]:
    found = await client.read(f"/v1/payments?order_id={order['id']}")
    return sorted((payment["provider"], payment["status"]) for payment in found["items"])


def counted(api: Api, sample: str) -> float:
    text = api.context.metrics.exposition().decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(sample))


def charges(api: Api, provider: str) -> float:
    return counted(api, f'payment_provider_requests_total{{operation="charge",outcome="error",'
                        f'provider="{provider}"}}')  # fmt: skip


async def test_the_next_provider_takes_over(start_api: Start, stripe: Recorded) -> None:
    api, key = await start_api(**DOWN, STRIPE_URL=stripe.url), str(uuid4())
    async with api.client() as ada:
        order = await ada.order(["game-1"])
        payment = (await ada.pay(order["id"], key=key)).expect(201).body
        assert (payment["provider"], payment["status"]) == ("stripe", "succeeded")
        assert await payments_of(ada, order) == [("simulator", "failed"), ("stripe", "succeeded")]
        again = (await ada.pay(order["id"], key=key)).expect(201)
        assert again.replayed
        assert again.body == payment
        await api.deliver()
        assert (await ada.read(f"/v1/orders/{order['id']}"))["status"] == "fulfilled"
    assert len(stripe.asked) == 1
    assert counted(api, 'payment_provider_failovers_total{provider="simulator"}') == 1
    await api.sound()


async def test_a_provider_that_was_asked_for_is_not_exchanged(
    start_api: Start, stripe: Recorded
) -> None:
    api = await start_api(**DOWN, STRIPE_URL=stripe.url)
    async with api.client() as ada:
        order = await ada.order(["game-1"])

        reply = await ada.pay(order["id"], provider="simulator")
        assert reply.expect(201).body["failure_code"] == "provider_unavailable"
    assert stripe.asked == []
    await api.sound()


@pytest.mark.impatient
@pytest.mark.parametrize("fault", ["timeout_after", "timeout_before", "reset_after", "malformed"])
async def test_what_may_have_been_charged_is_never_charged_elsewhere(
    start_api: Start, stripe: Recorded, fault: str
) -> None:
    api = await start_api(**BOTH, STRIPE_URL=stripe.url)
    await api.simulator.fault("provider.charge", fault, times=1)
    async with api.client() as ada:
        order = await ada.order(["game-1"])
        assert (await ada.pay(order["id"])).expect(202).body["status"] == "unknown"
        assert (await ada.pay(order["id"])).expect(409).body["code"] == "live_payment_exists"
        api.clock.forward(seconds=1)
        assert await api.complete() == 1
        assert await payments_of(ada, order) == [("simulator", "succeeded")]
    assert stripe.asked == []
    assert len((await api.simulator.state())["charges"]) == 1
    await api.sound()


async def test_a_bank_that_says_no_is_not_asked_again_through_another_provider(
    start_api: Start, stripe: Recorded
) -> None:
    api = await start_api(**BOTH, STRIPE_URL=stripe.url)
    async with api.client() as ada:
        order = await ada.order(["game-1"])
        body = (await ada.pay(order["id"], payment_method="pm_declined")).expect(201).body
        assert (body["provider"], body["status"]) == ("simulator", "failed")
    assert stripe.asked == []
    assert counted(api, 'payments_total{provider="simulator",status="declined"}') == 1


@pytest.mark.parametrize(("status", "tries"), [(401, 1), (429, 3)])
async def test_a_provider_that_refuses_us_and_not_the_buyer_is_stood_in_for(
    start_api: Start, stripe: Recorded, status: int, tries: int
) -> None:
    api = await start_api(**BOTH, STRIPE_URL=stripe.url)
    await api.simulator.fault("provider.charge", "status", status=status, times=tries)
    async with api.client() as ada:
        order = await ada.order(["game-1"])
        assert (await ada.pay(order["id"])).expect(201).body["provider"] == "stripe"
    assert charges(api, "simulator") == tries
    await api.sound()


@pytest.mark.parametrize("rest", [None, "1"])
async def test_a_limit_that_passes_is_waited_for_under_the_same_key(
    start_api: Start, stripe: Recorded, rest: str | None
) -> None:
    refused = (429, error("invalid_request_error", "rate_limit"))
    stripe.will(refused)
    stripe.retry_after = rest
    api = await start_api(**STRIPE, STRIPE_URL=stripe.url)
    async with api.client() as ada:
        order = await ada.order(["game-1"])
        payment = (await ada.pay(order["id"])).expect(201).body
    assert (payment["status"], payment["failure_code"]) == ("succeeded", None)
    assert len(stripe.asked) == 2
    assert len({asked.headers["Idempotency-Key"] for asked in stripe.asked}) == 1
    await api.sound()


async def test_a_limit_that_lasts_is_not_waited_for(start_api: Start, stripe: Recorded) -> None:
    stripe.will(*[(429, error("invalid_request_error", "rate_limit"))] * 9)
    stripe.retry_after = "60"
    api = await start_api(**STRIPE, STRIPE_URL=stripe.url)
    async with api.client() as ada:
        order = await ada.order(["game-1"])
        payment = (await ada.pay(order["id"])).expect(201).body
        assert (payment["status"], payment["failure_code"]) == ("failed", "provider_unavailable")
        assert len(stripe.asked) == 1
        stripe.retry_after = None
        assert (await ada.pay(order["id"])).expect(201).body["status"] == "failed"
    assert len(stripe.asked) == 4  # three tries
    await api.sound()


async def test_when_all_are_down_the_payment_fails_and_says_so_again(start_api: Start) -> None:
    api, key = await start_api(**DOWN, STRIPE_URL=NOBODY), str(uuid4())
    async with api.client() as ada:
        order = await ada.order(["game-1"])
        payment = (await ada.pay(order["id"], key=key)).expect(201).body
        assert (payment["provider"], payment["failure_code"]) == ("stripe", "provider_unavailable")
        assert (await ada.pay(order["id"], key=key)).expect(201).replayed
        assert await payments_of(ada, order) == [("simulator", "failed"), ("stripe", "failed")]
        assert (await ada.read(f"/v1/orders/{order['id']}"))["status"] == "pending"
    await api.sound()


Free = Callable[[Database, UUID], Awaitable[bool]]


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_crash_between_two_providers_is_repaired_by_the_repeat(
    start_api: Start, stripe: Recorded, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The first payment has failed; its key is still held, or already free."""
    free: Free = idempotency.free
    crashing = await start_api(**DOWN, STRIPE_URL=stripe.url)
    key = str(uuid4())

    async def crash(db: Database, payment_id: UUID) -> bool:
        if moment == "after":
            await free(db, payment_id)
        raise asyncio.CancelledError  # what the request's task meets when its process ends

    monkeypatch.setattr(idempotency, "free", crash)
    async with crashing.client() as ada:
        order = await ada.order(["game-1"])
        with pytest.raises(Exception):  # noqa: B017, PT011  however the connection breaks
            await asyncio.wait_for(ada.pay(order["id"], key=key), 5)
    monkeypatch.undo()
    assert stripe.asked == []

    api = await start_api(**DOWN, STRIPE_URL=stripe.url)
    async with api.client() as ada:
        if moment == "before":
            early = (await ada.pay(order["id"], key=key)).expect(409)
            assert early.body["code"] == "idempotency_key_in_flight"
            api.clock.forward(seconds=LOCKED_S)
        payment = (await ada.pay(order["id"], key=key)).expect(201).body
        assert (payment["provider"], payment["status"]) == ("stripe", "succeeded")
        assert await api.complete() == 0
    assert len(stripe.asked) == 1
    await api.sound()


async def test_a_request_that_begins_anew_is_one_request(
    start_api: Start, stripe: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The autoscaler follows the gauge, and a provider has so many places and no more."""
    crashing, key = await start_api(**DOWN, STRIPE_URL=stripe.url), str(uuid4())

    async def crash(_db: Database, _payment_id: UUID) -> bool:
        raise asyncio.CancelledError

    monkeypatch.setattr(idempotency, "free", crash)
    async with crashing.client() as ada:
        order = await ada.order(["game-1"])
        with pytest.raises(Exception):  # noqa: B017, PT011  however the connection breaks
            await asyncio.wait_for(ada.pay(order["id"], key=key), 5)
    monkeypatch.undo()

    api = await start_api(PROVIDER_TIMEOUT_S="10", PROVIDER_MAX_IN_FLIGHT="1")
    api.clock.forward(seconds=LOCKED_S)
    await api.simulator.fault("provider.charge", "hold_before")
    async with api.client() as ada:
        paying = asyncio.create_task(ada.pay(order["id"], key=key))
        await until_held_or_done(api, paying)
        assert counted(api, "active_payments_gauge ") == 1
        assert counted(api, 'payment_provider_in_flight_gauge{provider="simulator"}') == 1
        await api.simulator.release()
        assert (await paying).expect(201).body["status"] == "succeeded"
    await api.sound()


async def until_held_or_done(api: Api, request: asyncio.Task[Reply]) -> None:
    held = asyncio.create_task(api.simulator.until_held("provider.charge"))
    await asyncio.wait([held, request], return_when=asyncio.FIRST_COMPLETED)
    if request.done():
        held.cancel()
        pytest.fail(f"not held: {request.result()}")


async def test_fifty_requests_under_one_key_make_one_charge_elsewhere(
    start_api: Start, stripe: Recorded
) -> None:
    api, key = await start_api(**DOWN, STRIPE_URL=stripe.url), str(uuid4())
    async with api.client() as ada:
        order = await ada.order(["game-1"])
        replies = await asyncio.gather(*(ada.pay(order["id"], key=key) for _ in range(50)))
        assert {reply.status for reply in replies} <= {201, 409}
        assert any(reply.status == 201 for reply in replies)
        found = await payments_of(ada, order)
    assert found.count(("stripe", "succeeded")) == 1
    assert {one for one in found if one != ("stripe", "succeeded")} <= {("simulator", "failed")}
    assert len(stripe.asked) == 1
    await api.sound()


async def test_fifty_keys_for_one_order_make_one_charge_elsewhere(
    start_api: Start, stripe: Recorded
) -> None:
    api = await start_api(**DOWN, STRIPE_URL=stripe.url)
    async with api.client() as ada:
        order = await ada.order(["game-1"])
        replies = await asyncio.gather(*(ada.pay(order["id"]) for _ in range(50)))
        assert [r.body["status"] for r in replies if r.status == 201].count("succeeded") == 1
        assert (await payments_of(ada, order)).count(("stripe", "succeeded")) == 1
    assert len(stripe.asked) == 1
    await api.sound()


async def test_a_provider_whose_breaker_is_open_is_not_even_tried(
    start_api: Start, stripe: Recorded
) -> None:
    api = await start_api(**DOWN, STRIPE_URL=stripe.url, BREAKER_FAILURES="1", BREAKER_OPEN_S="60")
    async with api.client() as ada:
        first, second = await ada.order(["game-1"]), await ada.order(["game-2"])
        (await ada.pay(first["id"])).expect(201)
        (await ada.pay(second["id"])).expect(201)
        assert await payments_of(ada, first) == [("simulator", "failed"), ("stripe", "succeeded")]
        assert await payments_of(ada, second) == [("stripe", "succeeded")]
    assert len(stripe.asked) == 2
    gauge = 'payment_provider_breaker_state_gauge{provider="%s",state="%s"}'
    assert counted(api, gauge % ("simulator", "open")) == 1
    assert counted(api, gauge % ("simulator", "closed")) == 0
    assert counted(api, gauge % ("stripe", "closed")) == 1


async def test_a_full_provider_refuses_before_anything_is_written(start_api: Start) -> None:
    api = await start_api(PROVIDER_MAX_IN_FLIGHT="1", PROVIDER_TIMEOUT_S="10")
    await api.simulator.fault("provider.charge", "hold_before")
    async with api.client() as ada:
        first, second = await ada.order(["game-1"]), await ada.order(["game-2"])
        paying, key = asyncio.create_task(ada.pay(first["id"])), str(uuid4())
        await api.simulator.until_held("provider.charge")
        assert counted(api, 'payment_provider_in_flight_gauge{provider="simulator"}') == 1
        refused = (await ada.pay(second["id"], key=key)).expect(503)
        assert (refused.body["code"], refused.headers["Retry-After"]) == ("overloaded", "1")
        assert await payments_of(ada, second) == []
        await api.simulator.release()
        (await paying).expect(201)
        assert (await ada.pay(second["id"], key=key)).expect(201).body["status"] == "succeeded"
    await api.sound()


async def test_a_full_provider_is_stood_in_for(start_api: Start, stripe: Recorded) -> None:
    api = await start_api(
        **BOTH, STRIPE_URL=stripe.url, PROVIDER_MAX_IN_FLIGHT="1", PROVIDER_TIMEOUT_S="10"
    )
    await api.simulator.fault("provider.charge", "hold_before")
    async with api.client() as ada:
        first, second = await ada.order(["game-1"]), await ada.order(["game-2"])
        paying = asyncio.create_task(ada.pay(first["id"]))
        await api.simulator.until_held("provider.charge")
        assert (await ada.pay(second["id"])).expect(201).body["provider"] == "stripe"
        await api.simulator.release()
        assert (await paying).expect(201).body["provider"] == "simulator"
    await api.sound()


async def test_the_buyer_learns_what_to_do_next(start_api: Start, stripe: Recorded) -> None:
    api = await start_api(**BOTH, DEFAULT_PROVIDER="stripe", STRIPE_URL=stripe.url)
    async with api.client() as ada:
        order, key = await ada.order(["game-1"]), str(uuid4())
        waiting = intent(
            "requires_action", amount=order["total"], next_action={"type": "use_stripe_sdk"}
        )
        stripe.will(*[(200, waiting)] * 3, (500, error("api_error")))
        payment = (await ada.pay(order["id"], key=key)).expect(201).body
        assert payment["status"] == "requires_action"
        action = {
            "type": "use_stripe_sdk",
            "redirect_url": None,
            "client_secret": waiting["client_secret"],
        }
        assert payment["next_action"] == action
        assert (await ada.pay(order["id"], key=key)).expect(201).body["next_action"] == action
        path = f"/v1/payments/{payment['id']}"
        assert (await ada.read(path))["next_action"] == action
        assert (await ada.read(path))["next_action"] is None  # Stripe does not answer now
        timeline = await ada.read(f"{path}/timeline")
        assert waiting["client_secret"] not in str(timeline)


async def test_payments_of_a_provider_that_is_no_longer_configured_wait_for_it(
    start_api: Start, stripe: Recorded
) -> None:
    before = await start_api(**BOTH, DEFAULT_PROVIDER="stripe", STRIPE_URL=stripe.url)
    async with before.client() as ada:
        order = await ada.order(["game-1"])
        payment = (await ada.pay(order["id"])).expect(201).body
    after = await start_api()
    async with after.client() as ada:
        refused = (await ada.refund(payment["id"])).expect(503)
        assert refused.body["code"] == "provider_unavailable"
        assert "Retry-After" in refused.headers
        shown = await ada.read(f"/v1/payments/{payment['id']}")
        assert (shown["provider"], shown["refund_pending"]) == ("stripe", 0)
    await after.sound()
