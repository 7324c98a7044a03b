"""The catalog of log events: each name once, with its kind, levels, meaning and own fields.

A test holds every log call of the service to it, and docs/reference/events.md is made from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from service.domain.dispute import DisputeStatus
from service.domain.payment import PaymentStatus
from service.domain.refund import RefundStatus

Kind = Literal["payment", "audit", "performance", "integration", "security", "service"]


@dataclass(frozen=True, slots=True)
class LogEvent:
    """The meaning of a line with this `event`; `levels` are those that it can have."""

    name: str
    kind: Kind
    levels: tuple[str, ...]
    meaning: str
    fields: tuple[str, ...] = ()


def _event(kind: Kind, level: str, name: str, meaning: str, fields: str = "") -> LogEvent:
    return LogEvent(name, kind, tuple(level.split("|")), meaning, tuple(fields.split()))


COMMON: Final[Mapping[str, str]] = MappingProxyType(
    {
        "time": "UTC, RFC 3339, to the microsecond",
        "level": "debug, info, warning or error",
        "event": "the name in this catalog",
        "module": "the module that wrote the line",
        "correlation_id": "of the request or the background work, kept over all it causes",
        "trace_id": "of the caller's W3C traceparent, if there was one",
        "user_id": "the token's subject, once it is known",
        "payment_id": "the payment that the work is about",
        "refund_id": "the refund that the work is about",
        "endpoint_id": "the merchant's endpoint that the work is about",
        "webhook_id": "what the receiver knows a merchant webhook by",
        "provider": "the payment provider",
        "exception": "the traceback of an error that nobody foresaw",
    }
)
"""Fields that any line may carry; they are bound to the current work."""

FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "actionable": "whether a refund still helps",
        "actor": "the operator who asked for it",
        "address": "the client's address, or its IPv6 network",
        "amount_minor": "minor units of `currency`",
        "applied": "the migrations that were applied",
        "attempts": "deliveries tried so far",
        "cache": "the cache's name",
        "blocked_by": "sessions of the database: pid, application_name, since when, what they do",
        "chain": "the audit trail of one payment, or of the decisions on one thing",
        "chains": "such trails that have entries there",
        "charges": "charges compared",
        "check": "the part that was asked",
        "checks": "checks of the outcome so far",
        "code": "the error's code",
        "count": "how many",
        "currency": "ISO 4217",
        "declined": "whether the buyer's bank or card declined, which is no error",
        "delivery_id": "the delivery to a merchant",
        "differences": "differences found",
        "duplicate": "whether it was there already",
        "duration_ms": "milliseconds",
        "entries": "entries of the audit trails",
        "error": "what went wrong, without secrets",
        "event_type": "the provider's name of the event, or ours of a merchant webhook",
        "failure_code": "why it failed; null if it did not",
        "failures": "failures in a row",
        "fault": "what is wrong; docs/operate/admin.md explains each",
        "first_position": "where the interval begins",
        "fraud_type": "the card network's name for what it suspects",
        "foreign_charges": "charges compared that are somebody else's, on the same account",
        "grants": "grants compared",
        "hash": "hexadecimal, over the seal and the hash of the one before",
        "host": "the name that was looked up",
        "invariant": "the invariant's name",
        "kind": "the kind of difference",
        "known": "whether addresses from an earlier look-up are used",
        "last_position": "where the interval ends",
        "message": "the library's own message",
        "message_id": "the outbox message",
        "method": "the HTTP method",
        "migration": "the file, or the lock that it needs first",
        "operation_id": "the operation in the OpenAPI document",
        "order_id": "the order",
        "orphan_id": "the capture that belongs to no payment of ours",
        "outcome": "how it came out",
        "payment_status": "the status of the payment that it should belong to",
        "payments": "payments compared",
        "policy": "the rate limit's name",
        "provider_ref": "the provider's own id",
        "reason": "why",
        "recorded_attempt_id": "the attempt that the provider has on record; null if none",
        "recorded_payment_id": "the payment that the provider has on record; null if none",
        "refund_minor": "minor units of `currency`",
        "result": "what came of it",
        "root": "hexadecimal, over the chains in the interval and their digests",
        "route": "the route's template, never the path itself",
        "run_id": "the reconciliation run",
        "scope": "the scope that the operation needs",
        "seal": "the seal's number",
        "seq": "the entry's number in its chain",
        "source": "whose records were compared",
        "state": "of a breaker or a merchant's endpoint",
        "status": "the HTTP status",
        "status_code": "the HTTP status",
        "subject": "what the difference is about",
        "topic": "the outbox topic",
        "total_minor": "minor units of the order's currency",
        "violations": "rows that break it",
        "wait_s": "seconds until the next try",
        "waited_s": "seconds of waiting so far",
        "worker": "the worker's name",
    }
)
"""What an event's own fields hold."""

PAYMENT_REACHED: Final[Mapping[str, str]] = MappingProxyType(
    {status.value: f"payment_{status}" for status in PaymentStatus}
)
REFUND_REACHED: Final[Mapping[str, str]] = MappingProxyType(
    {status.value: f"refund_{status}" for status in RefundStatus}
)
DISPUTE_REACHED: Final[Mapping[str, str]] = MappingProxyType(
    {status.value: f"dispute_{status}" for status in DisputeStatus}
)
ORPHAN_REACHED: Final[Mapping[str, str]] = MappingProxyType(
    {status: f"orphan_capture_{status}" for status in ("refunded", "review")}
)
"""The event of each status: the only names that are put together."""

_REACHED: Final = (
    *(
        _event("payment", "info|error" if status == PaymentStatus.REVERSED else "info", name,
               f"A payment is {status.replace('_', ' ')}.",
               "payment_id user_id provider amount_minor currency failure_code declined")
        for status, name in PAYMENT_REACHED.items()
    ),
    *(
        _event("payment", "info", name, f"A refund is {status}.", "refund_id amount_minor")
        for status, name in REFUND_REACHED.items()
    ),
    *(
        _event("payment", "warning", name, f"A dispute is now `{status}`.",
               "provider_ref amount_minor currency reason")
        for status, name in DISPUTE_REACHED.items()
    ),
)  # fmt: skip

_PAYMENT: Final = (
    _event("payment", "info", "order_created", "An order was created.", "order_id total_minor"),
    _event("payment", "info", "order_canceled", "An order was canceled.", "order_id"),
    _event("payment", "info", "orders_expired", "Unpaid orders ran out.", "count"),
    _event("payment", "info", "held_payments_expire", "Holds that ran out are given up.", "count"),
    _event("payment", "warning", "idempotency_keys_freed",
           "Requests died and came to nothing; their keys may be used again.", "count"),
    _event("payment", "warning", "payment_outcome_unknown",
           "A call may or may not have reached the provider; it will be asked.", "reason checks"),
    _event("payment", "warning", "refund_outcome_unknown",
           "A refund may or may not have reached the provider; it will be asked.", "reason checks"),
    _event("payment", "info", "payment_taken_up", "The completer checks a payment.", "checks"),
    _event("payment", "info", "payment_action_pending",
           "The buyer still has to act at the provider.", "reason"),
    _event("payment", "info", "refund_taken_up", "The completer checks a refund.", "checks"),
    _event("payment", "warning", "payment_handed_on",
           "A provider did nothing, so the payment failed over to the next.", "provider reason"),
    _event("payment", "error", "refund_reversed",
           "A refund that had succeeded came back; a person decides what becomes of it.",
           "refund_id amount_minor currency failure_code"),
    _event("payment", "warning", "refund_adopted",
           "A refund that was made in the provider's dashboard is ours now.",
           "refund_id amount_minor currency provider_ref"),
    _event("payment", "error", "grant_given_up", "A paid game can't be granted and is refunded.",
           "reason error refund_minor currency"),
    _event("payment", "warning", "fraud_warning_created",
           "A card's network suspects fraud; a refund now may spare a dispute.",
           "fraud_type actionable"),
    _event("payment", "error", "orphan_capture_recorded",
           "Money was taken for a payment that is closed; it goes back.",
           "orphan_id payment_status provider_ref amount_minor currency"),
    _event("payment", "warning", "orphan_hold_released",
           "A hold of a closed payment was released.", "provider_ref outcome"),
    _event("payment", "warning", "orphan_capture_put_off",
           "Giving it back is tried again later.",
           "orphan_id reason wait_s"),
    _event("payment", "warning", ORPHAN_REACHED["refunded"], "The money went back.",
           "orphan_id failure_code"),
    _event("payment", "error", ORPHAN_REACHED["review"],
           "It did not go back; a person decides.", "orphan_id failure_code"),
)  # fmt: skip

_AUDIT: Final = (
    _event("audit", "warning", "payment_resolved_by_operator",
           "A person decided what became of a payment.", "actor outcome"),
    _event("audit", "warning", "refund_resolved_by_operator",
           "A person decided what became of a refund.", "actor outcome"),
    _event("audit", "warning", "refund_retried_by_operator",
           "A person began a refund in place of one that failed.", "actor"),
    _event("audit", "warning", "refund_recorded_by_operator",
           "A person booked a refund that was made otherwise.", "actor"),
    _event("audit", "warning", "refund_dismissed_by_operator",
           "A person decided that nothing replaces a refund that came back.", "actor"),
    _event("audit", "warning", "orphan_capture_decided_by_operator",
           "A person had a refund tried again (pending), or booked it.", "orphan_id actor outcome"),
    _event("audit", "warning", "dispute_closed_by_operator",
           "A person ended the review of a dispute, or took the games back (revoke).",
           "actor outcome"),
    _event("audit", "warning", "fraud_warning_closed_by_operator",
           "A person has closed a warning of fraud.", "actor"),
    _event("audit", "warning", "webhooks_dismissed_by_operator",
           "A person dismissed parked events in bulk.", "actor count"),
    _event("audit", "warning", "webhook_decided_by_operator",
           "A person had a parked event processed again, or dismissed it.",
           "actor event_type outcome"),
    _event("audit", "warning", "outbox_replayed_by_operator",
           "A person sent an outbox message again.", "message_id actor"),
    _event("audit", "warning", "webhook_endpoint_registered",
           "A person registered a merchant's endpoint.", "endpoint_id actor"),
    _event("audit", "warning", "webhook_endpoint_changed",
           "A person changed, disabled, enabled or closed one.", "endpoint_id actor state"),
    _event("audit", "warning", "webhook_endpoint_rotated", "A person rotated the secret of one.",
           "endpoint_id actor"),
    _event("audit", "warning", "webhook_redelivered_by_operator",
           "A person sent a merchant an event again.", "delivery_id actor"),
    _event("audit", "error", "webhook_endpoint_disabled",
           "Nothing is sent to an endpoint any more: it is gone, or has failed for days.",
           "reason"),
    _event("audit", "error", "money_invariant_broken", "Rows break a money invariant.",
           "invariant violations"),
    _event("audit", "info", "audit_sealed",
           "An interval of the audit trails was sealed; the line is its anchor outside.",
           "seal root hash first_position last_position entries chains"),
    _event("audit", "error", "audit_fault", "A sealed audit trail is not as it was.",
           "fault seal chain seq"),
    _event("audit", "info", "reconciliation_requested", "A run was asked for.", "run_id actor"),
    _event("audit", "info", "reconciliation_started", "A run began.", "run_id actor"),
    _event("audit", "warning", "reconciliation_taken_over",
           "Another worker's run is carried on.", "run_id"),
    _event("audit", "info", "reconciliation_finished", "A run ended.",
           "run_id charges payments grants differences foreign_charges error"),
    _event("audit", "error", "reconciliation_failed", "A run could not be ended.",
           "run_id charges payments grants differences foreign_charges error"),
    _event("audit", "info", "reconciliation_not_followed",
           "What the provider reports of a charge can't be recorded now.", "reason"),
    _event("audit", "warning", "reconciliation_difference", "Our records and theirs differ.",
           "kind source subject payment_id"),
    _event("audit", "info", "reconciliation_differences_closed", "Differences are gone.",
           "source count"),
)  # fmt: skip

_INTEGRATION: Final = (
    _event("integration", "info", "webhook_received", "A provider's webhook was accepted.",
           "provider event_type duplicate"),
    _event("integration", "info", "webhook_processed", "A webhook was acted on.",
           "event_type result"),
    _event("integration", "warning", "webhook_put_off", "It is tried again later.",
           "event_type reason wait_s"),
    _event("integration", "error", "charge_mismatch",
           "An event claims a charge for a payment; the provider has it on record for another or "
           "for none: a forged event, or a leaked secret.",
           "payment_id provider_ref recorded_payment_id recorded_attempt_id"),
    _event("integration", "error", "webhook_parked", "It failed too often; a person decides.",
           "event_type reason"),
    _event("integration", "error", "webhook_malformed",
           "A webhook was signed well and can't be read.", "provider reason"),
    _event("integration", "info", "outbox_delivered", "A message reached its service.",
           "topic attempts"),
    _event("integration", "warning", "outbox_put_off", "A message is tried again later.",
           "topic reason wait_s"),
    _event("integration", "info", "merchant_webhook_delivered",
           "A merchant's endpoint accepted an event.", "event_type attempts"),
    _event("integration", "warning", "merchant_webhook_put_off",
           "A try failed; the event is sent again later.", "event_type attempts reason wait_s"),
    _event("integration", "error", "merchant_webhook_exhausted",
           "All tries have failed; only an operator can send it again.",
           "event_type attempts reason"),
    _event("integration", "error", "merchant_webhook_unsigned",
           "A message can't be signed: its master key is missing.", "reason"),
    _event("integration", "warning", "provider_breaker_changed",
           "A provider's circuit breaker opened, half-opened or closed.", "provider state"),
    _event("integration", "warning", "readiness_failed", "A part does not answer.", "check error"),
)  # fmt: skip

_SECURITY: Final = (
    _event("security", "warning", "token_refused", "A bearer token is not valid.", "reason"),
    _event("security", "warning", "scope_missing", "A token doesn't allow the operation.", "scope"),
    _event("security", "warning", "rate_limited", "A user or an address asks too often.",
           "policy address"),
    _event("security", "warning", "webhook_refused",
           "A webhook's signature or time is wrong.", "provider reason"),
    _event("security", "warning", "cache_value_malformed",
           "A value or a count in the cache can't be ours; it was not used.", "cache"),
)  # fmt: skip

_PERFORMANCE: Final = (
    _event("performance", "debug|info", "http_request",
           "A request was answered; probes and scrapes at debug.",
           "method route status duration_ms"),
    _event("performance", "info", "http_request_unreadable",
           "What came was no HTTP; it got a 400, and the connection was closed.", "error"),
    _event("performance", "warning", "http_request_canceled",
           "The drain ended before the request did.", "method route"),
)  # fmt: skip

_SERVICE: Final = (
    _event("service", "info", "started", "All parts run."),
    _event("service", "warning", "database_lookup_failed",
           "The database's name was not found in time.",
           "host error known"),
    _event("service", "warning", "database_login_owns_tables",
           "DATABASE_URL may switch the guards off; give the service a login of its own.", "error"),
    _event("service", "info", "draining", "No new work is taken; the process ends soon."),
    _event("service", "info", "migrated", "The schema is up to date.", "applied"),
    _event("service", "warning", "migration_waits",
           "Others have what it wants to lock; it lets them through and tries again.",
           "migration waited_s blocked_by"),
    _event("service", "error", "migration_failed",
           "The file that it names, or all, is as if it had not been tried.", "error"),
    _event("service", "error", "port_in_use", "Something else listens there.", "error"),
    _event("service", "error", "unexpected_error", "A defect of ours; the client got a 500.",
           "method"),
    _event("service", "error", "unexpected_http_error",
           "The framework raised an error that has no problem document.", "status reason"),
    _event("service", "error", "undeclared_error",
           "An operation answered with an error that its document doesn't name.",
           "operation_id code"),
    _event("service", "error", "undeclared_status",
           "An operation answered with a status that its document doesn't name.",
           "operation_id status_code"),
    _event("service", "warning", "clock_not_measured",
           "The database's time could not be read; the last sample is used.",
           "error"),
    _event("service", "error", "worker_failed", "A worker's round failed; it goes on.",
           "worker failures"),
    _event("service", "error", "work_item_failed", "One item failed; the others go on."),
    _event("service", "debug|info|warning|error", "library_log",
           "A line that a library logged.", "message"),
)  # fmt: skip

CATALOG: Final = {
    event.name: event
    for group in (
        _REACHED, _PAYMENT, _AUDIT, _PERFORMANCE, _INTEGRATION, _SECURITY, _SERVICE,
    )
    for event in group
}  # fmt: skip
"""Every event by its name."""
