"""Whether a run passed: speed, errors, and above all whether the money is right. Pure."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from loadtest.money import Money, Reconciliation
from loadtest.profile import MIX, Profile, Task, least_throughput
from loadtest.results import LOAD_TEST, PAY_REQUEST, PhaseResults, Requests, Results
from service.slo import (
    LOAD_ERROR_RATIO,
    LOAD_ERRORS,
    LOAD_P95_AT_USERS,
    LOAD_P95_S,
    LOAD_USERS,
)


@dataclass(frozen=True, slots=True)
class Check:
    """One condition, what it wants and what was measured, in words."""

    name: str
    wanted: str
    measured: str
    passed: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """Every check of a run."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Return whether every check passed; a run without checks proves nothing."""
        return bool(self.checks) and all(check.passed for check in self.checks)


def evaluate(profile: Profile, results: Results, money: Money, workers: int = 1) -> Verdict:
    """Return the verdict on a run of `profile` by so many workers of the load generator."""
    paid = results.requests(PAY_REQUEST)
    return Verdict(
        (
            *_load(profile, results, workers),
            *_mix(results.tasks),
            *_speed(results, paid),
            *_peak(profile, results.phases[profile.peak_phase]),
            *money_checks(money, paid.count - paid.failures if paid else 0),
        )
    )


def own_p95_s(users: int) -> float | None:
    """Return our own target for the P95 with so many users; None below the first one."""
    return max((p95 for least, p95 in LOAD_P95_AT_USERS.items() if users >= least), default=None)


MIX_SIGMAS: Final = 4
"""Standard deviations that a share may be off: chance alone goes beyond them once in 16,000."""

_LEAST_SHARE: Final = 0.95
"""Of the peak's users; locust samples them each five seconds, a short peak's last few escape."""


def _load(profile: Profile, results: Results, workers: int) -> Iterator[Check]:
    """Check that there was a load at all: an idle service is fast and makes no mistakes."""
    users, peak = results.peak_users, profile.peak_users
    paid = results.requests(PAY_REQUEST)
    made = paid.count - paid.failures if paid else 0
    broken = sum(one.count for one in results.failures if one.where == LOAD_TEST)
    yield Check("users at the peak", f"{peak}", f"{users}", users >= _LEAST_SHARE * peak)
    if peak >= LOAD_USERS:
        yield Check(
            "concurrent users", f"at least {LOAD_USERS:,}", f"{users:,}", users >= LOAD_USERS
        )
    yield Check("payments made", "more than 0", f"{made}", made > 0)
    yield Check("errors in the load test itself", "0", f"{broken}", broken == 0)
    alive = results.workers
    yield Check("workers that reported to the end", f"{workers}", f"{alive}", alive == workers)


def _mix(tasks: Mapping[Task, int]) -> Iterator[Check]:
    """Check that visitors did what the mix says, as exactly as so many dice can fall."""
    begun = sum(tasks.values())
    for task, percent in MIX.items():
        wanted = percent / 100
        share = tasks.get(task, 0) / begun if begun else 0.0
        spread = MIX_SIGMAS * math.sqrt(wanted * (1 - wanted) / begun) if begun else 0.0
        yield Check(
            f"share of {task}",
            f"{wanted:.0%} ± {spread:.1%}",
            f"{share:.1%}",
            abs(share - wanted) <= spread,
        )


def _speed(results: Results, paid: Requests | None) -> Iterator[Check]:
    yield _p95("P95 of all requests", results.total, LOAD_P95_S, "below")
    yield _p95("P95 of payments", paid, LOAD_P95_S, "below")
    ratio, failed = results.total.error_ratio, results.total.failures
    low = results.total.count > 0 and ratio < LOAD_ERROR_RATIO
    yield Check("failed requests", f"below {LOAD_ERROR_RATIO:.0%}", f"{ratio:.2%}", low)
    yield Check("failed requests, our own target", f"{LOAD_ERRORS}", f"{failed}", failed == 0)


def _peak(profile: Profile, peak: PhaseResults) -> Iterator[Check]:
    """Check the phase with the most users: its requests alone, not the easy ones before it."""
    where = f"with {peak.phase.users:,} users"
    own_s = own_p95_s(peak.phase.users)
    if own_s is not None:
        yield _p95(f"P95 of all requests {where}", peak.total, own_s, "at most")
        yield _p95(f"P95 of payments {where}", peak.pay, own_s, "at most")
    least = least_throughput(profile, profile.peak_phase, own_s or LOAD_P95_S)
    yield Check(
        f"throughput {where}",
        f"at least {least:.1f} requests/s",
        f"{peak.throughput:.1f} requests/s",
        peak.throughput >= least,
    )


def _p95(name: str, requests: Requests | None, limit_s: float, bound: str) -> Check:
    seconds = requests.quantile_s(0.95) if requests else math.nan
    measured = "no requests" if math.isnan(seconds) else f"{seconds * 1000:.0f} ms"
    passed = seconds < limit_s or (bound == "at most" and seconds == limit_s)  # NaN is neither
    return Check(name, f"{bound} {limit_s * 1000:.0f} ms", measured, passed)


def money_checks(money: Money, made: int) -> tuple[Check, ...]:
    """Return the checks of the money after a run that made so many payments."""
    pending = [
        Check(f"left over: {name.replace('_', ' ')}", "0", f"{count}", count == 0)
        for name, count in sorted(money.pending.items())
    ]
    known = Check(
        "money invariants known", "at least 1", f"{len(money.invariants)}", bool(money.invariants)
    )
    broken = [
        Check(f"invariant: {name}", "0", f"{count}", count == 0)
        for name, count in sorted(money.invariants.items())
    ]
    return (*pending, known, *broken, *_reconciliation(money.reconciliation, made))


def _reconciliation(found: Reconciliation, made: int) -> Iterator[Check]:
    """Check that the others' books say what ours do, and that they were compared at all."""
    yield Check("reconciliation", "succeeded", found.error or "succeeded", found.error is None)
    yield Check(
        "charges at the provider, reconciled",
        f"at least {made}, the payments made",
        f"{found.charges}",
        found.charges >= made,
    )
    kinds = f": {', '.join(sorted(set(found.differences)))}" if found.differences else ""
    count = len(found.differences)
    yield Check("open differences", "0", f"{count}{kinds}", count == 0)
