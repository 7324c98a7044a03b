"""A run's report: a table for people at a terminal, JSON for programs, HTML for everybody."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from loadtest.archive import figure
from loadtest.charts import FAIL, PASS
from loadtest.machine import machine, revision, versions
from loadtest.money import Money
from loadtest.profile import MIX, Profile
from loadtest.resources import Sample
from loadtest.results import Requests, Results
from loadtest.verdict import Verdict

QUANTILES: Final = (("p50_s", 0.5), ("p95_s", 0.95), ("p99_s", 0.99))
GREEN, RED, PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Origin:
    """What ran where: for whoever compares two runs."""

    revision: str = field(default_factory=revision)
    machine: Mapping[str, Any] = field(default_factory=machine)
    versions: Mapping[str, str] = field(default_factory=versions)


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is known about one run; `started_at` has a time zone."""

    profile: Profile
    url: str
    workers: int
    started_at: datetime
    results: Results
    samples: tuple[Sample, ...]
    money: Money
    verdict: Verdict
    origin: Origin

    @property
    def title(self) -> str:
        """Return what was run."""
        return f"Load test {self.profile.name}"

    def document(self) -> dict[str, Any]:
        """Return the report as JSON values; times are in seconds, ratios fractions of 1."""
        return self.summary() | {
            "profile": asdict(self.profile),
            "mix_percent": {str(task): share for task, share in MIX.items()},
            "tasks": {str(task): count for task, count in self.results.tasks.items()},
            "peak_users": self.results.peak_users,
            "requests_a_second": round(self.results.throughput, 1),
            "requests": [_requests(one) for one in (self.results.total, *self.results.by_name)],
            "phases": [
                {"users": one.phase.users, "duration_s": one.phase.duration_s}
                | {"requests_a_second": round(one.throughput, 1)}
                | {"all": _requests(one.total), "payments": _requests(one.pay)}
                for one in self.results.phases
            ],
            "failures": [asdict(failure) for failure in self.results.failures],
            "history": [_without_nan(asdict(moment)) for moment in self.results.history],
            "resources": [
                {"at_s": round(sample.at - self.results.started_at, 1)}
                | {part: asdict(usage) for part, usage in sample.parts.items()}
                for sample in self.samples
            ],
            "money": asdict(self.money),
        }

    def summary(self) -> dict[str, Any]:
        """Return what the archive keeps: the verdict and its figures, without the history."""
        return {
            "profile": self.profile.name,
            "started_at": self.started_at.isoformat(timespec="seconds"),
            "duration_s": round(self.results.duration_s, 1),
            "url": self.url,
            "workers": self.workers,
            **asdict(self.origin),
            "passed": self.verdict.passed,
            "checks": [asdict(check) for check in self.verdict.checks],
            "figures": list(self._figures()),
        }

    def _figures(self) -> Iterator[dict[str, Any]]:
        results = self.results
        yield figure("requests", results.total.count, "requests")
        yield figure("failed requests", results.total.failures, "requests")
        yield figure("users at the peak", results.peak_users, "users")
        yield figure("throughput", results.throughput, "requests/s")
        yield from _latencies("all requests", results.total)
        for one in results.phases:
            where = f"phase {one.number + 1}, {one.phase.users:,} users"
            yield figure(f"throughput, {where}", one.throughput, "requests/s")
            yield figure(f"payments, {where}", one.pay.count / one.phase.duration_s, "payments/s")
            yield from _latencies(where, one.total)
            yield figure(f"P95 of payments, {where}", one.pay.quantile_s(0.95) * 1000, "ms")
        for part in sorted({part for sample in self.samples for part in sample.parts}):
            used = [sample.parts[part] for sample in self.samples if part in sample.parts]
            cores = sum(usage.cores for usage in used) / len(used)
            yield figure(f"CPU of {part}, mean", cores, "cores")
            yield figure(f"memory of {part}, highest", max(u.memory_mib for u in used), "MiB")

    def write_json(self, folder: Path) -> Path:
        """Write report.json into `folder` and return its path."""
        path = folder / "report.json"
        text = json.dumps(self.document(), indent=2, allow_nan=False)
        path.write_text(text + "\n", encoding="utf-8")
        return path


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
    word = PASS if passed else FAIL
    return f"{GREEN if passed else RED}{word}{PLAIN}" if color else word


def _requests(one: Requests) -> dict[str, Any]:
    quantiles = {name: one.quantile_s(q) for name, q in QUANTILES}
    return _without_nan(
        {
            "name": one.name,
            "count": one.count,
            "failures": one.failures,
            "error_ratio": one.error_ratio,
            **quantiles,
            "longest_s": one.longest_ms / 1000,
        }
    )


def _latencies(where: str, one: Requests) -> Iterator[dict[str, Any]]:
    for name, q in (("P50", 0.5), ("P95", 0.95), ("P99", 0.99)):
        yield figure(f"{name}, {where}", one.quantile_s(q) * 1000, "ms")


def _without_nan(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with null where JSON has no word for one."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in values.items()
    }
