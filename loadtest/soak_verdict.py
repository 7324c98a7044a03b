"""Whether an endurance run passed: nothing rises that should be level, by its slope. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final

from loadtest.arrivals import Outcome
from loadtest.flow_windows import FlowWindows
from loadtest.money import Money
from loadtest.samples import ROLES, Sample
from loadtest.slopes import Rule, Series, Trend, leaks, least_found, trend
from loadtest.verdict import Check, Verdict, money_checks
from service.slo import KNEE_GOOD_RATIO

GROWTH_POINTS: Final = 40
"""In time: sizes grow by pages, and by several at once, so neighboring samples tell little."""

LEAST_PAYMENTS: Final = 20
"""Between two of them; a page by fewer payments is no size of a payment."""

RSS: Final = Rule("MiB", 0.05, 8.0, "a day at more than this is a restart by the kernel")
DESCRIPTORS: Final = Rule("descriptors", 0.05, 10.0, "a connection more or less is none")
TASKS: Final = Rule("tasks", 0.05, 20.0, "requests that are handled have tasks")
CONNECTIONS: Final = Rule("connections", 0.05, 4.0, "a pool that grows by a batch's lanes is none")
BYTES: Final = Rule("bytes a payment", 0.05, 250.0, "tables grow by payments, and by nothing else")
P95: Final = Rule("ms", 0.10, 20.0, "what gets slower with the run's length will be too slow")


@dataclass(frozen=True, slots=True)
class Measure:
    """A series, the rule that it is judged by, and its trend; None if there is too little of it."""

    name: str
    series: Series
    rule: Rule
    trend: Trend | None

    @property
    def leaks(self) -> bool:
        """Return whether it rises; one whose trend can't be told is not known to be level."""
        return self.trend is None or leaks(self.trend, self.rule)


def measures(samples: Sequence[Sample], flows: FlowWindows) -> tuple[Measure, ...]:
    """Return every measure of a run."""
    return tuple(
        Measure(name, series, rule, trend(series)) for name, series, rule in _series(samples, flows)
    )


RESPONSE_TIME: Final = "P95 of flows"
"""The measure that is the load generator's own if it was late; the others are the service's."""


def evaluate(
    found: Sequence[Measure], flows: FlowWindows, money: Money, *, late: bool = False
) -> Verdict:
    """Return the verdict on a run; of a `late` load generator response times tell nothing."""
    failed = flows.failures.total()
    return Verdict(
        (
            Check(
                "flows served",
                f"at least {KNEE_GOOD_RATIO.value:.0%}",
                f"{flows.good_ratio:.2%} of {flows.count}",
                flows.good_ratio >= KNEE_GOOD_RATIO.value,
            ),
            Check(
                "flows neither served nor shed",
                "0",
                "; ".join(f"{n} {what}" for what, n in flows.failures.items()) or "0",
                failed == 0,
            ),
            *(_check(one) for one in found if not (late and one.name == RESPONSE_TIME)),
            *money_checks(money, flows.outcomes[Outcome.GOOD]),
        )
    )


def _check(measure: Measure) -> Check:
    rule, found = measure.rule, measure.trend
    if found is None:
        return Check(measure.name, "samples", "too few to tell a slope", passed=False)
    per_hour = rule.per_hour * abs(found.level)
    return Check(
        measure.name,
        f"no rise by over {per_hour:,.3g} an hour and {rule.floor:,.3g} in all",
        f"{found.slope:+,.3g} {rule.unit} an hour (at least {found.low:+,.3g}) at "
        f"{found.level:,.4g}; {found.rise:+,.3g} in all; "
        f"finds {least_found(found, rule):,.3g} an hour",
        not measure.leaks,
    )


def _series(samples: Sequence[Sample], flows: FlowWindows) -> Iterator[tuple[str, Series, Rule]]:
    start = flows.stage.starts_at
    times = [sample.at - start for sample in samples]

    def by_role(of: str) -> Iterator[tuple[str, Series]]:
        for role in ROLES:
            values: list[Mapping[str, float]] = [getattr(sample, of) for sample in samples]
            yield role, Series(times, [value[role] for value in values])

    for of, name, rule in (
        ("rss_mib", "memory", RSS),
        ("descriptors", "open descriptors", DESCRIPTORS),
        ("tasks", "event-loop tasks", TASKS),
    ):
        for role, series in by_role(of):
            yield f"{name} of {role}", series, rule
    yield "database connections", Series(times, [one.connections for one in samples]), CONNECTIONS
    yield "tables", _by_payment(times, samples, [one.table_bytes for one in samples]), BYTES
    yield "indexes", _by_payment(times, samples, [one.index_bytes for one in samples]), BYTES
    yield RESPONSE_TIME, flows.p95(), P95


def _by_payment(
    times: Sequence[float], samples: Sequence[Sample], sizes: Sequence[float]
) -> Series:
    """Return what a payment took, from one of some samples to the next: sizes grow with payments.

    By the growth since the start a rise would be seen by half.
    """
    known = [n for n, sample in enumerate(samples) if isfinite(sample.payments)]
    if not known:
        return Series([], [])
    made = samples[known[-1]].payments - samples[known[0]].payments
    least = max(LEAST_PAYMENTS, made / GROWTH_POINTS)
    times_s, values, last = [], [], known[0]
    for n in known:
        count = samples[n].payments - samples[last].payments
        if count >= least:
            times_s.append((times[last] + times[n]) / 2)
            values.append((sizes[n] - sizes[last]) / count)
            last = n
    return Series(times_s, values)
