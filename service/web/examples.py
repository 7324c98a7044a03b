"""Examples for the OpenAPI document, made from the types and the names of their fields.

A test validates each against its schema, and so finds a field that needs an example of its own.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import inspect as kinds

ID: Final = "0198f3c2-7b4e-7d0a-9c51-f2e88a6d4b13"
AT: Final = "2026-11-23T21:02:03.456789Z"

WEBHOOK: Final = {
    "id": "evt_9c51f2e8",
    "type": "charge.succeeded",
    "data": {"object": {"object": "charge", "id": "ch_7d0a9c51", "status": "succeeded"}},
}
"""A provider's event; of it only the references count."""

EXAMPLES: Final[Mapping[str, Any]] = {
    "account": "customer_receivable",
    "action": "resolve_payment",
    "actor": "operator-1",
    "amount": 1999,
    "captured": 1999,
    "charge_ref": "ch_7d0a9c51",
    "charges": 120,
    "checks": 1,
    "claimed_status": "succeeded",
    "correlation_id": "0198f3c27b4e7d0a9c51f2e88a6d4b13",
    "currency": "EUR",
    "event": "payment_succeeded",
    "event_id": "evt_9c51f2e8",
    "game_id": "game-1",
    "grants": 120,
    "kind": "payment",
    "limit": 20,
    "note": "The provider's dashboard shows the charge as paid",
    "operation": "charge",
    "payment_method": "pm_ok",
    "payments": 120,
    "provider": "simulator",
    "provider_ref": "ch_7d0a9c51",
    "quantity": 1,
    "reason": "requested_by_customer",
    "source": "provider",
    "status": "succeeded",
    "subject": "payment",
    "subject_id": ID,
    "times_seen": 1,
    "title": "The Long Dark Tea-Time",
    "total": 1999,
    "url": "https://shop.example/hooks/payments",
    "webhook_id": "msg_0198f3c27b4e7d0a9c51f2e88a6d4b13",
    "delivery": "7",
    "description": "the shop's order service",
    "secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
    "type": "charge.succeeded",
    "unit_price": 1999,
    "user_id": "u1",
    "EndpointView.status": "enabled",
    "EndpointView.event_types": "payment.succeeded",
    "RefundData.payment_captured": 1999,
    "RefundData.payment_refunded": 1999,
    "DisputeData.status": "needs_response",
    "DisputeData.reason": "fraudulent",
    "OrderData.status": "fulfilled",
    "fraud_type": "made_with_stolen_card",
    "withdrawn": 1999,
    "DisputeView.status": "needs_response",
    "DisputeView.reason": "fraudulent",
    "AdminDispute.status": "needs_response",
    "AdminDispute.reason": "fraudulent",
    "AdminDispute.provider_ref": "dp_5c1e",
    "FraudWarningView.status": "open",
    "FraudWarningView.provider_ref": "issfr_5c1e",
    "DeliveryView.type": "payment.succeeded",
    "DeliveryView.last_status": 200,
    "DeliveryView.attempts": 1,
    "DeliveryView.id": 7,
    "EventView.data": {"status": "succeeded"},
    "Invariants.invariants": {"ledger_unbalanced": 0, "refunds_exceed_captured": 0},
}
"""By field, or by type and field where the name is not enough."""

OFTEN_NULL: Final = frozenset(
    {"failure_code", "next_action", "next_cursor", "error", "error_code", "last_error",
     "resolved_at", "given_up_at", "client_secret", "disabled_reason", "failing_since",
     "closed_at"}
)  # fmt: skip
"""Fields whose usual value is null."""


def example_of(kind: Any) -> Any:
    """Return what an instance of `kind` looks like in JSON."""
    return _example(kinds.type_info(kind), "", "")


def _example(found: kinds.Type, owner: str, name: str) -> Any:
    match found:
        case kinds.StructType(cls=cls, fields=fields):
            owner = cls.__name__
            return {each.encode_name: _example(each.type, owner, each.name) for each in fields}
        case kinds.UnionType(types=types):
            chosen = [each for each in types if not isinstance(each, kinds.NoneType)]
            return None if name in OFTEN_NULL else _example(chosen[0], owner, name)
        case kinds.Metadata(type=inner):
            return _example(inner, owner, name)
        case kinds.VarTupleType(item_type=item) | kinds.ListType(item_type=item):
            return [_example(item, owner, name)]
    return _plain(found, owner, name)


def _plain(found: kinds.Type, owner: str, name: str) -> Any:
    example = EXAMPLES.get(f"{owner}.{name}", EXAMPLES.get(name))
    match found:
        case kinds.LiteralType(values=values):
            return example if example in values else values[0]
        case kinds.EnumType(cls=cls):
            members = [each.value for each in cls]
            return example if example in members else members[0]
        case kinds.IntType(ge=least):
            return example if isinstance(example, int) else least or 0
        case kinds.DictType():
            return example if isinstance(example, dict) else {}
        case kinds.StrType() | kinds.AnyType():
            return example if isinstance(example, str) else name
    return _FIXED[type(found)]


_FIXED: Final[Mapping[type[kinds.Type], Any]] = {
    kinds.UUIDType: ID,
    kinds.DateTimeType: AT,
    kinds.BoolType: True,
    kinds.FloatType: 1.5,
    kinds.RawType: {},
}
