"""Objectives and thresholds, as pure data; alerts, dashboards and load results derive from it.

Windows are Prometheus durations; ratios are fractions of 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
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
class Limit:
    """A threshold with one step."""

    value: float
    why: str


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
    BurnWindow(14.4, "1h", "5m", "critical"),  # 2 % of a month's budget within an hour
    BurnWindow(6.0, "6h", "30m", "critical"),  # 5 % within six
    BurnWindow(3.0, "1d", "2h", "warning"),  # 10 % within a day
    BurnWindow(1.0, "3d", "6h", "warning"),  # 10 % within three
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
PAYMENT_VOLUME_DROP: Final = Limit(
    0.4,
    "less than two fifths both of yesterday's volume and of last week's at this time of day; one "
    "of them alone may have been a sale",
)
PAYMENT_VOLUME_LEAST: Final = Limit(
    30.0,
    "payments in the window a week ago: of 30 expected ones fewer than 12 come by chance once in "
    "fifteen thousand windows, of 10 expected ones far too often",
)
PAYMENTS_STOPPED_LEAST: Final = Limit(
    10.0,
    "paid payments in ten minutes: none of 10 comes by chance once in twenty thousand times",
)
HIGH_VALUE_FAILURES: Final = Limit(
    3.0,
    "failures of expensive orders within a quarter of an hour at one provider; one or two are a "
    "buyer who tries again",
)
PAYMENT_PROCESSING_S: Final = Limit(
    900.0,
    "the completer takes a payment up after half a minute; after fifteen nobody is repairing it",
)
PAYMENT_UNKNOWN_S: Final = Limit(
    3_600.0,
    "the provider has been asked some ten times by then; buyers start to write",
)
API_ERROR_RATIO: Final = Limit(
    0.05,
    "answers with 5xx; the error ratio of payments can't see requests that never became a payment",
)
PROVIDER_ERROR_RATIO: Final = Limit(
    0.5,
    "half of the calls fail or time out: an outage and no noise, whatever the volume",
)
BREAKER_CLOSED_RATIO: Final = Limit(
    0.5,
    "the breaker lets calls through for less than half of the time, over all API processes (those "
    "of workers, which call little, stay closed); a single opening of 5 s is what it is there for",
)
INTEGRATION_ERROR_RATIO: Final = Threshold(
    0.10,
    0.5,
    "repeats hide a few per cent from buyers; at one in ten they begin to wait",
)
OUTBOX_LAG_S: Final = Limit(
    float(GRANT_FRESHNESS_S),
    "the objective for a paid game's arrival, so that the oldest message has missed it",
)
PAID_NOT_GRANTED: Final = Threshold(
    0.0,
    20.0,
    "each is a buyer who paid and has nothing; one may be an odd order, twenty are an outage",
)
GRANTS_GIVEN_UP: Final = Limit(
    1.0,
    "the buyer gets the money back and no game: each one is a sale lost for a reason",
)
WEBHOOK_INBOX_LAG_S: Final = Limit(
    60.0,
    "due events are taken every half second; a minute is a worker that is stuck or far behind",
)
WEBHOOK_REFUSED_RATIO: Final = Limit(
    0.5,
    "scanners send a forgery now and then; half of all deliveries is a wrong secret, or an attack",
)
RECONCILIATION_OVERDUE_S: Final = Limit(
    10_800.0,
    "three times the usual interval: one run may fail and its repeat as well",
)
MERCHANT_LAG_S: Final = Limit(
    300.0,
    "a planned wait is not late, so five minutes are a sender that is stuck or far behind",
)
SEAL_LAG_S: Final = Limit(
    600.0,
    "ten times the usual interval; what is not sealed could still be changed unseen",
)
ORPHAN_CAPTURES: Final = Limit(
    3.0,
    "within an hour at one provider: a late success happens, three are something systematic",
)
DISPUTE_DUE_S: Final = Threshold(
    259_200.0,
    86_400.0,
    "evidence takes hours to put together and a weekend has two days; on the last day it is done "
    "at once or never",
)
DISPUTE_RATIO: Final = Limit(
    0.0075,
    "of the payments; card networks monitor a merchant at 0.9 % to 1.5 %",
)
DISPUTES_LEAST: Final = Limit(
    3.0,
    "a bad day of a small number",
)
CPU_RATIO: Final = Limit(
    0.8,
    "of the container's limit; the autoscaler acts at 70 % of the request, so this is what it "
    "could not fix",
)
MEMORY_RATIO: Final = Limit(
    0.85,
    "of the container's limit, at which the kernel kills it; the rest is a few minutes of a leak",
)
DB_POOL_RATIO: Final = Limit(
    0.9,
    "of the pool on average: a statement that finds no free connection waits, and then fails",
)
BATCH_QUEUE_RATIO: Final = Limit(
    0.5,
    "of what may wait: seconds of work, and the other half fills just as fast",
)
EVENT_LOOP_LAG_S: Final = Limit(
    0.1,
    "added to every answer, several times over; an idle loop is late by a millisecond",
)
CACHE_ERROR_RATIO: Final = Limit(
    0.5,
    "a cache that is gone fails every look-up; a slow answer now and then is no loss",
)
RESTARTS: Final = Limit(
    3.0,
    "within an hour: a node drain restarts a container once, a crash loop goes on",
)
WORKER_ROUND_S: Final = Limit(
    900.0,
    "every worker but reconciliation ends a round within three minutes, also with others silent",
)
CLOCK_OFFSET_S: Final = Limit(
    5.0,
    "NTP keeps clocks within milliseconds; one that is seconds off is set by nobody, and drifts on",
)
BURN_LEAST: Final = Limit(
    5.0,
    "bad payments in the long window: a failure or two in a quiet night burn no month's budget",
)
HIGH_VALUE_MINOR: Final[Mapping[str, int]] = MappingProxyType(
    {"EUR": 50_000, "GBP": 50_000, "JPY": 80_000, "USD": 50_000}
)
"""A payment of this many minor units or more is high-value; each of them is the end of a bucket of
the histogram of amounts. The yen has no smaller unit: 80,000 of them are about 500 euros."""

HIGH_VALUE: Final = ", ".join(f"{minor} {code}" for code, minor in HIGH_VALUE_MINOR.items())
"""The same for people, in minor units."""

ERROR_STATUSES: Final = ("failed", "unknown", "review")
"""Payment statuses that count against availability; `declined` is the buyer's bank speaking."""

LOAD_P95_S: Final = 2.0
LOAD_ERROR_RATIO: Final = 0.01
LOAD_USERS: Final = 1_000
"""What is promised of a load test: P95 and failed requests below these, with that many users."""

LOAD_P95_AT_USERS: Final[Mapping[int, float]] = MappingProxyType({1_500: 0.2, 3_000: 0.5})
"""Our own targets, in seconds: at most this P95 in the phase with that many users, or more."""

LOAD_ERRORS: Final = 0
"""Our own target: a service within its capacity fails no request at all."""

KNEE_GOOD_RATIO: Final = Limit(
    0.98,
    "of the buyers who arrive; the knee is the highest rate at which as many are served in time",
)
KNEE_P95_S: Final = Limit(
    0.5,
    "from the scheduled arrival to the end of order, payment and look at the order; on one "
    "machine, where nothing is far away",
)
OVERLOAD_GOOD_RATIO: Final = Limit(
    0.8,
    "of what is served at the knee: past it a service refuses the rest and doesn't collapse",
)
OVERLOAD_P95_S: Final = Limit(
    PAYMENT_LATENCY_P95_S.warning,
    "of the payments that are accepted past the knee; refusing others is to keep them fast",
)
OVERLOAD_FLOW_P95_S: Final = Limit(
    PAYMENT_LATENCY_P95_S.critical,
    "of order, payment and look together, past the knee; a buyer who waits longer leaves",
)
RECOVERY_S: Final = Limit(
    5.0,
    "from the end of the overload until the knee's limits hold again; a queue of minutes is none",
)
