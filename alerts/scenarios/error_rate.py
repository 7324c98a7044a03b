"""Scenarios of the error rates: the borders of each threshold, and what must wake nobody."""

from dataclasses import dataclass
from typing import Final

from alerts.model import Alert
from alerts.payments import ERROR_RATE_CRITICAL, ERROR_RATE_HIGH
from alerts.scenarios import API_JOB, NAMESPACE, SAMPLES, Firing, Scenario, Series
from service.metric_catalog import PAYMENTS


@dataclass(frozen=True, slots=True)
class Border:
    """The times and counts, of 100 payments a sample, at which a rule changes its mind."""

    alert: Alert
    above: int
    at: int
    below: int
    pending: str
    """The last evaluation before `for` has passed."""
    firing: str
    """The first one after it; the condition first holds at 30 s, with the second sample."""


BORDERS: Final = (
    Border(ERROR_RATE_HIGH, above=6, at=5, below=4, pending="5m", firing="5m30s"),
    Border(ERROR_RATE_CRITICAL, above=16, at=15, below=14, pending="2m", firing="2m30s"),
)


def payments(
    per_sample: int, status: str, *, namespace: str = NAMESPACE, job: str = API_JOB
) -> Series:
    """Return a steady stream of payments that reach `status`."""
    labels = (("status", status), ("provider", "simulator"))
    return Series(PAYMENTS, labels, f"0+{per_sample}x{SAMPLES}", namespace, job)


def mix(bad: int, status: str = "failed", namespace: str = NAMESPACE) -> tuple[Series, Series]:
    """Return 100 payments a sample, `bad` of which reach `status`; the others succeed."""
    return (
        payments(bad, status, namespace=namespace),
        payments(100 - bad, "succeeded", namespace=namespace),
    )


def around(border: Border) -> tuple[Scenario, ...]:
    """Return the scenarios at the border of one rule."""
    fired = (Firing(f"{border.above}%"),)

    def case(name: str, bad: int, at: str, fires: tuple[Firing, ...] = ()) -> Scenario:
        return Scenario(border.alert, name, mix(bad), at, fires)

    return (
        case("just above the limit, for long enough", border.above, border.firing, fired),
        case("just above the limit, not yet long enough", border.above, border.pending),
        case("exactly at the limit", border.at, border.firing),
        case("below the limit", border.below, border.firing),
    )


def errors(border: Border) -> tuple[Scenario, ...]:
    """Return which payments count as errors, and whose."""
    alert, at = border.alert, border.firing
    fired = (Firing(f"{border.above}%"),)
    ours_and_theirs = mix(border.above) + mix(0, namespace="coinslot-other")
    namesake = (payments(100, "failed", job="another-shop"), payments(100, "succeeded"))
    return (
        Scenario(alert, "unknown outcomes count", mix(border.above, "unknown"), at, fired),
        Scenario(alert, "payments in review count", mix(border.above, "review"), at, fired),
        Scenario(alert, "declined cards do not count", mix(100, "declined"), at),
        Scenario(alert, "each namespace for itself", ours_and_theirs, at, fired),
        Scenario(alert, "another service's payments do not count", namesake, at),
    )


def quiet(border: Border) -> tuple[Scenario, ...]:
    """Return what happens with next to no traffic."""
    alert, at = border.alert, border.firing
    nothing = (payments(0, "failed"), payments(0, "succeeded"))
    labels = (("status", "failed"), ("provider", "simulator"))
    lone = Series(PAYMENTS, labels, f"0 1x{SAMPLES}")
    silent = payments(0, "succeeded")
    return (
        Scenario(alert, "no traffic", nothing, at),
        Scenario(alert, "no series at all", (), at),
        *(
            Scenario(alert, f"a lone failure in a quiet night, {time}", (lone, silent), time)
            for time in (border.pending, border.firing, "10m")
        ),
    )


SCENARIOS: Final[tuple[Scenario, ...]] = tuple(
    scenario
    for border in BORDERS
    for scenario in (*around(border), *errors(border), *quiet(border))
)
