"""What a benchmark found: ratios with their spread, compared with targets."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Final

import msgspec

BARS: Final = {64: 1.2, 1_000: 1.5}
"""How many times as many payments a second as pgbench one by one, by connections."""


class Measured(msgspec.Struct, frozen=True):
    """One side in one round; `connections` 0 is pgbench. CPU in microseconds a payment, by part."""

    connections: int
    rate: float
    payments: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    cpu_us: dict[str, float]


class Round(msgspec.Struct, frozen=True):
    """pgbench and the service, one after the other."""

    one_by_one: Measured
    service: list[Measured]

    def ratio(self, connections: int) -> float:
        """Return the service's payments for each of pgbench's."""
        rates = {side.connections: side.rate for side in self.service}
        return rates[connections] / self.one_by_one.rate


class Verdict(msgspec.Struct, frozen=True):
    """A ratio over all rounds; `bar` is what its median has to reach."""

    connections: int
    lowest: float
    median: float
    highest: float
    bar: float | None

    @property
    def passed(self) -> bool:
        """Return whether the bar was reached; without a bar nothing is asked."""
        return self.bar is None or self.median >= self.bar


class Report(msgspec.Struct, frozen=True):
    """All of it: `conditions` say what was measured on what."""

    conditions: dict[str, str]
    rounds: list[Round]
    verdicts: list[Verdict]

    @property
    def passed(self) -> bool:
        """Return whether every bar was reached."""
        return all(verdict.passed for verdict in self.verdicts)


def evaluate(rounds: Sequence[Round]) -> list[Verdict]:
    """Return a verdict for each number of connections."""
    found = []
    for connections in sorted({side.connections for round_ in rounds for side in round_.service}):
        ratios = [round_.ratio(connections) for round_ in rounds]
        bar = BARS.get(connections)
        found.append(Verdict(connections, min(ratios), median(ratios), max(ratios), bar))
    return found


def table(report: Report) -> str:
    """Return the report as text."""
    return "\n".join(
        (
            *(f"  {name:<22} {value}" for name, value in report.conditions.items()),
            "",
            "  payments/s, median of the rounds (lowest-highest)     P95 ms   CPU us a payment",
            *(_side(connections, report.rounds) for connections in _connections(report.rounds)),
            "",
            "  ratio to pgbench        lowest  median  highest   bar",
            *(_verdict(verdict) for verdict in report.verdicts),
        )
    )


def _connections(rounds: Sequence[Round]) -> list[int]:
    return [0, *(side.connections for side in rounds[0].service)]


def _side(connections: int, rounds: Iterable[Round]) -> str:
    sides = [s for r in rounds for s in (r.one_by_one, *r.service) if s.connections == connections]
    name = f"service, {connections:,} conn." if connections else "pgbench, 16 clients"
    rates = [side.rate for side in sides]
    spread = f"{median(rates):>8,.0f} ({min(rates):,.0f}-{max(rates):,.0f})"
    late = [side.p95_ms for side in sides if side.p95_ms is not None]
    p95 = f"{median(late):.0f}" if late else "-"
    cpu = ", ".join(
        f"{part} {median(side.cpu_us[part] for side in sides):.0f}" for part in sides[0].cpu_us
    )
    return f"  {name:<22} {spread:<30} {p95:>6}   {cpu}"


def _verdict(verdict: Verdict) -> str:
    name = f"service, {verdict.connections:,} conn."
    bar = "" if verdict.bar is None else f"{verdict.bar:.1f} {'ok' if verdict.passed else 'MISSED'}"
    ratios = f"{verdict.lowest:>6.2f}  {verdict.median:>6.2f}  {verdict.highest:>7.2f}"
    return f"  {name:<22}  {ratios}   {bar}"
