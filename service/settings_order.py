"""Settings that stand in an order: a lease that ends before its holder would guard nothing."""

from collections.abc import Iterator, Mapping
from typing import Final

ORDERED: Final[tuple[tuple[str, str, float, str], ...]] = (
    ("db_statement_timeout_s", "request_timeout_s", 1, "a request ends after its statement"),
    ("migration_lock_timeout_s", "db_statement_timeout_s", 1, "who queues behind it gets through"),
    ("migration_lock_timeout_s", "migration_wait_s", 2, "a lock is tried for more than once"),
    ("cache_timeout_s", "request_timeout_s", 1, "a lost cache costs speed and no request"),
    ("integration_timeout_s", "request_timeout_s", 1, "a request ends after what it waits for"),
    ("provider_timeout_s", "request_timeout_s", 1, "a charge is answered before the request ends"),
    ("request_timeout_s", "idempotency_lock_s", 2, "an owner of a key that lost it is surely gone"),
    ("integration_timeout_s", "outbox_lease_s", 2, "no two workers send one message"),
    (
        "reconciliation_interval_s",
        "reconciliation_window_s",
        1,
        "no payment falls between two runs",
    ),
    ("reconciliation_grace_s", "reconciliation_window_s", 1, "there is something to compare"),
)
"""Seconds that must be smaller (times the factor) than others, and why."""


def in_order(small_s: float, large_s: float, factor: float) -> bool:
    """Return whether the first is small enough; without a factor, equal is too large."""
    return small_s < large_s if factor == 1 else small_s * factor <= large_s


def problems(seconds: Mapping[str, float]) -> Iterator[str]:
    """Yield what stands in the wrong order, by environment variable, and what to do about it."""
    for lower, upper, factor, why in ORDERED:
        small_s, large_s = seconds[lower], seconds[upper]
        if not in_order(small_s, large_s, factor):
            times = f" times {factor:g}" if factor != 1 else ""
            yield (
                f"{lower.upper()} is {small_s:g}, which{times} is not below {upper.upper()}, "
                f"{large_s:g}: {why} only then; lower the one or raise the other"
            )
