"""Compares our ledger with the provider's and the Library's records, payment by payment.

What an operator has yet to decide is left out.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.resilience.ledger_checks import rows

Record = Mapping[str, Any]

PAYMENTS: Final = """
    SELECT p.id::text, json_build_object(
        'order', p.order_id, 'status', p.status, 'captured', p.captured_minor,
        'refunded', p.refunded_minor, 'refund_in_review', EXISTS (
            SELECT FROM refunds r WHERE r.payment_id = p.id AND r.status = 'review'),
        'granted', EXISTS (
            SELECT FROM entitlements e WHERE e.payment_id = p.id AND e.status = 'granted'))::text
    FROM payments p
"""
DISPUTES: Final = """
    SELECT d.provider_ref, json_build_object(
        'payment', d.payment_id, 'status', d.status, 'amount', d.amount_minor,
        'withdrawn', d.withdrawn_minor, 'reinstated', d.reinstated_minor,
        'review', d.review)::text
    FROM disputes d
"""
WARNINGS: Final = "SELECT w.provider_ref, w.actionable::text FROM fraud_warnings w"
PARKED: Final = """
    SELECT object_ref, kind FROM webhook_inbox WHERE status IN ('parked', 'dismissed')
"""
GRANTED: Final = "SELECT user_id, game_id FROM entitlements WHERE status = 'granted'"


def compare(database_url: str, state: Record) -> None:
    """Assert that our records agree with the simulator's state."""
    payments = _records(database_url, PAYMENTS)
    disputes, warnings = _records(database_url, DISPUTES), dict(rows(database_url, WARNINGS))
    _money_agrees(payments, state["charges"])
    paid_by = {
        charge["id"]: charge["reference"]
        for charge in state["charges"]
        if payments[charge["reference"]]["captured"]
    }
    parked = frozenset(dict(rows(database_url, PARKED)))
    _disputes_agree(disputes, paid_by, parked, state["disputes"])
    _warnings_agree(warnings, paid_by, parked, state["warnings"])
    _lost_games_are_gone(payments, disputes)
    held = {(g["user_id"], g["game_id"]) for g in state["grants"] if not g["revoked"]}
    assert held == set(rows(database_url, GRANTED))


def _records(database_url: str, query: str) -> dict[str, Record]:
    return {key: json.loads(text) for key, text in rows(database_url, query)}


def _money_agrees(payments: Mapping[str, Record], charges: Sequence[Record]) -> None:
    made = defaultdict(list)
    for charge in charges:
        made[charge["reference"]].append(charge)
    assert set(made) <= set(payments), "the provider has charges that we don't know"
    paid: dict[str, int] = defaultdict(int)
    for payment_id, payment in payments.items():
        mine = made[payment_id]
        assert len(mine) <= 1, f"charged twice: {mine}"
        if payment["status"] == "review" or payment["refund_in_review"]:
            continue
        taken = sum(charge["amount_captured"] for charge in mine)
        returned = sum(charge["amount_refunded"] for charge in mine)
        standing = 0 if payment["status"] == "reversed" else payment["captured"]
        kept = standing - payment["refunded"]
        assert taken - returned == kept, (payment, mine)
        paid[payment["order"]] += bool(taken) and payment["status"] == "succeeded"
        still_held = [charge for charge in mine if charge["status"] == "authorized"]
        assert bool(still_held) == (payment["status"] == "authorized"), (payment, mine)
    assert all(times <= 1 for times in paid.values()), "an order was paid twice"


def _disputes_agree(
    ours: Mapping[str, Record],
    paid_by: Mapping[str, str],
    parked: frozenset[str],
    disputes: Sequence[Record],
) -> None:
    """Compare each dispute's status and amounts.

    `paid_by` maps a charge to the payment of ours that it captured; without one the dispute's event
    is `parked`, for an operator.
    """
    assert set(ours) <= {theirs["id"] for theirs in disputes}, "we know what the provider does not"
    for theirs in disputes:
        known = ours.get(theirs["id"])
        if theirs["charge"] not in paid_by:
            assert known is None, (known, theirs)
            assert theirs["id"] in parked, theirs
            continue
        assert known is not None, f"we lack {theirs} of {paid_by[theirs['charge']]}"
        assert known["payment"] == paid_by[theirs["charge"]], (known, theirs)
        for fact in ("status", "amount", "withdrawn", "reinstated"):
            assert known[fact] == theirs[fact], (fact, known, theirs)


def _warnings_agree(
    ours: Mapping[str, str],
    paid_by: Mapping[str, str],
    parked: frozenset[str],
    warnings: Sequence[Record],
) -> None:
    for theirs in warnings:
        if theirs["charge"] in paid_by:
            assert ours.get(theirs["id"]) == str(theirs["actionable"]).lower(), theirs
        else:
            assert theirs["id"] in parked, theirs


def _lost_games_are_gone(payments: Mapping[str, Record], ours: Mapping[str, Record]) -> None:
    """Assert that nobody keeps games and money, unless an operator was asked."""
    lost: dict[str, int] = defaultdict(int)
    for dispute in ours.values():
        if dispute["status"] == "lost":
            lost[dispute["payment"]] += dispute["amount"]
    asked = {dispute["payment"] for dispute in ours.values() if dispute["review"]}
    for payment_id, minor in lost.items():
        payment = payments[payment_id]
        gone = minor + payment["refunded"] >= payment["captured"]
        if gone and payment_id not in asked:
            assert not payment["granted"], f"money and games are gone: {payment}"
