"""Series that exist from the first scrape: rate() can't see the first step of a new one.

Without them the first failure of a fresh pod is missed, and an error panel shows "no data" where
it should show 0.
"""

from collections.abc import Iterable
from itertools import product
from typing import Final

from service import metric_catalog as m
from service.metrics import Metrics

CALL_OUTCOMES: Final = ("ok", "error", "timeout")
WEBHOOK_OUTCOMES: Final = ("accepted", "duplicate", "ignored", "refused", "malformed", "error")
WEBHOOK_EVENT_OUTCOMES: Final = ("ok", "error", "parked", "foreign", "mismatch")
PROVIDER_OPERATIONS: Final = ("charge", "capture", "cancel", "refund", "find", "list")
INTEGRATION_OPERATIONS: Final = (
    ("game_catalog", "get_game"),
    ("library", "grant"),
    ("library", "revoke"),
)


def declare(metrics: Metrics, providers: Iterable[str]) -> None:
    """Export at 0 what alerts and error panels count."""
    for status in m.ORDER_STATUSES:
        metrics.declare(m.ORDERS, status=status)
    for topic, outcome in product(m.LABEL_VALUES["topic"], ("ok", "error")):
        metrics.declare(m.OUTBOX_DELIVERIES, topic=topic, outcome=outcome)
    for (integration, operation), outcome in product(INTEGRATION_OPERATIONS, CALL_OUTCOMES):
        metrics.declare(
            m.INTEGRATION_REQUESTS, integration=integration, operation=operation, outcome=outcome
        )
    for outcome in ("ok", "error", "timeout", "refused"):
        metrics.declare(m.MERCHANT_WEBHOOKS, outcome=outcome)
    for reason in ("gone", "failing"):
        metrics.declare(m.MERCHANT_WEBHOOK_DISABLED, reason=reason)
    for reason in m.GRANT_REASONS:
        metrics.declare(m.GRANTS_GIVEN_UP, reason=reason)
    for outcome in ("ok", "error"):
        metrics.declare(m.RECONCILIATION_RUNS, outcome=outcome)
    for provider in providers:
        _declare_provider(metrics, provider)


def _declare_provider(metrics: Metrics, provider: str) -> None:
    metrics.declare(m.PAYMENT_FAILURES_HIGH_VALUE, provider=provider)
    metrics.declare(m.ORPHAN_CAPTURES, provider=provider)
    metrics.declare(m.REFUNDS_ADOPTED, provider=provider)
    for kind in m.REVERSAL_KINDS:
        metrics.declare(m.REVERSALS, kind=kind, provider=provider)
    metrics.declare(m.PROVIDER_FAILOVERS, provider=provider)
    metrics.declare(m.FRAUD_WARNINGS, provider=provider)
    for status in m.DISPUTE_STATUSES:
        metrics.declare(m.DISPUTES, provider=provider, status=status)
    for outcome in WEBHOOK_OUTCOMES:
        metrics.declare(m.WEBHOOK_REQUESTS, provider=provider, outcome=outcome)
    for outcome in WEBHOOK_EVENT_OUTCOMES:
        metrics.declare(m.WEBHOOK_EVENTS, provider=provider, outcome=outcome)
    for status in m.PAYMENT_STATUSES:
        metrics.declare(m.PAYMENTS, status=status, provider=provider)
    for operation, outcome in product(PROVIDER_OPERATIONS, CALL_OUTCOMES):
        metrics.declare(
            m.PROVIDER_REQUESTS, provider=provider, operation=operation, outcome=outcome
        )
