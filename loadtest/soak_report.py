"""An endurance run's report: JSON for programs, a page with every measure and its slope."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from math import isfinite, nan
from typing import Any, Final

from loadtest.archive import Archived, figure
from loadtest.arrivals import Outcome
from loadtest.charts import Chart, Line, Mark, Section, page
from loadtest.flow_windows import FlowWindows
from loadtest.money import Money
from loadtest.report import Origin
from loadtest.soak_verdict import Measure
from loadtest.stress_report import check_tables, comparison, origin_table
from loadtest.verdict import Verdict

X_TITLE: Final = "time since the start (s)"


@dataclass(frozen=True, slots=True)
class SoakReport:
    """Everything that is known about one run.

    With a `refusal` it can't have passed, as the load generator was late; what rises fails it.
    """

    name: str
    processes: int
    started_at: datetime
    flows: FlowWindows
    measures: Sequence[Measure]
    money: Money
    verdict: Verdict
    refusal: str
    origin: Origin

    @property
    def passed(self) -> bool:
        """Return whether every check passed, that of response times too."""
        return self.verdict.passed and not self.refusal

    @property
    def refused(self) -> bool:
        """Return whether there is no verdict: nothing failed, and not all was checked."""
        return self.verdict.passed and bool(self.refusal)

    def summary(self) -> dict[str, Any]:
        """Return what the archive keeps."""
        return {
            "profile": self.name,
            "started_at": self.started_at.isoformat(timespec="seconds"),
            "duration_s": self.flows.stage.seconds,
            "url": "a platform of its own",
            "workers": self.processes,
            **asdict(self.origin),
            "passed": self.passed,
            "checks": [asdict(check) for check in self.verdict.checks],
            "figures": list(self._figures()),
        }

    def document(self) -> dict[str, Any]:
        """Return the report as JSON values, with all series."""
        return self.summary() | {
            "refusal": self.refusal,
            "outcomes": {str(outcome): self.flows.outcomes[outcome] for outcome in Outcome},
            "answers": dict(self.flows.failures + self.flows.refusals),
            "money": asdict(self.money),
            "measures": [
                {
                    "name": one.name,
                    "rule": asdict(one.rule),
                    "trend": asdict(one.trend) if one.trend else None,
                    "times_s": [round(time, 2) for time in one.series.times_s],
                    "values": [round(v, 3) if isfinite(v) else None for v in one.series.values],
                }
                for one in self.measures
            ],
        }

    def _figures(self) -> Iterator[dict[str, Any]]:
        yield figure("arrivals", self.flows.count / self.flows.stage.seconds, "flows/s")
        yield figure(
            "served", self.flows.outcomes[Outcome.GOOD] / self.flows.stage.seconds, "flows/s"
        )
        for one in self.measures:
            level, slope = (one.trend.level, one.trend.slope) if one.trend else (nan, nan)
            yield figure(one.name, level, one.rule.unit)
            yield figure(f"slope of {one.name}", slope, f"{one.rule.unit}/h")

    def page(self, before: Archived | None) -> str:
        """Return one page that needs nothing but itself."""
        notes = [f"Response times were not judged: {self.refusal}."] if self.refusal else []
        sections = [
            Section("Verdict", [*notes, *check_tables(self.verdict)]),
            Section("Compared with the last run", list(comparison(self.summary(), before))),
            Section("Measures", [_chart(one) for one in self.measures]),
            Section("Where it ran", [origin_table(self.origin)]),
        ]
        title = "Endurance test without a verdict" if self.refused else "Endurance test"
        return page(title, sections, passed=self.passed, summary=self._summary())

    def _summary(self) -> str:
        return (
            f"{self.flows.stage.seconds / 60:.1f} minutes of {self.flows.stage.rate:.0f} buyers a "
            f"second, {self.started_at:%Y-%m-%d %H:%M %Z}. A measure fails when it rises by more "
            "than its limit an hour for certain, by more than its floor in all, and in both halves "
            "of the run after the warm-up."
        )


def _chart(measure: Measure) -> Chart:
    series, found, rule = measure.series, measure.trend, measure.rule
    lines = [Line(measure.name, series.times_s, series.values)]
    marks = []
    note = "Too few samples to tell a slope."
    if found is not None:
        ends = [found.from_s, found.to_s]
        lines.append(Line("fitted slope", ends, [found.at(time) for time in ends], dash="dash"))
        marks.append(Mark(found.from_s, "end of the warm-up"))
        note = (
            f"{found.slope:+,.3g} {rule.unit} an hour; {'rises' if measure.leaks else 'level'}. "
            f"Limit: {rule.per_hour:.0%} an hour and {rule.floor:g} {rule.unit}; {rule.why}."
        )
    return Chart(measure.name, X_TITLE, measure.name, rule.unit, lines, marks=marks, note=note)
