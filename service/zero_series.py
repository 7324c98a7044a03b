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


def init_series(metrics: Metrics, providers: Iterable[str]) -> None:
    """Export at 0 what alerts and error panels count."""
    for status in m.ORDER_STATUSES:
        metrics.init_series(m.ORDERS, status=status)
    for topic, outcome in product(m.LABEL_VALUES["topic"], ("ok", "error")):
        metrics.init_series(m.OUTBOX_DELIVERIES, topic=topic, outcome=outcome)
    for (integration, operation), outcome in product(INTEGRATION_OPERATIONS, CALL_OUTCOMES):
        metrics.init_series(
            m.INTEGRATION_REQUESTS, integration=integration, operation=operation, outcome=outcome
        )
    for outcome in ("ok", "error", "timeout", "refused"):
        metrics.init_series(m.MERCHANT_WEBHOOKS, outcome=outcome)
    for reason in ("gone", "failing"):
        metrics.init_series(m.MERCHANT_WEBHOOK_DISABLED, reason=reason)
    for reason in m.GRANT_REASONS:
        metrics.init_series(m.GRANTS_GIVEN_UP, reason=reason)
    for outcome in ("ok", "error"):
        metrics.init_series(m.RECONCILIATION_RUNS, outcome=outcome)
    for provider in providers:
        _init_provider_series(metrics, provider)


def _init_provider_series(metrics: Metrics, provider: str) -> None:
    metrics.init_series(m.PAYMENT_FAILURES_HIGH_VALUE, provider=provider)
    metrics.init_series(m.ORPHAN_CAPTURES, provider=provider)
    metrics.init_series(m.REFUNDS_ADOPTED, provider=provider)
    for kind in m.REVERSAL_KINDS:
        metrics.init_series(m.REVERSALS, kind=kind, provider=provider)
    metrics.init_series(m.PROVIDER_FAILOVERS, provider=provider)
    metrics.init_series(m.FRAUD_WARNINGS, provider=provider)
    for status in m.DISPUTE_STATUSES:
        metrics.init_series(m.DISPUTES, provider=provider, status=status)
    for outcome in WEBHOOK_OUTCOMES:
        metrics.init_series(m.WEBHOOK_REQUESTS, provider=provider, outcome=outcome)
    for outcome in WEBHOOK_EVENT_OUTCOMES:
        metrics.init_series(m.WEBHOOK_EVENTS, provider=provider, outcome=outcome)
    for status in m.PAYMENT_STATUSES:
        metrics.init_series(m.PAYMENTS, status=status, provider=provider)
    for operation, outcome in product(PROVIDER_OPERATIONS, CALL_OUTCOMES):
        metrics.init_series(
            m.PROVIDER_REQUESTS, provider=provider, operation=operation, outcome=outcome
        )
