"""Objectives and thresholds, as pure data; alerts, dashboards and load verdicts derive from it.

Windows are Prometheus durations; ratios are fractions of 1.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Objective:
    """A promise: `target` of the events are good over `window`."""

    name: str
    target: float
    window: str
    description: str

    @property
    def error_budget(self) -> float:
        """Return the fraction of events that may be bad."""
        return 1 - self.target


@dataclass(frozen=True, slots=True)
class BurnWindow:
    """One multi-window burn-rate rule, after the Google SRE workbook, chapter 5."""

    factor: float
    long: str
    short: str
    severity: str


@dataclass(frozen=True, slots=True)
class Threshold:
    """A two-step threshold; `why` is what a reader of the alert needs to know."""

    warning: float
    critical: float
    why: str


PAYMENT_AVAILABILITY: Final = Objective(
    "payment-availability",
    0.995,
    "30d",
    "Payment requests end in a definite answer that is not our or a provider's error",
)
PAYMENT_LATENCY: Final = Objective(
    "payment-latency",
    0.95,
    "30d",
    "Payment requests are answered within 2 seconds",
)
GRANT_FRESHNESS_S: Final = 300
"""A paid order's games are granted within this many seconds."""

BURN_WINDOWS: Final = (
    BurnWindow(14.4, "1h", "5m", "critical"),
    BurnWindow(6.0, "6h", "30m", "critical"),
    BurnWindow(3.0, "1d", "2h", "warning"),
    BurnWindow(1.0, "3d", "6h", "warning"),
)

PAYMENT_ERROR_RATIO: Final = Threshold(
    0.05,
    0.15,
    "declines are not errors; 5 % of failing payments is beyond any provider's noise",
)
PAYMENT_LATENCY_P95_S: Final = Threshold(
    2.0,
    5.0,
    "buyers give up after a few seconds, and the provider's timeout is 5 s",
)
HIGH_VALUE_MINOR: Final = 50_000
"""A payment of this many minor units or more is high-value (500.00 in a two-digit currency)."""

ERROR_STATUSES: Final = ("failed", "unknown", "review")
"""Payment statuses that count against availability; `declined` is the buyer's bank speaking."""

LOAD_P95_S: Final = 2.0
LOAD_ERROR_RATIO: Final = 0.01
LOAD_USERS: Final = 1_000
