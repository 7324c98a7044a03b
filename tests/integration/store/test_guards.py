"""Illegal writes, each refused by the database itself, whatever the service may do."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import uuid4

import pytest

from service.domain import dispute, order, payment, refund
from service.store.database import RefusedError
from service.store.record_outcomes import record_outcomes
from tests.integration.store.conftest import StoreHarness, begin_item, outcome_item

pytestmark = pytest.mark.as_owner

Machine = tuple[Mapping[Any, Collection[Any]], Collection[Any]]
TRANSITIONS: dict[str, Machine] = {
    "order": (order.TRANSITIONS, {order.OrderStatus.PENDING}),
    "payment": (payment.TRANSITIONS, payment.FIRST),
    "refund": (refund.TRANSITIONS, {refund.RefundStatus.PENDING}),
    "dispute": (dispute.TRANSITIONS, set(dispute.DisputeStatus)),
}


async def refused(harness: StoreHarness, sql: str, *values: object) -> str:
    """Run a write that must be refused; return the name of the rule."""
    with pytest.raises(RefusedError) as caught:
        await harness.db.fetch(sql, values or None)
    return caught.value.constraint


@pytest.mark.parametrize("entity", TRANSITIONS)
async def test_the_database_knows_the_transitions_of_the_domain(
    harness: StoreHarness, entity: str
) -> None:
    rows = await harness.db.fetch(
        "SELECT from_status, to_status FROM status_transitions WHERE entity = %s", (entity,)
    )
    transitions, first = TRANSITIONS[entity]
    expected = {(str(a), str(b)) for a, following in transitions.items() for b in following}
    assert set(rows) == expected | {("new", str(status)) for status in first}


async def test_a_terminal_status_is_never_left(harness: StoreHarness) -> None:
    item = begin_item(await harness.order())
    await harness.begin(item)
    await record_outcomes(harness.db, [outcome_item(item, 1_000, status="failed")])
    for status in ("processing", "canceled", "unknown"):
        rule = await refused(harness, "UPDATE payments SET status = %s", status)
        assert rule == "payment_transition"


async def test_a_payment_cannot_begin_where_none_begins(harness: StoreHarness) -> None:
    item = await harness.order()
    rule = await refused(
        harness,
        "INSERT INTO payments (id, order_id, user_id, provider, status, capture_method,"
        " payment_method, currency, amount_minor, captured_minor, created_at, updated_at)"
        " SELECT id, id, user_id, 'simulator', 'succeeded', 'automatic', 'pm_ok', currency,"
        " total_minor, total_minor, now(), now() FROM orders WHERE id = %s",
        item.id,
    )
    assert rule == "payment_transition"


@pytest.mark.parametrize(
    ("column", "value"), [("amount_minor", 1), ("user_id", "'mallory'"), ("currency", "'USD'")]
)
async def test_a_payment_is_of_its_orders_owner_and_amount(
    harness: StoreHarness, column: str, value: object
) -> None:
    placed = await harness.order()
    columns = {"user_id": "user_id", "currency": "currency", "amount_minor": "total_minor"}
    columns[column] = str(value)
    rule = await refused(
        harness,
        "INSERT INTO payments (id, order_id, provider, status, capture_method, payment_method,"
        " user_id, currency, amount_minor, created_at, updated_at)"
        " SELECT id, id, 'simulator', 'processing', 'automatic', 'pm_ok',"
        f" {columns['user_id']}, {columns['currency']}, {columns['amount_minor']}, now(), now()"
        " FROM orders WHERE id = %s",
        placed.id,
    )
    assert rule == "payments_of_order"


@pytest.mark.parametrize(
    ("table", "values"),
    [
        (
            "entitlements (payment_id, user_id, game_id, quantity, updated_at)",
            "i::text, 'g', 1, now()",
        ),
        (
            "payment_attempts (payment_id, id, operation, status, next_check_at, created_at)",
            "gen_random_uuid(), 'charge', 'pending', now(), now()",
        ),
        (
            "ledger_transactions (payment_id, id, kind, created_at)",
            "gen_random_uuid(), 'capture', now()",
        ),
        (
            "outbox (payment_id, topic, dedupe_key, correlation_id, next_attempt_at, created_at)",
            "'library.grant', i::text, 'c', now(), now()",
        ),
        (
            "payment_events (payment_id, at, event, data, correlation_id)",
            "now(), 'payment_created', '{}', 'c'",
        ),
    ],
)
async def test_what_is_of_a_payment_is_of_one_that_is_there(
    harness: StoreHarness, table: str, values: str
) -> None:
    item = begin_item(await harness.order())
    await harness.begin(item)
    await record_outcomes(harness.db, [outcome_item(item, 1_000, status="failed")])
    write = f"INSERT INTO {table} SELECT i, {values} FROM unnest(%s::uuid[]) AS i"
    known, unknown = str(item.payment_id), str(uuid4())
    rule = await refused(harness, write, [known, unknown])
    assert rule == f"{table.partition(' ')[0]}_of_payment"


async def test_an_entry_is_of_a_transaction_that_is_there(harness: StoreHarness) -> None:
    rule = await refused(
        harness,
        "INSERT INTO ledger_entries (transaction_id, account, amount_minor, currency)"
        " VALUES (%(id)s, 'sales:games', 5, 'EUR'), (%(id)s, 'sales:games', -5, 'EUR')".replace(
            "%(id)s", f"'{uuid4()}'"
        ),
    )
    assert rule == "ledger_entries_of_transaction"


@pytest.mark.parametrize("table", ["payment_attempts", "outbox", "entitlements"])
async def test_what_is_of_a_payment_stays_of_it(harness: StoreHarness, table: str) -> None:
    await harness.paid()
    rule = await refused(harness, f"UPDATE {table} SET payment_id = gen_random_uuid()")
    assert rule == f"{table}_immutable"


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("captured_minor = captured_minor + 1", "payments_immutable"),
        ("captured_minor = 0", "payments_immutable"),
        ("provider_ref = 'ch_other'", "payments_immutable"),
        ("amount_minor = 5", "payments_immutable"),
        ("refunded_minor = 5", "payments_immutable"),
        ("refund_pending_minor = -1", "payments_immutable"),
        ("order_id = gen_random_uuid()", "payments_immutable"),
    ],
)
async def test_counters_and_identity_of_a_payment_hold(
    harness: StoreHarness, change: str, rule: str
) -> None:
    await harness.paid()
    assert await refused(harness, f"UPDATE payments SET {change}") == rule


async def test_an_order_has_one_live_payment(harness: StoreHarness) -> None:
    await harness.paid()
    rule = await refused(
        harness,
        "INSERT INTO payments (id, order_id, user_id, provider, status, capture_method,"
        " payment_method, currency, amount_minor, created_at, updated_at)"
        " SELECT gen_random_uuid(), order_id, user_id, provider, 'processing', capture_method,"
        " payment_method, currency, amount_minor, now(), now() FROM payments",
    )
    assert rule == "one_live_payment_an_order"


async def test_a_payment_has_one_unresolved_attempt(harness: StoreHarness) -> None:
    await harness.begin(begin_item(await harness.order()))
    rule = await refused(
        harness,
        "INSERT INTO payment_attempts (id, payment_id, operation, status, next_check_at,"
        " created_at) SELECT gen_random_uuid(), id, 'charge', 'pending', now(), now()"
        " FROM payments",
    )
    assert rule == "one_unresolved_attempt_a_payment"


async def test_a_charge_pays_one_payment(harness: StoreHarness) -> None:
    for user in ("u1", "u2"):
        item = begin_item(await harness.order(user))
        await harness.begin(item)
        done = outcome_item(item, 1_000, ref="ch_same")
        if user == "u1":
            await record_outcomes(harness.db, [done])
            continue
        with pytest.raises(RefusedError) as caught:
            await record_outcomes(harness.db, [done])
        assert caught.value.constraint == "payments_provider_provider_ref_key"


async def test_an_order_with_a_live_payment_is_not_closed(harness: StoreHarness) -> None:
    await harness.begin(begin_item(await harness.order()))
    for status in ("canceled", "expired"):
        assert await refused(harness, "UPDATE orders SET status = %s", status) == "order_close"


async def test_an_order_costs_what_its_items_cost(harness: StoreHarness) -> None:
    placed = await harness.order()
    rule = await refused(
        harness,
        "INSERT INTO order_items (order_id, game_id, title, quantity, unit_price_minor)"
        " VALUES (%s, 'game-9', 'Nine', 1, 1)",
        placed.id,
    )
    assert rule == "order_total"


async def test_the_ledger_balances_in_every_statement(harness: StoreHarness) -> None:
    await harness.paid()
    rule = await refused(
        harness,
        "INSERT INTO ledger_entries (transaction_id, account, amount_minor, currency)"
        " SELECT id, 'sales:games', 5, 'EUR' FROM ledger_transactions",
    )
    assert rule == "ledger_balanced"
    rule = await refused(
        harness,
        "INSERT INTO ledger_entries (transaction_id, account, amount_minor, currency)"
        " SELECT id, 'sales:games', minor, currency FROM ledger_transactions,"
        " (VALUES (5, 'EUR'), (-5, 'USD')) AS v(minor, currency)",
    )
    assert rule == "ledger_balanced"


@pytest.mark.parametrize(
    "table", ["ledger_entries", "ledger_transactions", "payment_events", "order_items"]
)
@pytest.mark.parametrize("write", ["DELETE FROM {}", "TRUNCATE {} CASCADE"])
async def test_what_happened_is_not_undone(harness: StoreHarness, table: str, write: str) -> None:
    await harness.paid()
    rule = await refused(harness, write.format(table))
    assert rule.endswith("_immutable")


@pytest.mark.parametrize(
    ("table", "column"), [("ledger_entries", "amount_minor"), ("payment_events", "seq")]
)
async def test_what_happened_is_not_changed(harness: StoreHarness, table: str, column: str) -> None:
    await harness.paid()
    rule = await refused(harness, f"UPDATE {table} SET {column} = {column} + 1")
    assert rule == f"{table}_immutable"


async def test_a_changed_or_removed_event_breaks_the_chain(harness: StoreHarness) -> None:
    item = await harness.paid()
    await harness.db.fetch("ALTER TABLE payment_events DISABLE TRIGGER payment_events_append_only")
    await harness.db.fetch("UPDATE payment_events SET data = '{\"a\": 1}' WHERE seq = 1")
    assert (await harness.violations())["broken_event_chains"] >= 1
    await harness.db.fetch(
        "DELETE FROM payment_events WHERE payment_id = %s AND seq = 1", (item.payment_id,)
    )
    assert (await harness.violations())["broken_event_chains"] >= 1


async def test_a_response_of_the_server_is_never_kept_for_replay(harness: StoreHarness) -> None:
    await harness.paid()
    rule = await refused(harness, "UPDATE idempotency_keys SET response_status = 503")
    assert rule.startswith("idempotency_keys")


@pytest.mark.parametrize(
    "write",
    [
        "UPDATE payment_attempts SET status = 'pending', resolved_at = NULL",
        "DELETE FROM payment_attempts",
        "UPDATE entitlements SET user_id = 'eve'",
        "DELETE FROM entitlements",
        "DELETE FROM outbox",
        "DELETE FROM status_transitions",
    ],
)
async def test_what_a_hand_at_the_console_might_try(harness: StoreHarness, write: str) -> None:
    await harness.paid()
    assert (await refused(harness, write)).endswith("_immutable")
