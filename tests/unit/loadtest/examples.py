"""A run that passes, as the locustfile would write it; tests break it in one place each."""

from typing import Any

from loadtest.money import Money, Reconciliation
from loadtest.profile import MIX, SMOKE, Profile
from loadtest.results import PAY_REQUEST

HEALTH_REQUEST = "GET /health/ready"
Raw = dict[str, Any]


def row(phase: int, interval: int, kind: str, times_ms: dict[str, int], failures: int = 0) -> Raw:
    return {
        "phase": phase,
        "interval": interval,
        "kind": kind,
        "times_ms": times_ms,
        "failures": failures,
    }


def raw_run(profile: Profile = SMOKE) -> Raw:
    """Each phase has 1,000 payments and 100 other requests in its first interval."""
    return {
        "started_at": 1000.0,
        "workers": 1,
        "tasks": {str(task): share * 14 for task, share in MIX.items()},
        "users": [
            [start + 1.0, phase.users]
            for start, phase in zip(profile.starts_s(), profile.phases, strict=True)
        ],
        "measured": [
            row(number, 0, kind, times)
            for number in range(len(profile.phases))
            for kind, times in (
                (HEALTH_REQUEST, {"2": 100}),
                (PAY_REQUEST, {"20": 940, "30": 50, "90": 10}),
            )
        ],
        "errors": [],
        "exceptions": [],
    }


def money(
    invariants: dict[str, int] | None = None,
    pending: dict[str, int] | None = None,
    *,
    error: str | None = None,
    charges: int = 1_000_000,
    differences: tuple[str, ...] = (),
) -> Money:
    """Return what a service says whose books are right, but for what is named."""
    return Money(
        {"ledger_balanced": 0, "no_double_grant": 0} if invariants is None else invariants,
        {"outbox": 0} if pending is None else pending,
        Reconciliation(error, charges, charges, differences),
    )
