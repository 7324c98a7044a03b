"""Every metric of the service: its name, its help, and its labels with the values they take.

The service makes its instruments and its series at 0 from this list. Alerts, dashboards, the
autoscaler and the contract tests take names, labels and values from it, so a rename here changes
all of them in one commit, and a value that can't be is refused when they are imported.

Names follow https://prometheus.io/docs/practices/naming/: base units, `_total` for counters.
Labels are bounded; no user, order or payment id is a label.
"""

from typing import Final

from service.call_results import CallOutcome
from service.domain.dispute import OPEN, DisputeStatus
from service.domain.money import CURRENCIES
from service.domain.order import OrderStatus
from service.domain.outbox import Topic
from service.domain.reconciliation import DifferenceKind
from service.metric_model import Kind, Open, counter, gauge, histogram
from service.metric_model import Metric as Metric  # noqa: PLC0414  readers of the catalog need it
from service.providers.breaker_states import STATES
from service.providers.catalog import NAMES as PROVIDERS

LATENCY_BUCKETS_S: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0),
)
"""Seconds. 2.0 and 5.0 are the thresholds of the latency alerts: a threshold that is the end of a
bucket is exact; between two ends it is interpolated."""

AMOUNT_BUCKETS_MINOR: Final = (
    *(100.0, 500.0, 1_000.0, 2_000.0, 3_000.0, 5_000.0, 7_500.0, 10_000.0, 20_000.0),
    *(50_000.0, 80_000.0, 100_000.0),  # from 50_000, or 80_000 yen, a payment counts as high-value
)
"""Minor currency units (cents); games cost 1 to 100, bundles more."""

PROVIDER_CALLS: Final = ("charge", "capture", "cancel", "refund", "find", "list")
INTEGRATION_CALLS: Final = (
    *(("game_catalog", "get_game"), ("library", "grant"), ("library", "revoke")),
    ("library", "list"),
)
INTEGRATION_OPERATIONS: Final = tuple(operation for _, operation in INTEGRATION_CALLS)

PAYMENT_STATUSES: Final = (
    *("succeeded", "failed", "declined", "authorized", "requires_action", "unknown", "review"),
    *("canceled", "expired"),
)
"""The payment states that a request can end in, and `declined` for a failed payment whose cause is
the buyer's bank and not us."""
UNRESOLVED: Final = ("processing", "unknown", "review")
OPEN_DISPUTES: Final = tuple(status for status in DisputeStatus if status in OPEN)
ADMISSION_KINDS: Final = ("new", "any")
WEBHOOK_OUTCOMES: Final = ("accepted", "duplicate", "ignored", "refused", "malformed", "error")

PAYMENTS: Final = counter(
    "payments_total",
    "Payments that reached a status, by the provider that handled them.",
    {"status": PAYMENT_STATUSES, "provider": PROVIDERS},
)
PAYMENT_DURATION: Final = histogram(
    "payment_duration_seconds",
    "Time from a payment request's arrival to its answer.",
    {"status": PAYMENT_STATUSES, "provider": PROVIDERS},
    buckets=LATENCY_BUCKETS_S,
)
PAYMENT_AMOUNT: Final = histogram(
    "payment_amount_histogram",
    "Amounts of succeeded payments, in minor units of their currency.",
    {"currency": tuple(CURRENCIES)},
    buckets=AMOUNT_BUCKETS_MINOR,
)
ACTIVE_PAYMENTS: Final = gauge(
    "active_payments_gauge", "Payment requests being handled right now by this process."
)
PAYMENT_FAILURES_HIGH_VALUE: Final = counter(
    "payment_high_value_failures_total",
    "Failed payments at or above the high-value amount.",
    {"provider": PROVIDERS},
)
ORDERS: Final = counter(
    "orders_total", "Orders that reached a status.", {"status": tuple(OrderStatus)}
)
ORDER_DURATION: Final = histogram(
    "order_duration_seconds",
    "Time from an order's creation to its payment.",
    buckets=(1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0),
)
PROVIDER_REQUESTS: Final = counter(
    "payment_provider_requests_total",
    "Calls to a payment provider, by outcome.",
    {"provider": PROVIDERS, "operation": PROVIDER_CALLS, "outcome": tuple(CallOutcome)},
)
PROVIDER_DURATION: Final = histogram(
    "payment_provider_duration_seconds",
    "Duration of a call to a payment provider.",
    {"provider": PROVIDERS, "operation": PROVIDER_CALLS},
    buckets=LATENCY_BUCKETS_S,
)
PROVIDER_IN_FLIGHT: Final = gauge(
    "payment_provider_in_flight_gauge",
    "Payments and operations that hold a place at a provider in this process.",
    {"provider": PROVIDERS},
)
PROVIDER_FAILOVERS: Final = counter(
    "payment_provider_failovers_total",
    "Payments that went on to another provider, by the one that surely did nothing.",
    {"provider": PROVIDERS},
)
BREAKER_STATE: Final = gauge(
    "payment_provider_breaker_state_gauge",
    "1 for the state that the provider's circuit breaker is in, 0 for the others.",
    {"provider": PROVIDERS, "state": STATES},
)
INTEGRATION_REQUESTS: Final = counter(
    "integration_requests_total",
    "Calls to the Library and the Game Catalog, by outcome.",
    {
        "integration": ("game_catalog", "library"),
        "operation": INTEGRATION_OPERATIONS,
        "outcome": tuple(CallOutcome),
    },
    pairs=INTEGRATION_CALLS,
)
INTEGRATION_DURATION: Final = histogram(
    "integration_duration_seconds",
    "Duration of a call to an integration.",
    {"integration": ("game_catalog", "library"), "operation": INTEGRATION_OPERATIONS},
    buckets=LATENCY_BUCKETS_S,
    pairs=INTEGRATION_CALLS,
)
HTTP_REQUESTS: Final = counter(
    "http_requests_total",
    "HTTP requests answered, by route template.",
    {
        "method": Open("of the request"),
        "route": Open("templates of the endpoint table"),
        "status": Open("of HTTP"),
    },
)
HTTP_DURATION: Final = histogram(
    "http_request_duration_seconds",
    "Duration of an HTTP request.",
    {"method": Open("of the request"), "route": Open("templates of the endpoint table")},
    buckets=LATENCY_BUCKETS_S,
)
HTTP_IN_FLIGHT: Final = gauge(
    "http_requests_in_flight_gauge",
    "HTTP requests that this process handles right now: all (any), and those of them that begin"
    " something new.",
    {"kind": ADMISSION_KINDS},
)
HTTP_IN_FLIGHT_LIMIT: Final = gauge(
    "http_requests_in_flight_limit_gauge",
    "HTTP requests at a time above which this process refuses one more; that of new ones follows"
    " their response time.",
    {"kind": ADMISSION_KINDS},
)
HTTP_SHED: Final = counter(
    "http_requests_shed_total",
    "HTTP requests that were refused because too many were in flight.",
    {"kind": ADMISSION_KINDS},
)
OUTBOX_PENDING: Final = gauge(
    "outbox_pending_gauge",
    "Messages in the outbox that are not delivered yet.",
    {"topic": tuple(Topic)},
)
OUTBOX_LAG: Final = gauge(
    "outbox_lag_seconds", "Age of the oldest undelivered message in the outbox."
)
OUTBOX_DELIVERIES: Final = counter(
    "outbox_deliveries_total",
    "Delivery attempts of outbox messages, by outcome.",
    {"topic": tuple(Topic), "outcome": ("ok", "error")},
)
UNRESOLVED_PAYMENTS: Final = gauge(
    "payments_unresolved_gauge",
    "Payments in processing, unknown or review, from the database.",
    {"status": UNRESOLVED},
)
UNRESOLVED_PAYMENTS_AGE: Final = gauge(
    "payments_unresolved_oldest_seconds",
    "How long the longest of them has been in that status; 0 if none is.",
    {"status": UNRESOLVED},
)
UNRESOLVED_REFUNDS: Final = gauge(
    "refunds_unresolved_gauge",
    "Refunds that are pending, unknown or in review, from the database.",
    {"status": ("pending", "unknown", "review")},
)
PAID_NOT_GRANTED: Final = gauge(
    "paid_not_granted_gauge",
    "Orders paid for longer than the grant objective whose games are neither granted nor refunded.",
)
GRANTS_GIVEN_UP: Final = counter(
    "grants_given_up_total",
    "Grants that the Library did not take, so that their payment is refunded, by reason.",
    {"reason": ("refused", "overdue")},
)
DISPUTES: Final = counter(
    "disputes_total",
    "Disputes that reached a status, by provider; `warning` is an inquiry, no chargeback.",
    {"provider": PROVIDERS, "status": tuple(DisputeStatus)},
)
DISPUTES_OPEN: Final = gauge(
    "disputes_open_gauge",
    "Disputes that are not decided, from the database.",
    {"status": OPEN_DISPUTES},
)
DISPUTED_AMOUNT: Final = gauge(
    "disputed_amount_gauge",
    "What they are about, in minor units of their currency.",
    {"currency": tuple(CURRENCIES)},
)
DISPUTE_EVIDENCE_DUE: Final = gauge(
    "dispute_evidence_due_timestamp_seconds",
    "The first deadline of those that wait for our answer, in Unix time; 0 if none does.",
)
FRAUD_WARNINGS: Final = counter(
    "fraud_warnings_total", "Warnings of fraud that a provider passed on.", {"provider": PROVIDERS}
)
RECONCILIATION_DIFFERENCES: Final = gauge(
    "reconciliation_differences_gauge",
    "Open differences between our records, the providers' and the Library's, by kind.",
    {"kind": tuple(DifferenceKind)},
)
RECONCILIATION_LAST_RUN: Final = gauge(
    "reconciliation_last_run_timestamp_seconds",
    "When the last complete reconciliation ended, in Unix time; 0 before the first.",
)
RECONCILIATION_RUNS: Final = counter(
    "reconciliation_runs_total",
    "Reconciliation runs of this process, by outcome.",
    {"outcome": ("ok", "error")},
)
INVARIANT_VIOLATIONS: Final = gauge(
    "money_invariant_violations_gauge",
    "Rows that break a money invariant; anything but 0 is an incident.",
    {"invariant": Open("of the database")},
)
AUDIT_SEAL_LAG: Final = gauge(
    "audit_seal_lag_seconds", "Age of the oldest entry of the audit trails that no seal covers."
)
AUDIT_LAST_SEAL: Final = gauge(
    "audit_last_seal_gauge",
    "Number of the newest seal of the audit trails; one that goes back means that seals are gone.",
)
AUDIT_FAULTS: Final = gauge(
    "audit_faults_gauge",
    "Faults that this process has found in the sealed audit trails; anything but 0 is an incident.",
)
AUDIT_SEALS_CHECKED: Final = counter(
    "audit_seals_checked_total",
    "Seals of the audit trails that this process has checked, in endless rounds.",
)
WEBHOOK_REQUESTS: Final = counter(
    "webhook_requests_total",
    "Webhook deliveries of providers, by what became of them.",
    {"provider": PROVIDERS, "outcome": WEBHOOK_OUTCOMES},
)
WEBHOOK_EVENTS: Final = counter(
    "webhook_events_total",
    "Events of the inbox by result: processed (ok), put off (error), parked, of a charge"
    " that was never ours (foreign), or of one that the provider has on record for somebody else"
    " (mismatch).",
    {"provider": PROVIDERS, "outcome": ("ok", "error", "parked", "foreign", "mismatch")},
)
WEBHOOK_INBOX: Final = gauge(
    "webhook_inbox_gauge",
    "Events in the inbox that are not processed: pending, or parked for people.",
    {"state": ("pending", "parked")},
)
WEBHOOK_INBOX_LAG: Final = gauge(
    "webhook_inbox_lag_seconds", "How long the oldest event that is due has waited for a worker."
)
ORPHAN_CAPTURES: Final = counter(
    "orphan_captures_total",
    "Charges that took money and pay nothing, when they were found.",
    {"provider": PROVIDERS},
)
REVERSALS: Final = counter(
    "reversals_total",
    "Refunds and captures that a provider took back after they had succeeded, by kind.",
    {"kind": ("refund", "capture", "orphan_refund"), "provider": PROVIDERS},
)
REVERSALS_OPEN: Final = gauge(
    "reversals_open_gauge", "Refunds that came back and wait for a person, from the database."
)
REFUNDS_ADOPTED: Final = counter(
    "refunds_adopted_total",
    "Refunds that were made in a provider's dashboard and are ours now.",
    {"provider": PROVIDERS},
)
ORPHANS_UNREFUNDED: Final = gauge(
    "orphan_captures_unrefunded_gauge",
    "Orphan captures that are not refunded: pending, or in review by people.",
    {"state": ("pending", "review")},
)
MERCHANT_WEBHOOKS: Final = counter(
    "merchant_webhooks_total",
    "Tries to deliver to merchants, by outcome; refused means that the address is not public.",
    {"outcome": ("ok", "error", "timeout", "refused")},
)
MERCHANT_WEBHOOK_DURATION: Final = histogram(
    "merchant_webhook_duration_seconds",
    "Duration of a try to deliver to a merchant.",
    buckets=LATENCY_BUCKETS_S,
)
MERCHANT_WEBHOOK_BACKLOG: Final = gauge(
    "merchant_webhook_deliveries_gauge",
    "Deliveries to merchants that are pending, at enabled endpoints, or exhausted.",
    {"state": ("pending", "exhausted")},
)
MERCHANT_WEBHOOK_LAG: Final = gauge(
    "merchant_webhook_lag_seconds",
    "How late the most overdue delivery to a merchant is; a planned wait is not late.",
)
MERCHANT_WEBHOOK_ENDPOINTS: Final = gauge(
    "merchant_webhook_endpoints_gauge",
    "Merchants' endpoints: enabled and well, failing (enabled, the last try failed), disabled.",
    {"state": ("enabled", "failing", "disabled")},
)
MERCHANT_WEBHOOK_DISABLED: Final = counter(
    "merchant_webhook_endpoints_disabled_total",
    "Endpoints that the service stopped sending to, by reason: gone (410) or failing for days.",
    {"reason": ("gone", "failing")},
)
CACHE_REQUESTS: Final = counter(
    "cache_requests_total",
    "Look-ups in the cache, by outcome.",
    {"cache": ("game", "rate_limit"), "outcome": ("hit", "miss", "error", "malformed")},
)
DB_POOL_CONNECTIONS: Final = gauge(
    "db_pool_connections_gauge",
    "Database connections of this process, by state.",
    {"state": ("in_use", "free")},
)
DB_POOL_LIMIT: Final = gauge(
    "db_pool_connections_limit_gauge", "Database connections that this process may have."
)
DB_BATCH_QUEUE: Final = gauge(
    "db_batch_queue_gauge",
    "Writes waiting for a batch, by statement.",
    {"statement": Open("statements in batches")},
)
DB_BATCH_QUEUE_LIMIT: Final = gauge(
    "db_batch_queue_limit_gauge",
    "Writes that may wait for a batch of one statement; one more is refused.",
)
DB_BATCH_SIZE: Final = histogram(
    "db_batch_size",
    "Writes that shared one statement.",
    {"statement": Open("statements in batches")},
    buckets=(1.0, 2.0, 4.0, 8.0, 16.0, 32.0),
)
WORKER_LAST_ROUND: Final = gauge(
    "worker_last_round_timestamp_seconds",
    "When a worker of this process last ended a round without an error, in Unix time.",
    {"worker": Open("of service.app")},
)
CLOCK_OFFSET: Final = gauge(
    "clock_offset_seconds",
    "How far the clock of this process's machine is ahead of the database's; behind is negative.",
)
EVENT_LOOP_LAG: Final = gauge(
    "event_loop_lag_seconds", "How late the event loop ran a timer, last measurement."
)
EVENT_LOOP_TASKS: Final = gauge(
    "event_loop_tasks_gauge", "Tasks of the event loop that have not ended."
)
BUILD_INFO: Final = gauge(
    "coinslot_build_info",
    "Always 1; the labels name the running build.",
    {"version": Open("of the image"), "role": ("api", "worker")},
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
