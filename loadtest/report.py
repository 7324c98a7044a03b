"""A run's report: a table for people at a terminal, JSON for programs, HTML for everybody."""

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from string import Template
from typing import Any, Final

from loadtest.profile import MIX, Profile
from loadtest.results import Moment, Requests, Results
from loadtest.verdict import Check, Money, Verdict

TEMPLATE: Final = Path(__file__).with_name("report.html")
QUANTILES: Final = (("p50_s", 0.5), ("p95_s", 0.95), ("p99_s", 0.99))
GREEN, RED, PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[0m"

CHART_WIDTH: Final = 640
CHART_HEIGHT: Final = 120


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is known about one run; `started_at` has a time zone."""

    profile: Profile
    url: str
    started_at: datetime
    results: Results
    money: Money
    verdict: Verdict

    def document(self) -> dict[str, Any]:
        """Return the report as JSON values; times are in seconds, ratios fractions of 1."""
        return {
            "profile": asdict(self.profile),
            "mix_percent": {str(task): share for task, share in MIX.items()},
            "url": self.url,
            "started_at": self.started_at.isoformat(timespec="seconds"),
            "duration_s": round(self.results.duration_s, 1),
            "cpus": os.cpu_count(),
            "passed": self.verdict.passed,
            "checks": [asdict(check) for check in self.verdict.checks],
            "tasks": {str(task): count for task, count in self.results.tasks.items()},
            "peak_users": self.results.peak_users,
            "requests_a_second": round(self.results.throughput, 1),
            "requests": [_requests(one) for one in (self.results.total, *self.results.by_name)],
            "failures": [asdict(failure) for failure in self.results.failures],
            "history": [asdict(moment) for moment in self.results.history],
            "money": asdict(self.money),
        }

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write report.html and report.json into `folder` and return their paths."""
        html_file, json_file = folder / "report.html", folder / "report.json"
        json_file.write_text(json.dumps(self.document(), indent=2) + "\n", encoding="utf-8")
        html_file.write_text(self.html(), encoding="utf-8")
        return html_file, json_file

    def html(self) -> str:
        """Return one page that needs nothing but itself."""
        return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
            title=escape(f"Load test {self.profile.name}: {_word(passed=self.verdict.passed)}"),
            outcome="passed" if self.verdict.passed else "failed",
            summary=escape(self._summary()),
            checks=_rows(
                (_word(passed=c.passed), c.name, c.wanted, c.measured) for c in self._checks()
            ),
            requests=_rows(map(_cells, (self.results.total, *self.results.by_name))),
            failures=_rows((str(f.count), f.where, f.what) for f in self.results.failures)
            or _rows([("", "none", "")]),
            charts="".join(_charts(self.results.history)),
        )

    def _summary(self) -> str:
        return (
            f"{self.profile.description} {self.started_at:%Y-%m-%d %H:%M %Z}, "
            f"{self.results.duration_s:.0f} s against {self.url}: {self.results.total.count} "
            f"requests, {self.results.throughput:.1f} a second, {self.results.peak_users} users "
            "at the peak."
        )

    def _checks(self) -> list[Check]:
        """Failed ones first."""
        return sorted(self.verdict.checks, key=lambda check: check.passed)


def table(verdict: Verdict, *, color: bool) -> str:
    """Return the verdict as lines of text."""
    width = max((len(check.name) for check in verdict.checks), default=0)
    wanted = max((len(check.wanted) for check in verdict.checks), default=0)
    lines = [
        f"  {_painted(passed=check.passed, color=color)}  {check.name:<{width}}  "
        f"{check.wanted:<{wanted}}  {check.measured}"
        for check in verdict.checks
    ]
    return "\n".join((*lines, f"  {_painted(passed=verdict.passed, color=color)}  verdict"))


def _painted(*, passed: bool, color: bool) -> str:
    word = _word(passed=passed)
    return f"{GREEN if passed else RED}{word}{PLAIN}" if color else word


def _word(*, passed: bool) -> str:
    return "pass" if passed else "FAIL"


def _requests(one: Requests) -> dict[str, Any]:
    quantiles = {name: _number(one.quantile_s(q)) for name, q in QUANTILES}
    return {
        "name": one.name,
        "count": one.count,
        "failures": one.failures,
        "error_ratio": one.error_ratio,
        **quantiles,
        "longest_s": one.longest_ms / 1000,
    }


def _number(value: float) -> float | None:
    """Return the value, or None where JSON has no word for it."""
    return None if math.isnan(value) else value


def _cells(one: Requests) -> tuple[str, ...]:
    quantiles = (f"{one.quantile_s(q) * 1000:.0f}" for _, q in QUANTILES)
    longest = f"{one.longest_ms:.0f}"
    return (one.name, str(one.count), f"{one.error_ratio:.2%}", *quantiles, longest)


def _rows(rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )


def _charts(history: Sequence[Moment]) -> Iterable[str]:
    yield _chart("Users", history, [moment.users for moment in history])
    yield _chart("Requests a second", history, [moment.requests_s for moment in history])
    yield _chart("Failures a second", history, [moment.failures_s for moment in history])
    yield _chart("P95 (ms)", history, [moment.p95_s * 1000 for moment in history])


def _chart(title: str, history: Sequence[Moment], values: Sequence[float]) -> str:
    """Return a line over time as SVG; the highest value is written beside the title."""
    top = max(values, default=0)
    length = max((moment.at_s for moment in history), default=0)
    points = " ".join(
        f"{CHART_WIDTH * moment.at_s / (length or 1):.1f},"
        f"{CHART_HEIGHT * (1 - value / (top or 1)):.1f}"
        for moment, value in zip(history, values, strict=True)
    )
    return (
        f"<figure><figcaption>{escape(title)}, at most {top:g}</figcaption>"
        f'<svg viewBox="0 -4 {CHART_WIDTH} {CHART_HEIGHT + 8}" role="img">'
        f'<polyline points="{points}"/></svg></figure>'
    )
