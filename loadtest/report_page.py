"""A run's report as a page: what a person must see at a glance first, then the details."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from loadtest.archive import OVERALL, Archived, Change, changes, plain
from loadtest.charts import FAIL, PASS, Band, Chart, Limit, Line, Mark, Section, Table, page
from loadtest.report import Report
from loadtest.results import Moment, PhaseResults, Requests
from loadtest.run import GENERATOR
from loadtest.verdict import Check, own_p95_s
from service.slo import LOAD_P95_S

X_TITLE: Final = "time since the start (s)"
ROUTINE: Final = ("share of ", "left over: ", "invariant: ")
SATURATED_CORES: Final = 0.9
"""A load generator process that uses this much of its core is late itself."""


def report_page(report: Report, before: Archived | None) -> str:
    """Return one page that needs nothing but itself."""
    sections = [
        Section("Verdict", [*_notes(report), *_checks(report)]),
        Section("Compared with the last run", list(_comparison(report, before))),
        Section("Phases", [_phases(report.results.phases)]),
        Section("Over time", list(_charts(report))),
        Section("Requests", [_requests((report.results.total, *report.results.by_name))]),
        Section("Failures", [*_failures(report)]),
        Section("Where it ran", [_origin(report)]),
    ]
    return page(report.title, sections, passed=report.verdict.passed, summary=_summary(report))


def _summary(report: Report) -> str:
    results = report.results
    return (
        f"{report.profile.description} {report.started_at:%Y-%m-%d %H:%M %Z}, "
        f"{results.duration_s:.0f} s against {report.url}: {results.total.count:,} requests, "
        f"{results.throughput:.1f} a second, {results.total.failures} failed, "
        f"{results.peak_users:,} users at the peak."
    )


def _notes(report: Report) -> Iterator[str]:
    failed = [check for check in report.verdict.checks if not check.passed]
    if failed:
        first = "; ".join(f"{check.name}: {check.measured}" for check in failed[:3])
        yield f"{len(failed)} of {len(report.verdict.checks)} checks failed. {first}."
    busiest = max(
        (s.parts[GENERATOR].busiest_cores for s in report.samples if GENERATOR in s.parts),
        default=0.0,
    )
    if busiest > SATURATED_CORES:
        yield (
            f"A process of the load generator used {busiest:.0%} of its core at times: response "
            "times contain its own delays. More --workers help where cores are left."
        )


def _checks(report: Report) -> Iterator[Table]:
    """Yield what failed and the main targets, then the many that passed as they always should."""
    checks = sorted(report.verdict.checks, key=lambda check: check.passed)  # failed ones first
    routine = [check for check in checks if check.passed and check.name.startswith(ROUTINE)]
    yield _check_table([check for check in checks if check not in routine])
    yield _check_table(routine, f"{len(routine)} checks of the mix and the money that passed")


def _check_table(checks: Sequence[Check], folded: str = "") -> Table:
    rows = [[PASS if c.passed else FAIL, c.name, c.wanted, c.measured] for c in checks]
    return Table(["", "Check", "Wanted", "Measured"], rows, folded)


def _comparison(report: Report, before: Archived | None) -> Iterator[str | Table]:
    if before is None:
        yield f"The archive has no earlier run of {report.profile.name}."
        return
    yield f"The run before: {before.title}."
    found = changes(before.summary, report.summary())
    overall = [change for change in found if change.name in OVERALL]
    yield _change_table(overall)
    rest = [change for change in found if change not in overall]
    yield _change_table(rest, f"{len(rest)} figures by phase, and of CPU and memory")


def _change_table(found: Sequence[Change], folded: str = "") -> Table:
    rows = [[c.name, _value(c.before), _value(c.now), c.delta] for c in found]
    return Table(["Figure", "Before", "Now", "Change"], rows, folded)


def _value(value: float | None) -> str:
    return "-" if value is None else plain(value)


def _phases(phases: Sequence[PhaseResults]) -> Table:
    return Table(
        [
            *("Users", "Seconds", "Requests/s", "Payments/s", "Failed"),
            *("P50 ms", "P95 ms", "P99 ms", "P95 ms of payments"),
        ],
        [
            [
                f"{one.phase.users:,}",
                f"{one.phase.duration_s}",
                f"{one.throughput:.1f}",
                f"{one.pay.count / one.phase.duration_s:.1f}",
                f"{one.total.failures}",
                *(_ms(one.total, q) for q in (0.5, 0.95, 0.99)),
                _ms(one.pay, 0.95),
            ]
            for one in phases
        ],
    )


def _requests(all_: Sequence[Requests]) -> Table:
    return Table(
        ["Request", "Count", "Failed", "P50 ms", "P95 ms", "P99 ms", "Longest ms"],
        [
            [
                one.name,
                f"{one.count:,}",
                f"{one.error_ratio:.2%}",
                *(_ms(one, q) for q in (0.5, 0.95, 0.99)),
                f"{one.longest_ms}",
            ]
            for one in all_
        ],
    )


def _ms(requests: Requests, q: float) -> str:
    return f"{requests.quantile_s(q) * 1000:.0f}" if requests.count else "-"


def _failures(report: Report) -> Iterator[Table | str]:
    if not report.results.failures:
        yield "None."
        return
    rows = [[f"{one.count}", one.where, one.what] for one in report.results.failures]
    yield Table(["Count", "Where", "What"], rows)


def _origin(report: Report) -> Table:
    origin = report.origin
    facts = {
        "revision": origin.revision,
        **origin.machine,
        **origin.versions,
        "load generator": f"locust, {report.workers} working processes",
        "target": report.url,
    }
    rows = [[name.replace("_", " "), f"{value}"] for name, value in facts.items()]
    return Table(["What", "Which"], rows)


def _charts(report: Report) -> Iterator[Chart | str]:
    history = report.results.history
    bands, marks = _bands(report), _marks(report)
    own_s = own_p95_s(report.profile.peak_users)
    peak = f"{report.profile.peak_users:,}"
    own = [Limit(own_s * 1000, f"P95 target with {peak} users")] if own_s else []

    def chart(
        title: str, y_title: str, unit: str, lines: Sequence[Line], limits: Sequence[Limit] = ()
    ) -> Chart:
        return Chart(title, X_TITLE, y_title, unit, lines, bands, limits, marks)

    def line(name: str, of: Callable[[Moment], float]) -> Line:
        return Line(name, [one.at_s for one in history], [of(one) for one in history])

    yield chart(
        "Response time of all requests, and of payments",
        "response time",
        "ms",
        [
            line("P50", lambda one: one.p50_s * 1000),
            line("P95", lambda one: one.p95_s * 1000),
            line("P99", lambda one: one.p99_s * 1000),
            line("P95 of payments", lambda one: one.pay_p95_s * 1000),
        ],
        [*own, Limit(LOAD_P95_S * 1000, "P95 limit")],
    )
    kinds = [one.name for one in report.results.by_name]
    yield chart(
        "Throughput by kind of request",
        "throughput",
        "requests/s",
        [
            line("all requests", lambda one: one.requests_s),
            *(line(kind, lambda one, k=kind: one.requests_s_by_name.get(k, 0.0)) for kind in kinds),  # type: ignore[misc]
        ],
    )
    at, count = zip(*report.results.users, strict=True) if report.results.users else ((), ())
    yield chart("Concurrent users", "concurrent users", "", [Line("users", at, count)])
    yield chart(
        "Failed requests",
        "failed",
        "requests/s",
        [line("failed requests", lambda one: one.failures_s)],
    )
    yield from _resource_charts(report, chart)


def _resource_charts(
    report: Report, chart: Callable[[str, str, str, Sequence[Line]], Chart]
) -> Iterator[Chart | str]:
    if not report.samples:
        yield "CPU and memory were not measured: --ops-url names where the service shows them."
        return
    parts = sorted({part for sample in report.samples for part in sample.parts})
    samples = report.samples
    at_s = [sample.at - report.results.started_at for sample in samples]

    def lines(of: str) -> list[Line]:
        return [
            Line(
                part,
                at_s,
                [getattr(s.parts[part], of) if part in s.parts else None for s in samples],
            )
            for part in parts
        ]

    yield chart("CPU", "CPU", "cores", lines("cores"))
    yield chart("Memory", "memory", "MiB", lines("memory_mib"))


def _bands(report: Report) -> list[Band]:
    profile = report.profile
    return [
        Band(start, start + phase.duration_s, f"{phase.users:,} users")
        for start, phase in zip(profile.starts_s(), profile.phases, strict=True)
    ]


def _marks(report: Report) -> list[Mark]:
    """Return where the run broke: the first failed request, and the first P95 above its limit."""
    history = report.results.history
    failed = next((one.at_s for one in history if one.failures_s), None)
    slow = next((one.at_s for one in history if one.p95_s > _limit_s(report, one.at_s)), None)
    found = ((failed, "first failed request"), (slow, "P95 above its limit"))
    return [Mark(at_s, label) for at_s, label in found if at_s is not None]


def _limit_s(report: Report, at_s: float) -> float:
    phases = zip(report.profile.starts_s(), report.profile.phases, strict=True)
    users = [phase.users for start, phase in phases if start <= at_s][-1]
    return own_p95_s(users) or LOAD_P95_S
