"""What an event is about, whoever wrote it and however badly."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.providers.catalog import BY_NAME
from service.providers.webhooks import DERIVED, EventError, ProviderEvent

PAYMENT, ATTEMPT, REFUND = uuid4(), uuid4(), uuid4()
CHARGE = {
    "id": "ch_1",
    "object": "charge",
    "status": "succeeded",
    "amount": 1999,
    "reference": str(PAYMENT),
    "idempotency_key": str(ATTEMPT),
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=20,
)
NAMES = st.sampled_from(["id", "object", "status", "charge", "payment_intent", "metadata", "x"])


def read(provider: str, raw: bytes) -> ProviderEvent | None:
    return BY_NAME[provider].read_event(raw)


def body(record: Any, **more: Any) -> bytes:
    return json.dumps({"id": "evt_1", "type": "t.x", "data": {"object": record}, **more}).encode()


def test_a_charge_of_the_simulator() -> None:
    assert read("simulator", body(CHARGE)) == ProviderEvent(
        event_id="evt_1",
        kind="charge",
        type="t.x",
        charge_ref="ch_1",
        payment_id=PAYMENT,
        attempt_id=ATTEMPT,
        claimed_status="succeeded",
    )


def test_a_refund_of_the_simulator() -> None:
    record = {"id": "re_1", "object": "refund", "charge": "ch_1", "idempotency_key": str(REFUND)}
    event = read("simulator", body(record))
    assert event is not None
    assert (event.kind, event.charge_ref, event.refund_ref) == ("refund", "ch_1", "re_1")
    assert (event.refund_id, event.payment_id) == (REFUND, None)


def test_a_payment_intent_of_stripe() -> None:
    ours = {"payment_id": str(PAYMENT), "attempt_id": str(ATTEMPT)}
    record = {"id": "pi_1", "object": "payment_intent", "status": "canceled", "metadata": ours}
    event = read("stripe", body(record, livemode=True, api_version="2026-08-26.dahlia"))
    assert event is not None
    assert (event.charge_ref, event.payment_id, event.attempt_id) == ("pi_1", PAYMENT, ATTEMPT)


@pytest.mark.parametrize(
    ("record", "kind", "refund_id"),
    [
        ({"id": "ch_1", "object": "charge", "payment_intent": "pi_1"}, "charge", None),
        (
            {
                "id": "re_1",
                "object": "refund",
                "payment_intent": "pi_1",
                "metadata": {"refund_id": str(REFUND)},
            },
            "refund",
            REFUND,
        ),
    ],
)
def test_charges_and_refunds_of_stripe_name_their_payment_intent(
    record: dict[str, Any], kind: str, refund_id: UUID | None
) -> None:
    event = read("stripe", body(record))
    assert event is not None
    assert (event.kind, event.charge_ref, event.refund_id) == (kind, "pi_1", refund_id)


@pytest.mark.parametrize(
    ("provider", "record"),
    [
        ("simulator", {"object": "customer"}),
        ("simulator", {"object": 7}),
        ("simulator", {}),
        ("stripe", {"object": "dispute", "id": "dp_1"}),
        ("stripe", {"object": "charge", "id": "ch_1"}),
        ("stripe", {"object": "refund", "id": "re_1", "payment_intent": None}),
        ("simulator", {"object": "refund", "id": "re_1"}),
    ],
)
def test_what_no_payment_lives_by_is_none_of_ours(provider: str, record: dict[str, Any]) -> None:
    assert read(provider, body(record)) is None


THIN = {
    "id": "evt_65R9Ijk8dKEYZcXeRWn16R9A7j1FSQ3w3TGDPLLGSM4CW0",
    "object": "v2.core.event",
    "type": "v1.billing.meter.error_report_triggered",
    "livemode": False,
    "related_object": {"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"},
}


@pytest.mark.parametrize("provider", ["simulator", "stripe"])
@pytest.mark.parametrize(
    "event",
    [
        THIN,
        THIN | {"data": {"developer_message_summary": "x"}},
        THIN | {"data": None},
        {"type": "ping"},
        {"id": "evt_1", "object": "event", "type": "webhook.test", "data": {}},
        {"type": "t.x", "data": {"object": None}},
        {"type": "t.x", "data": {"object": "charge"}},
        {"type": "t.x", "data": {"object": ["charge"]}},
        {"type": "t.x", "data": "charge"},
        {"type": "t.x", "data": [1]},
        {"hello": "world"},
    ],
)
def test_an_event_without_an_object_is_none_of_ours(provider: str, event: dict[str, Any]) -> None:
    assert read(provider, json.dumps(event).encode()) is None


@pytest.mark.parametrize("reference", ["", "order 7", "x" * 300, None])
def test_a_foreign_reference_names_no_payment(reference: str | None) -> None:
    event = read("simulator", body(CHARGE | {"reference": reference}))
    assert event is not None
    assert event.payment_id is None


def test_an_event_without_an_id_is_named_by_what_it_says() -> None:
    def named(**changes: Any) -> str:
        raw = {"type": changes.pop("type", "t.x"), "data": {"object": CHARGE | changes}}
        event = read("simulator", json.dumps(raw).encode())
        assert event is not None
        return event.event_id

    assert named().startswith(DERIVED)
    assert named() == named(amount=5)
    assert len({named(), named(status="x"), named(id="ch_2"), named(type="t.y")}) == 4


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"[" * 60_000,
        b'{"data":' * 10_000,
        b'{"data": {"object": {"object": "charge", "id": "ch_1", "x": ' + b"[" * 50_000,
        body(CHARGE | {"id": "ch 1"}),
        body(CHARGE | {"id": "ch_1\x00"}),
        body(CHARGE | {"id": "ch_1\n"}),
        body(CHARGE | {"id": "x" * 256}),
        body(CHARGE | {"id": 7}),
        body(CHARGE, id=""),
        body(CHARGE, id="evt_1\r\nX: y"),
        body(CHARGE, type=None),
    ],
)
def test_what_cannot_be_read_says_so(raw: bytes) -> None:
    with pytest.raises(EventError):
        read("simulator", raw)


@given(raw=st.binary(max_size=300), provider=st.sampled_from(["simulator", "stripe"]))
def test_no_bytes_raise_anything_else(raw: bytes, provider: str) -> None:
    try:
        assert read(provider, raw) is None
    except EventError:
        return


@given(
    record=st.dictionaries(NAMES, JSON, max_size=7),
    kind=st.sampled_from(["charge", "refund", "payment_intent"]),
    head=st.dictionaries(st.sampled_from(["id", "type", "data"]), JSON, max_size=2),
    provider=st.sampled_from(["simulator", "stripe"]),
)
@example(
    record={"id": "ch_1", "metadata": {"payment_id": 1}}, kind="charge", head={}, provider="stripe"
)
def test_whatever_the_fields_hold_an_event_is_bounded_and_printable(
    record: dict[str, Any], kind: str, head: dict[str, Any], provider: str
) -> None:
    try:
        event = read(provider, body({**record, "object": kind}, **head))
    except EventError:
        return
    if event is not None:
        texts = [event.event_id, event.type, event.charge_ref, event.refund_ref or "x"]
        for text in (*texts, event.claimed_status or "x"):
            assert text.isascii()
            assert text.isprintable()
            assert 1 <= len(text) <= 255
