"""Every metric of the service, as pure data.

The service builds its instruments from this list, and alerts, dashboards, the autoscaler and the
contract tests take names and labels from it, so a rename here changes all of them in one commit.

Names follow https://prometheus.io/docs/practices/naming/: base units, `_total` for counters.
Labels are bounded: each says which values it can have; no user, order or payment id is a label.
"""

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram"]

LATENCY_BUCKETS_S: Final = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.0,
    3.0,
    5.0,
    10.0,
    30.0,
)  # 2.0 and 5.0 are the warning and critical thresholds of the latency alerts
"""Seconds. A threshold that is a bucket border is exact; between borders it is interpolated."""

AMOUNT_BUCKETS_MINOR: Final = (
    100.0,
    500.0,
    1_000.0,
    2_000.0,
    3_000.0,
    5_000.0,
    7_500.0,
    10_000.0,
    20_000.0,
    50_000.0,
    80_000.0,
    100_000.0,
)  # 50_000 and, in yen, 80_000 are where a payment counts as high-value
"""Minor currency units (cents); games cost 1 to 100, bundles more."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One time series family.

    `name` is the exposed name (a counter's ends in `_total`); `labels` are in a fixed order.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    buckets: tuple[float, ...] = ()

    def series(self) -> tuple[str, ...]:
        """Return the sample names that Prometheus stores for this family."""
        if self.kind == "histogram":
            return tuple(self.name + suffix for suffix in ("_bucket", "_sum", "_count"))
        return (self.name,)


PAYMENT_STATUSES: Final = (
    "succeeded",
    "failed",
    "declined",
    "authorized",
    "requires_action",
    "unknown",
    "review",
    "canceled",
    "expired",
)
"""Values of `status` on payment metrics: the payment states that a request can end in, and
`declined` for a failed payment whose cause is the buyer's bank and not us."""

ORDER_STATUSES: Final = ("pending", "paid", "fulfilled", "canceled", "expired", "refunded")

DISPUTE_STATUSES: Final = (
    "warning",
    "warning_closed",
    "needs_response",
    "under_review",
    "won",
    "lost",
)
OPEN_DISPUTE_STATUSES: Final = ("warning", "needs_response", "under_review")
REVERSAL_KINDS: Final = ("refund", "capture", "orphan_refund")

GRANT_REASONS: Final = ("refused", "overdue")

LABEL_VALUES: Final[dict[str, tuple[str, ...]]] = {
    "provider": ("simulator", "stripe"),
    "operation": (
        "charge",
        "capture",
        "cancel",
        "refund",
        "find",
        "list",
        "get_game",
        "grant",
        "revoke",
    ),
    "outcome": (
        "ok",
        "declined",
        "error",
        "timeout",
        "hit",
        "miss",
        "accepted",
        "duplicate",
        "ignored",
        "refused",
        "malformed",
        "parked",
        "foreign",
        "mismatch",
    ),
    "integration": ("library", "game_catalog"),
    "topic": ("library.grant", "library.revoke"),
    "role": ("api", "worker"),
}
"""The values a label can take, where the list is the same for every metric that has it."""

PAYMENTS: Final = Metric(
    "payments_total",
    "counter",
    "Payments that reached a status, by the provider that handled them.",
    ("status", "provider"),
)
PAYMENT_DURATION: Final = Metric(
    "payment_duration_seconds",
    "histogram",
    "Time from a payment request's arrival to its answer.",
    ("status", "provider"),
    "seconds",
    LATENCY_BUCKETS_S,
)
PAYMENT_AMOUNT: Final = Metric(
    "payment_amount_histogram",
    "histogram",
    "Amounts of succeeded payments, in minor units of their currency.",
    ("currency",),
    "minor",
    AMOUNT_BUCKETS_MINOR,
)
ACTIVE_PAYMENTS: Final = Metric(
    "active_payments_gauge",
    "gauge",
    "Payment requests being handled right now by this process.",
)
PAYMENT_FAILURES_HIGH_VALUE: Final = Metric(
    "payment_high_value_failures_total",
    "counter",
    "Failed payments at or above the high-value amount.",
    ("provider",),
)
ORDERS: Final = Metric(
    "orders_total",
    "counter",
    "Orders that reached a status.",
    ("status",),
)
ORDER_DURATION: Final = Metric(
    "order_duration_seconds",
    "histogram",
    "Time from an order's creation to its payment.",
    (),
    "seconds",
    (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0),
)
PROVIDER_REQUESTS: Final = Metric(
    "payment_provider_requests_total",
    "counter",
    "Calls to a payment provider, by outcome.",
    ("provider", "operation", "outcome"),
)
PROVIDER_DURATION: Final = Metric(
    "payment_provider_duration_seconds",
    "histogram",
    "Duration of a call to a payment provider.",
    ("provider", "operation"),
    "seconds",
    LATENCY_BUCKETS_S,
)
PROVIDER_IN_FLIGHT: Final = Metric(
    "payment_provider_in_flight_gauge",
    "gauge",
    "Payments and operations that hold a place at a provider in this process.",
    ("provider",),
)
PROVIDER_FAILOVERS: Final = Metric(
    "payment_provider_failovers_total",
    "counter",
    "Payments that went on to another provider, by the one that surely did nothing.",
    ("provider",),
)
BREAKER_STATE: Final = Metric(
    "payment_provider_breaker_state_gauge",
    "gauge",
    "1 for the state that the provider's circuit breaker is in, 0 for the others.",
    ("provider", "state"),
)
INTEGRATION_REQUESTS: Final = Metric(
    "integration_requests_total",
    "counter",
    "Calls to the Library and the Game Catalog, by outcome.",
    ("integration", "operation", "outcome"),
)
INTEGRATION_DURATION: Final = Metric(
    "integration_duration_seconds",
    "histogram",
    "Duration of a call to an integration.",
    ("integration", "operation"),
    "seconds",
    LATENCY_BUCKETS_S,
)
HTTP_REQUESTS: Final = Metric(
    "http_requests_total",
    "counter",
    "HTTP requests answered, by route template.",
    ("method", "route", "status"),
)
HTTP_DURATION: Final = Metric(
    "http_request_duration_seconds",
    "histogram",
    "Duration of an HTTP request.",
    ("method", "route"),
    "seconds",
    LATENCY_BUCKETS_S,
)
OUTBOX_PENDING: Final = Metric(
    "outbox_pending_gauge",
    "gauge",
    "Messages in the outbox that are not delivered yet.",
    ("topic",),
)
OUTBOX_LAG: Final = Metric(
    "outbox_lag_seconds",
    "gauge",
    "Age of the oldest undelivered message in the outbox.",
    (),
    "seconds",
)
OUTBOX_DELIVERIES: Final = Metric(
    "outbox_deliveries_total",
    "counter",
    "Delivery attempts of outbox messages, by outcome.",
    ("topic", "outcome"),
)
UNRESOLVED_PAYMENTS: Final = Metric(
    "payments_unresolved_gauge",
    "gauge",
    "Payments in processing, unknown or review, from the database.",
    ("status",),
)
UNRESOLVED_PAYMENTS_AGE: Final = Metric(
    "payments_unresolved_oldest_seconds",
    "gauge",
    "How long the longest of them has been in that status; 0 if none is.",
    ("status",),
    "seconds",
)
UNRESOLVED_REFUNDS: Final = Metric(
    "refunds_unresolved_gauge",
    "gauge",
    "Refunds that are pending, unknown or in review, from the database.",
    ("status",),
)
PAID_NOT_GRANTED: Final = Metric(
    "paid_not_granted_gauge",
    "gauge",
    "Orders paid for longer than the grant objective whose games are neither granted nor refunded.",
)
GRANTS_GIVEN_UP: Final = Metric(
    "grants_given_up_total",
    "counter",
    "Grants that the Library did not take, so that their payment is refunded, by reason.",
    ("reason",),
)
DISPUTES: Final = Metric(
    "disputes_total",
    "counter",
    "Disputes that reached a status, by provider; `warning` is an inquiry, no chargeback.",
    ("provider", "status"),
)
DISPUTES_OPEN: Final = Metric(
    "disputes_open_gauge",
    "gauge",
    "Disputes that are not decided, from the database.",
    ("status",),
)
DISPUTED_AMOUNT: Final = Metric(
    "disputed_amount_gauge",
    "gauge",
    "What they are about, in minor units of their currency.",
    ("currency",),
    "minor",
)
DISPUTE_EVIDENCE_DUE: Final = Metric(
    "dispute_evidence_due_timestamp_seconds",
    "gauge",
    "The first deadline of those that wait for our answer, in Unix time; 0 if none does.",
    (),
    "seconds",
)
FRAUD_WARNINGS: Final = Metric(
    "fraud_warnings_total",
    "counter",
    "Warnings of fraud that a provider passed on.",
    ("provider",),
)
RECONCILIATION_DIFFERENCES: Final = Metric(
    "reconciliation_differences_gauge",
    "gauge",
    "Open differences between our books, the providers' and the Library's, by kind.",
    ("kind",),
)
RECONCILIATION_LAST_RUN: Final = Metric(
    "reconciliation_last_run_timestamp_seconds",
    "gauge",
    "When the last complete reconciliation ended, in Unix time; 0 before the first.",
    (),
    "seconds",
)
RECONCILIATION_RUNS: Final = Metric(
    "reconciliation_runs_total",
    "counter",
    "Reconciliation runs of this process, by outcome.",
    ("outcome",),
)
INVARIANT_VIOLATIONS: Final = Metric(
    "money_invariant_violations_gauge",
    "gauge",
    "Rows that break a money invariant; anything but 0 is an incident.",
    ("invariant",),
)
AUDIT_SEAL_LAG: Final = Metric(
    "audit_seal_lag_seconds",
    "gauge",
    "Age of the oldest entry of the audit trails that no seal covers.",
    (),
    "seconds",
)
AUDIT_LAST_SEAL: Final = Metric(
    "audit_last_seal_gauge",
    "gauge",
    "Number of the newest seal of the audit trails; one that goes back means that seals are gone.",
)
AUDIT_FAULTS: Final = Metric(
    "audit_faults_gauge",
    "gauge",
    "Faults that this process has found in the sealed audit trails; anything but 0 is an incident.",
)
AUDIT_SEALS_CHECKED: Final = Metric(
    "audit_seals_checked_total",
    "counter",
    "Seals of the audit trails that this process has checked, in endless rounds.",
)
WEBHOOK_REQUESTS: Final = Metric(
    "webhook_requests_total",
    "counter",
    "Webhook deliveries of providers, by what became of them.",
    ("provider", "outcome"),
)
WEBHOOK_EVENTS: Final = Metric(
    "webhook_events_total",
    "counter",
    "Events of the inbox that were looked at: processed (ok), put off (error), parked, of a charge"
    " that was never ours (foreign), or of one that the provider has on record for somebody else"
    " (mismatch).",
    ("provider", "outcome"),
)
WEBHOOK_INBOX: Final = Metric(
    "webhook_inbox_gauge",
    "gauge",
    "Events in the inbox that are not processed: pending, or parked for people.",
    ("state",),
)
WEBHOOK_INBOX_LAG: Final = Metric(
    "webhook_inbox_lag_seconds",
    "gauge",
    "How long the oldest event that is due has waited for a worker.",
    (),
    "seconds",
)
ORPHAN_CAPTURES: Final = Metric(
    "orphan_captures_total",
    "counter",
    "Charges that took money and pay nothing, when they were found.",
    ("provider",),
)
REVERSALS: Final = Metric(
    "reversals_total",
    "counter",
    "Refunds and captures that a provider took back after they had succeeded, by kind.",
    ("kind", "provider"),
)
REVERSALS_OPEN: Final = Metric(
    "reversals_open_gauge",
    "gauge",
    "Refunds that came back and wait for a person, from the database.",
)
REFUNDS_ADOPTED: Final = Metric(
    "refunds_adopted_total",
    "counter",
    "Refunds that were made in a provider's dashboard and are ours now.",
    ("provider",),
)
ORPHANS_UNREFUNDED: Final = Metric(
    "orphan_captures_unrefunded_gauge",
    "gauge",
    "Orphan captures that are not given back: pending, or in review by people.",
    ("state",),
)
MERCHANT_WEBHOOKS: Final = Metric(
    "merchant_webhooks_total",
    "counter",
    "Tries to deliver to merchants, by outcome; refused means that the address is not public.",
    ("outcome",),
)
MERCHANT_WEBHOOK_DURATION: Final = Metric(
    "merchant_webhook_duration_seconds",
    "histogram",
    "Duration of a try to deliver to a merchant.",
    (),
    "seconds",
    LATENCY_BUCKETS_S,
)
MERCHANT_WEBHOOK_BACKLOG: Final = Metric(
    "merchant_webhook_deliveries_gauge",
    "gauge",
    "Deliveries to merchants that are pending, at enabled endpoints, or exhausted.",
    ("state",),
)
MERCHANT_WEBHOOK_LAG: Final = Metric(
    "merchant_webhook_lag_seconds",
    "gauge",
    "How late the most overdue delivery to a merchant is; a planned wait is not late.",
    (),
    "seconds",
)
MERCHANT_WEBHOOK_ENDPOINTS: Final = Metric(
    "merchant_webhook_endpoints_gauge",
    "gauge",
    "Merchants' endpoints: enabled and well, failing (enabled, the last try failed), disabled.",
    ("state",),
)
MERCHANT_WEBHOOK_DISABLED: Final = Metric(
    "merchant_webhook_endpoints_disabled_total",
    "counter",
    "Endpoints that the service stopped sending to, by reason: gone (410) or failing for days.",
    ("reason",),
)
CACHE_REQUESTS: Final = Metric(
    "cache_requests_total",
    "counter",
    "Look-ups in the cache, by outcome.",
    ("cache", "outcome"),
)
DB_POOL_CONNECTIONS: Final = Metric(
    "db_pool_connections_gauge",
    "gauge",
    "Database connections of this process, by state.",
    ("state",),
)
DB_POOL_LIMIT: Final = Metric(
    "db_pool_connections_limit_gauge",
    "gauge",
    "Database connections that this process may have.",
)
DB_BATCH_QUEUE: Final = Metric(
    "db_batch_queue_gauge",
    "gauge",
    "Writes waiting for a batch, by statement.",
    ("statement",),
)
DB_BATCH_QUEUE_LIMIT: Final = Metric(
    "db_batch_queue_limit_gauge",
    "gauge",
    "Writes that may wait for a batch of one statement; one more is refused.",
)
DB_BATCH_SIZE: Final = Metric(
    "db_batch_size",
    "histogram",
    "Writes that shared one statement.",
    ("statement",),
    "",
    (1.0, 2.0, 4.0, 8.0, 16.0, 32.0),
)
WORKER_LAST_ROUND: Final = Metric(
    "worker_last_round_timestamp_seconds",
    "gauge",
    "When a worker of this process last ended a round without an error, in Unix time.",
    ("worker",),
    "seconds",
)
CLOCK_OFFSET: Final = Metric(
    "clock_offset_seconds",
    "gauge",
    "How far the clock of this process's machine is ahead of the database's; behind is negative.",
    (),
    "seconds",
)
EVENT_LOOP_LAG: Final = Metric(
    "event_loop_lag_seconds",
    "gauge",
    "How late the event loop ran a timer, last measurement.",
    (),
    "seconds",
)
BUILD_INFO: Final = Metric(
    "coinslot_build_info",
    "gauge",
    "Always 1; the labels name the running build.",
    ("version", "role"),
)

CATALOG: Final[tuple[Metric, ...]] = tuple(
    value for value in list(globals().values()) if isinstance(value, Metric)
)

RUNTIME_METRICS: Final[dict[str, Kind]] = {
    "process_cpu_seconds_total": "counter",
    "process_resident_memory_bytes": "gauge",
    "process_virtual_memory_bytes": "gauge",
    "process_start_time_seconds": "gauge",
    "process_open_fds": "gauge",
    "process_max_fds": "gauge",
    "python_gc_objects_collected_total": "counter",
    "python_gc_objects_uncollectable_total": "counter",
    "python_gc_collections_total": "counter",
    "python_info": "gauge",
}
"""What prometheus_client's own collectors export; part of the contract for expressions."""
