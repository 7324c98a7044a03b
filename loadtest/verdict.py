"""Whether a run passed: speed, errors, and above all whether the money is right. Pure."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from loadtest.profile import MIX, Profile, Task
from loadtest.results import PAY_REQUEST, Results
from service.slo import LOAD_ERROR_RATIO, LOAD_P95_S


@dataclass(frozen=True, slots=True)
class Money:
    """The money invariants and what is pending after the run: GET /v1/admin/invariants."""

    invariants: Mapping[str, int]
    pending: Mapping[str, int]


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


def evaluate(profile: Profile, results: Results, money: Money) -> Verdict:
    """Return the verdict on a run of `profile`."""
    return Verdict(
        (*_load(profile, results), *_mix(results.tasks), *_speed(results), *_money(money))
    )


MIX_SIGMAS: Final = 4
"""Standard deviations that a share may be off: chance alone goes beyond them once in 16,000."""

_LEAST_SHARE: Final = 0.95
"""Of the peak's users; locust samples them each five seconds, a short peak's last few escape."""


def _load(profile: Profile, results: Results) -> tuple[Check, ...]:
    """Check that there was a load at all: an idle service is fast and makes no mistakes."""
    users, peak = results.peak_users, profile.peak_users
    paid = results.requests(PAY_REQUEST)
    made = paid.count - paid.failures if paid else 0
    broken = sum(one.count for one in results.failures if one.where == "load test")
    return (
        Check("users at the peak", f"{peak}", f"{users}", users >= _LEAST_SHARE * peak),
        Check("payments made", "more than 0", f"{made}", made > 0),
        Check("errors in the load test itself", "0", f"{broken}", broken == 0),
    )


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


def _speed(results: Results) -> tuple[Check, ...]:
    ratio = results.total.error_ratio
    pay = results.requests(PAY_REQUEST)
    return (
        _p95("P95 of all requests", results.total.quantile_s(0.95)),
        _p95("P95 of payments", pay.quantile_s(0.95) if pay else math.nan),
        Check("failed requests", f"below {LOAD_ERROR_RATIO:.0%}", f"{ratio:.2%}", _low(ratio)),
    )


def _low(ratio: float) -> bool:
    return ratio < LOAD_ERROR_RATIO


def _p95(name: str, seconds: float) -> Check:
    measured = "no requests" if math.isnan(seconds) else f"{seconds * 1000:.0f} ms"
    passed = seconds < LOAD_P95_S  # NaN is not below anything
    return Check(name, f"below {LOAD_P95_S * 1000:.0f} ms", measured, passed)


def _money(money: Money) -> tuple[Check, ...]:
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
    return (*pending, known, *broken)
