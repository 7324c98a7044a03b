"""Scripted faults: each kind breaks just what it says, just as often as it says."""

import asyncio
import time
from typing import Any

import aiohttp
import pytest

from simulator.client import Control, ControlError
from tests.unit.simulator.conftest import Caller

Body = dict[str, Any]
CHARGE = "provider.charge"
PATIENCE = aiohttp.ClientTimeout(total=0.3)


async def charges(control: Control) -> int:
    return int((await control.state())["counts"]["charges"])


@pytest.mark.parametrize(
    ("kind", "error", "effect"),
    [
        ("timeout_before", TimeoutError, 0),
        ("timeout_after", TimeoutError, 1),
        ("reset_before", aiohttp.ClientConnectionError, 0),
        ("reset_after", aiohttp.ClientConnectionError, 1),
    ],
)
async def test_the_answer_is_lost_before_or_after_the_effect(
    simpay: Caller,
    control: Control,
    new_charge: Body,
    kind: str,
    error: type[Exception],
    effect: int,
) -> None:
    await control.fault(CHARGE, kind)
    with pytest.raises(error):
        await simpay("POST", "/charges", new_charge, key="k1", timeout=PATIENCE)
    assert await charges(control) == effect
    again = await simpay("POST", "/charges", new_charge, key="k1")
    assert again.status == 200
    assert ("Idempotent-Replayed" in again.headers) is bool(effect)
    assert await charges(control) == 1


async def test_a_status_comes_instead_of_the_effect(
    simpay: Caller, control: Control, new_charge: Body
) -> None:
    await control.fault(CHARGE, "status", status=503, times=2)
    answers = [await simpay("POST", "/charges", new_charge, key="k1") for _ in range(3)]
    assert [answer.status for answer in answers] == [503, 503, 200]
    assert "Idempotent-Replayed" not in answers[2].headers


async def test_a_delay_delays(simpay: Caller, control: Control, new_charge: Body) -> None:
    await control.fault(CHARGE, "delay", delay_s=0.3)
    started = time.monotonic()
    assert (await simpay("POST", "/charges", new_charge, key="k1")).status == 200
    assert time.monotonic() - started >= 0.3


async def test_a_wrong_amount_is_told_and_not_kept(
    simpay: Caller, control: Control, new_charge: Body
) -> None:
    await control.fault(CHARGE, "wrong_amount")
    await control.fault("provider.list", "wrong_amount")
    assert (await simpay("POST", "/charges", new_charge, key="k1")).body["amount"] == 2000
    assert (await simpay("GET", "/charges")).body["data"][0]["amount"] == 2000
    assert (await simpay("GET", "/charges")).body["data"][0]["amount"] == 1999


async def test_a_malformed_answer_is_not_json(
    simpay: Caller, control: Control, new_charge: Body
) -> None:
    await control.fault(CHARGE, "malformed")
    with pytest.raises(ValueError, match="Unterminated string"):
        await simpay("POST", "/charges", new_charge, key="k1")
    assert await charges(control) == 1


@pytest.mark.parametrize(("kind", "effect"), [("hold_before", 0), ("hold_after", 1)])
async def test_a_held_request_waits_for_its_release(
    simpay: Caller, control: Control, new_charge: Body, kind: str, effect: int
) -> None:
    await control.fault(CHARGE, kind)
    asking = asyncio.create_task(simpay("POST", "/charges", new_charge, key="k1"))
    held = await control.until_held(CHARGE)
    assert [request["idempotency_key"] for request in held] == ["k1"]
    assert await charges(control) == effect
    assert not asking.done()
    assert await control.release("library.grant") == 0
    assert await control.release(CHARGE) == 1
    assert (await asking).status == 200
    assert await charges(control) == 1


async def test_a_request_whose_client_is_gone_still_takes_effect(
    simpay: Caller, control: Control, new_charge: Body
) -> None:
    await control.fault(CHARGE, "hold_before")
    with pytest.raises(TimeoutError):
        await simpay("POST", "/charges", new_charge, key="k1", timeout=PATIENCE)
    await control.release()
    assert (await control.until("charges", 1))["charges"] == 1


async def test_a_fault_hits_its_target_until_it_is_cleared(
    simpay: Caller, control: Control, new_charge: Body, raw_control: Caller
) -> None:
    await control.fault("provider.list", "status", times=None)
    assert (await simpay("POST", "/charges", new_charge, key="k1")).status == 200
    assert [(await simpay("GET", "/charges")).status for _ in range(3)] == [500] * 3
    assert len((await raw_control("GET", "/faults")).body["faults"]) == 1
    await control.clear_faults()
    assert (await simpay("GET", "/charges")).status == 200


@pytest.mark.parametrize(
    ("target", "method", "path"),
    [
        ("library.grant", "PUT", "/library/v1/grants/{id}"),
        ("library.revoke", "DELETE", "/library/v1/grants/{id}"),
        ("catalog.get", "GET", "/catalog/v1/games/game-1"),
        ("provider.capture", "POST", "/provider/v1/charges/ch_1/capture"),
        ("provider.cancel", "POST", "/provider/v1/charges/ch_1/cancel"),
        ("provider.refund", "POST", "/provider/v1/charges/ch_1/refunds"),
        ("provider.find", "GET", "/provider/v1/refunds"),
        ("provider.find", "GET", "/provider/v1/charges?idempotency_key=k1"),
        ("provider.list", "GET", "/provider/v1/charges"),
        ("library.list", "GET", "/library/v1/grants"),
    ],
)
async def test_every_target_can_fail(
    simpay: Caller, control: Control, target: str, method: str, path: str
) -> None:
    await control.fault(target, "status", status=418)
    token = "token" if "library" in target else "key"
    anywhere = Caller(simpay._session, "", token)
    grant_id = "7b0e5bd3-5f7d-4f0a-9d8e-0d9f6f1f2a3b"
    assert (await anywhere(method, path.format(id=grant_id), {})).status == 418


async def test_what_does_not_happen_in_time_is_an_error(control: Control) -> None:
    with pytest.raises(ControlError, match=r"0 of 2 held after 0\.1 s"):
        await control.until_held(CHARGE, count=2, timeout_s=0.1)
    with pytest.raises(ControlError, match=r"0 of 1 grants after 0\.1 s"):
        await control.until("grants", 1, timeout_s=0.1)


@pytest.mark.parametrize(
    "fault",
    [
        {"target": "provider.nothing", "kind": "delay"},
        {"target": CHARGE, "kind": "explode"},
        {"target": CHARGE, "kind": "delay", "delay_s": 3600},
        {"target": CHARGE, "kind": "status", "status": 200},
        {"target": CHARGE, "kind": "status", "times": 0},
        {"target": CHARGE, "kind": "status", "tmies": 1},
        {"kind": "delay"},
    ],
)
async def test_a_wrong_fault_is_refused(raw_control: Caller, fault: Body) -> None:
    answer = await raw_control("POST", "/faults", fault)
    assert (answer.status, answer.body["error"]["code"]) == (400, "invalid_request")
    assert (await raw_control("GET", "/faults")).body["faults"] == []


async def test_reset_forgets_everything(
    simpay: Caller, control: Control, new_charge: Body, raw_control: Caller
) -> None:
    await simpay("POST", "/charges", new_charge, key="k1")
    await control.fault(CHARGE, "delay", times=None)
    await control.reset()
    assert await charges(control) == 0
    assert (await raw_control("GET", "/faults")).body["faults"] == []
    assert (await simpay("GET", "/charges", params={"idempotency_key": "k1"})).body["data"] == []


async def test_a_held_request_does_not_reach_over_a_reset(
    simpay: Caller, control: Control, new_charge: Body
) -> None:
    await control.fault(CHARGE, "hold_before")
    asking = asyncio.create_task(simpay("POST", "/charges", new_charge, key="k1"))
    await control.until_held(CHARGE)
    await control.reset()
    with pytest.raises(aiohttp.ClientConnectionError):
        await asking
    assert await charges(control) == 0
