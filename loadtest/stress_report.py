"""A stress run's report: JSON for programs, a page with its picture for everybody."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from math import floor, isnan, nan
from typing import Any, Final

from loadtest.archive import Archived, changes, figure
from loadtest.arrivals import Arrival, Outcome
from loadtest.charts import FAIL, PASS, Band, Chart, Limit, Line, Mark, Section, Table, page
from loadtest.knee import Course, StageResult, quantile, recovery_s
from loadtest.money import Money
from loadtest.report import Origin
from loadtest.stress_verdict import StressResults
from loadtest.verdict import Verdict
from service.slo import KNEE_P95_S

X_TIME: Final = "time since the first step (s)"
X_RATE: Final = "arrivals a second"
ROUTINE: Final = ("left over: ", "invariant: ")
OUTCOMES: Final = {
    Outcome.GOOD: "served",
    Outcome.SHED: "shed: 503, Retry-After",
    Outcome.FAILED: "failed",
    Outcome.UNSENT: "not sent",
}


@dataclass(frozen=True, slots=True)
class StressReport:
    """Everything that is known about one run; without a verdict the generator was the limit."""

    course: Course
    url: str
    processes: int
    started_at: datetime
    results: StressResults
    money: Money
    verdict: Verdict | None
    origin: Origin

    @property
    def passed(self) -> bool:
        """Return whether there is a verdict, and a good one."""
        return self.verdict is not None and self.verdict.passed

    @property
    def refused(self) -> bool:
        """Return whether there is no verdict."""
        return self.verdict is None

    @property
    def refusal(self) -> str:
        """Return why there is no verdict."""
        late = self.results.late
        worst = max(late, key=lambda one: one.lag_p95_s)
        return (
            f"the load generator was the limit: at {worst.label} its P95 of starting late was "
            f"{worst.lag_p95_s * 1000:.0f} ms; use more --processes, or a machine with more cores"
        )

    def summary(self) -> dict[str, Any]:
        """Return what the archive keeps."""
        stages = self.results.stages
        return {
            "profile": self.course.name if self.course.name == "stress" else "stress-smoke",
            "started_at": self.started_at.isoformat(timespec="seconds"),
            "duration_s": round(stages[-1].stage.ends_at - stages[0].stage.starts_at, 1),
            "url": self.url,
            "workers": self.processes,
            **asdict(self.origin),
            "passed": self.passed,
            "checks": [asdict(check) for check in self.verdict.checks] if self.verdict else [],
            "figures": list(self._figures()),
        }

    def document(self) -> dict[str, Any]:
        """Return the report as JSON values; times are in seconds."""
        return self.summary() | {
            "course": asdict(self.course),
            "refusal": None if self.verdict else self.refusal,
            "stages": [_stage(one) for one in self.results.stages],
            "money": asdict(self.money),
        }

    def _figures(self) -> Iterator[dict[str, Any]]:
        knee = self.results.knee
        yield figure("knee", knee.offered if knee else nan, "flows/s")
        yield figure("P95 at the knee", knee.quantile_s(0.95) * 1000 if knee else nan, "ms")
        for one in self.results.overloads:
            yield figure(f"served at {one.label}", one.rate_of(Outcome.GOOD), "flows/s")
            yield figure(f"shed at {one.label}", one.rate_of(Outcome.SHED), "flows/s")
            pay_ms = one.pay_p95_s * 1000
            yield figure(f"P95 of accepted payments at {one.label}", pay_ms, "ms")
        back = self.results.back
        yield figure("recovery", recovery_s(back) if back else nan, "s")

    def page(self, before: Archived | None) -> str:
        """Return one page that needs nothing but itself."""
        sections = [
            Section("Verdict", list(self._verdict())),
            Section("Compared with the last run", list(comparison(self.summary(), before))),
            Section("By arrival rate", [*_by_rate(self.results), _stages(self.results)]),
            Section("Over time", list(_over_time(self.results))),
            Section("Answers other than the flow's", list(_kinds(self.results))),
            Section("Where it ran", [origin_table(self.origin)]),
        ]
        title = "Stress test" if self.verdict else "Stress test without a verdict"
        return page(title, sections, passed=self.passed, summary=self._summary())

    def _summary(self) -> str:
        knee = self.results.knee
        found = f"the knee is at {knee.offered:.0f} flows a second" if knee else "no knee was found"
        return (
            f"Buyers who order, pay and look arrive by a schedule, whether or not others were "
            f"answered; {found}. {self.started_at:%Y-%m-%d %H:%M %Z}, {self.url}, "
            f"{self.processes} load generators. Response times count from the scheduled arrival."
        )

    def _verdict(self) -> Iterator[str | Table]:
        if self.verdict is None:
            yield f"No verdict: {self.refusal}."
        else:
            yield from check_tables(self.verdict)


def check_tables(verdict: Verdict) -> Iterator[Table]:
    """Yield the checks, failed ones first, then those of the money that passed."""
    checks = sorted(verdict.checks, key=lambda check: check.passed)
    for folded in (False, True):
        rows = [
            [PASS if c.passed else FAIL, c.name, c.wanted, c.measured]
            for c in checks
            if folded == (c.passed and c.name.startswith(ROUTINE))
        ]
        text = f"{len(rows)} checks of the money that passed" if folded else ""
        yield Table(["", "Check", "Wanted", "Measured"], rows, text)


def comparison(now: Mapping[str, Any], before: Archived | None) -> Iterator[str | Table]:
    """Yield how the figures of a summary differ from the run before."""
    if before is None:
        yield "The archive has no earlier run."
        return
    yield f"The run before: {before.title}."
    yield Table(
        ["Figure", "Before", "Now", "Change"],
        [
            [c.name, _number(c.before), _number(c.now), c.delta]
            for c in changes(before.summary, now)
        ],
    )


def _by_rate(results: StressResults) -> Iterator[Chart]:
    """Yield the picture of the knee: what is served and how fast, by what arrives."""
    ordered = sorted((*results.steps, *results.overloads), key=lambda one: one.offered)
    xs = [one.offered for one in ordered]
    knee = results.knee
    marks = [Mark(knee.offered, f"knee, {knee.offered:.0f}/s")] if knee else []

    def line(name: str, ys: Sequence[float]) -> Line:
        return Line(name, xs, ys, markers=True)

    yield Chart(
        "What becomes of arrivals",
        X_RATE,
        "flows a second",
        "/s",
        [line("arrivals", xs)]
        + [
            line(name, [one.rate_of(outcome) for one in ordered])
            for outcome, name in OUTCOMES.items()
        ],
        marks=marks,
    )
    yield Chart(
        "Response time by arrival rate",
        X_RATE,
        "response time",
        "ms",
        [
            line(name, [one.quantile_s(q) * 1000 for one in ordered])
            for name, q in (("P50", 0.5), ("P95", 0.95), ("P99", 0.99))
        ],
        limits=[Limit(KNEE_P95_S.value * 1000, "limit of the knee's P95")],
        marks=marks,
        note="Of flows that were served: order, payment, look; from the scheduled arrival.",
    )


def _over_time(results: StressResults) -> Iterator[Chart]:
    stages = results.stages
    start = stages[0].stage.starts_at
    bands = [
        Band(one.stage.starts_at - start, one.stage.ends_at - start, _short(one.label))
        for one in stages
    ]
    seconds = _seconds(stages)
    xs = [at - start for at in seconds]

    def chart(title: str, y: str, unit: str, lines: Sequence[Line], note: str = "") -> Chart:
        return Chart(title, X_TIME, y, unit, lines, bands=bands, note=note)

    yield chart(
        "Arrivals and what becomes of them",
        "flows a second",
        "/s",
        [
            Line("scheduled rate", *_scheduled(stages, start), dash="dot"),
            *(
                Line(name, xs, [sum(a.outcome is outcome for a in of) for of in seconds.values()])
                for outcome, name in OUTCOMES.items()
            ),
        ],
        "By the second in which they were due.",
    )
    yield chart(
        "Response time of flows that were served",
        "response time",
        "ms",
        [
            Line(name, xs, [_ms(_served(of), q) for of in seconds.values()])
            for name, q in (("P50", 0.5), ("P95", 0.95), ("P99", 0.99))
        ],
    )
    yield chart(
        "How late the load generator started flows",
        "lag",
        "ms",
        [
            Line(
                "P95 of the lag",
                xs,
                [_ms([a.started_s for a in of], 0.95) for of in (seconds.values())],
            )
        ],
        "A part of the response times above. A stage in which it is more than a tenth of the P95 "
        "has no verdict.",
    )


def _seconds(stages: Sequence[StageResult]) -> Mapping[float, list[Arrival]]:
    """Return the arrivals of each second of each stage, by its start; pauses have none."""
    found: dict[float, list[Arrival]] = {}
    for one in stages:
        start = one.stage.starts_at
        for number in range(int(one.stage.seconds)):
            found[start + number] = []
        for arrival in one.arrivals:
            at = start + floor(arrival.due_at - start)
            if at in found:  # the last part of a second is not a second
                found[at].append(arrival)
    return found


def _scheduled(stages: Sequence[StageResult], start: float) -> tuple[list[float], list[float]]:
    xs, ys = [], []
    for one in stages:
        xs += [one.stage.starts_at - start, one.stage.ends_at - start]
        ys += [one.stage.rate, one.stage.rate]
    return xs, ys


def _served(arrivals: Sequence[Arrival]) -> list[float]:
    return [arrival.ended_s for arrival in arrivals if arrival.outcome is Outcome.GOOD]


def _ms(values: Sequence[float], q: float) -> float:
    return quantile(sorted(values), q) * 1000


def _stages(results: StressResults) -> Table:
    return Table(
        [
            *("Stage", "Holds", "Arrivals/s", "Served/s", "Shed/s", "Failed"),
            *("P50 ms", "P95 ms", "P99 ms", "P95 ms of payments", "Generator's lag, P95 ms"),
        ],
        [
            [
                one.label,
                "yes" if one.holds else "no",
                f"{one.offered:.0f}",
                f"{one.rate_of(Outcome.GOOD):.0f}",
                f"{one.rate_of(Outcome.SHED):.0f}",
                f"{sum(one.failures.values())}",
                *(_cell(one.quantile_s(q)) for q in (0.5, 0.95, 0.99)),
                _cell(one.pay_p95_s),
                _cell(one.lag_p95_s),
            ]
            for one in results.stages
        ],
    )


def _kinds(results: StressResults) -> Iterator[str | Table]:
    rows = [
        [one.label, f"{count}", what] for one in results.stages for what, count in one.kinds.items()
    ]
    yield Table(["Stage", "Count", "What"], rows) if rows else "None."


def origin_table(origin: Origin) -> Table:
    """Return what ran where."""
    named = {"revision": origin.revision, **origin.machine, **origin.versions}
    return Table(["What", "Which"], [[name, str(value)] for name, value in named.items()])


def _stage(one: StageResult) -> dict[str, Any]:
    return {
        "label": one.label,
        "rate": one.stage.rate,
        "seconds": one.stage.seconds,
        "arrivals": len(one.arrivals),
        **{str(outcome): one.count(outcome) for outcome in Outcome},
        "holds": one.holds,
        **{name: _or_none(one.quantile_s(q)) for name, q in (("p50_s", 0.5), ("p95_s", 0.95))},
        "pay_p95_s": _or_none(one.pay_p95_s),
        "lag_p95_s": _or_none(one.lag_p95_s),
        "kinds": dict(one.kinds),
    }


def _short(label: str) -> str:
    return label.replace(" times the knee", " x knee")


def _cell(seconds: float) -> str:
    return "-" if isnan(seconds) else f"{seconds * 1000:.0f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}"


def _or_none(value: float) -> float | None:
    return None if isnan(value) else round(value, 4)
