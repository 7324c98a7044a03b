"""What a benchmark found: ratios with their spread, compared with bars, as a table and as JSON.

A ratio is of two sides in the same round at the same number of connections. Its key is the other
side's name, with the connections behind it unless they are 64: `pgbench`, `go_pgx_1000`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import median
from typing import Final

import msgspec

OURS: Final = "ours"
USUAL: Final = 64
"""Connections of the ratios whose keys name none."""

FEWEST_ROUNDS: Final = 5
"""Rounds whose median a bar is meant for."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One side in one round. Rates in payments/s; all but memory and errors are a payment's.

    `cpu_us` are microseconds by part: server, database, provider, valkey, load (the generator).
    `memory_mb` is the server's peak resident memory and the database's private memory.
    """

    side: str
    connections: int
    rate: float
    payments: int
    errors: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    cpu_us: dict[str, float]
    wal_bytes: float
    valkey_calls: float
    memory_mb: dict[str, float]


class Counted(msgspec.Struct, frozen=True):
    """What a side sent to PostgreSQL for a payment, in a pass of its own."""

    side: str
    connections: int
    payments: int
    statements: float
    round_trips: float
    transactions: float


class Round(msgspec.Struct, frozen=True):
    """Every side at every number of connections, once."""

    measured: list[Measured]

    def find(self, side: str, connections: int) -> Measured | None:
        """Return a side's turn; pgbench's is that of the same part of the round."""
        for turn in self.measured:
            if (turn.side, turn.connections) == (side, connections):
                return turn
        return None


class Spread(msgspec.Struct, frozen=True):
    """A figure over all rounds."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Return the spread of at least one value."""
        found = list(values)
        return cls(median(found), min(found), max(found))


class Bar(msgspec.Struct, frozen=True):
    """What a figure's median has to reach: `least`, or `most` at most."""

    what: str
    found: Spread
    least: float | None = None
    most: float | None = None

    @property
    def passed(self) -> bool:
        """Return whether the median is within."""
        return (self.least is None or self.found.median >= self.least) and (
            self.most is None or self.found.median <= self.most
        )


class Report(msgspec.Struct, frozen=True):
    """All of it: `conditions` say what was measured on what."""

    conditions: dict[str, str]
    ratios: dict[str, Spread]
    bars: list[Bar]
    passed: bool
    titles: dict[str, str]
    counted: list[Counted]
    rounds: list[Round]


LEAST: Final = {
    "pgbench": 1.6,
    "pgbench_1000": 2.2,
    "go_pgx": 2.0,
    "go_pgx_1000": 2.5,
    "go_pgx_tuned": 1.5,
    "go_pgx_tuned_1000": 2.0,
    "fastapi_asyncpg": 3.0,
    "fastapi_asyncpg_1000": 4.0,
}
"""How many times as many payments a second as the other side, by the ratio's key."""

DATABASE_CPU: Final = 0.22
API_CPU: Final = 0.30
"""Of PostgreSQL's CPU time for a payment by pgbench: PostgreSQL's part of ours, and the API's."""

P95_TO_GO: Final = 0.5
"""Of the P95 of the peer in Go, at 1,000 connections."""

Figure = Callable[[Measured, Measured], float | None]


def build(
    conditions: dict[str, str],
    titles: dict[str, str],
    rounds: list[Round],
    counted: list[Counted],
) -> Report:
    """Return the report of rounds, with every ratio and every bar that was measured."""
    found, judged = ratios(rounds), bars(rounds)
    passed = all(bar.passed for bar in judged)
    return Report(conditions, found, judged, passed, titles, counted, rounds)


def key(side: str, connections: int) -> str:
    """Return a ratio's key."""
    return side if connections == USUAL else f"{side}_{connections}"


def ratios(rounds: Sequence[Round]) -> dict[str, Spread]:
    """Return our payments a second for each of another side's, by key."""
    turns = {(turn.side, turn.connections) for round_ in rounds for turn in round_.measured}
    return {
        key(side, connections): spread
        for side, connections in sorted(turns)
        if side != OURS
        for spread in _compared(
            rounds, side, connections, lambda ours, other: ours.rate / other.rate
        )
    }


def bars(rounds: Sequence[Round]) -> list[Bar]:
    """Return every bar whose sides were measured."""
    found = ratios(rounds)
    judged = [
        Bar(f"payments/s to {name}", found[name], least=least)
        for name, least in LEAST.items()
        if name in found
    ]
    for part, whose, most in (
        ("database", "PostgreSQL's", DATABASE_CPU),
        ("server", "the API's", API_CPU),
    ):
        judged += [
            Bar(f"{whose} CPU a payment to PostgreSQL's by pgbench", spread, most=most)
            for spread in _compared(rounds, "pgbench", USUAL, _cpu(part))
        ]
    judged += [
        Bar("P95 to go_pgx_1000", spread, most=P95_TO_GO)
        for spread in _compared(rounds, "go_pgx", 1_000, _p95)
    ]
    errors = [
        float(turn.errors) for round_ in rounds for turn in round_.measured if turn.side == OURS
    ]
    if errors:
        judged.append(
            Bar(
                "errors of a turn of ours, the most",
                Spread(max(errors), min(errors), max(errors)),
                most=0,
            )
        )
    return judged


def _cpu(part: str) -> Figure:
    return lambda ours, other: ours.cpu_us[part] / other.cpu_us["database"]


def _p95(ours: Measured, other: Measured) -> float | None:
    return ours.p95_ms / other.p95_ms if ours.p95_ms and other.p95_ms else None


def _compared(
    rounds: Sequence[Round], side: str, connections: int, figure: Figure
) -> Iterator[Spread]:
    """Yield the spread of a figure of ours and another side; nothing if it was not measured."""
    values = [
        value
        for round_ in rounds
        if (ours := round_.find(OURS, connections))
        and (other := round_.find(side, connections))
        and (value := figure(ours, other)) is not None
    ]
    if values:
        yield Spread.of(values)


def table(report: Report) -> str:
    """Return the report as text."""
    sections = [[f"  {name:<18} {value}" for name, value in report.conditions.items()]]
    levels = sorted({turn.connections for round_ in report.rounds for turn in round_.measured})
    sections += [[_head(level), *_rows(report, level)] for level in levels]
    sections.append(
        [
            f"  {'a payment in PostgreSQL (not timed)':<42} {'statements':>10}"
            f" {'round trips':>12} {'transactions':>13}",
            *(_counted(report, each) for each in report.counted),
        ]
    )
    sections.append(
        [
            f"  {'payments/s of ours to':<52} {'median':>7} {'min':>7} {'max':>7}",
            *(_spread(name, spread) for name, spread in report.ratios.items()),
        ]
    )
    sections.append(
        [
            f"  {'bars':<52} {'median':>7} {'min':>7} {'max':>7}",
            *(_spread(bar.what, bar.found) + _verdict(bar) for bar in report.bars),
        ]
    )
    if len(report.rounds) < FEWEST_ROUNDS:
        sections.append([f"  The bars are meant for the median of {FEWEST_ROUNDS} rounds or more."])
    return "\n\n".join("\n".join(section) for section in sections)


def _head(connections: int) -> str:
    title = f"{connections:,} connection{'s' if connections > 1 else ''}"
    return (
        f"  {title:<28} {'payments/s (min-max)':>22} {'P50':>6} {'P95':>6} {'P99':>6} ms"
        f" {'errors':>6} {'WAL':>6} B {'memory':>10} MB  CPU us a payment"
    )


def _rows(report: Report, connections: int) -> Iterator[str]:
    for side, title in report.titles.items():
        turns = [turn for round_ in report.rounds if (turn := round_.find(side, connections))]
        if turns:
            yield _row(title, turns)


def _row(title: str, turns: Sequence[Measured]) -> str:
    rate = Spread.of(turn.rate for turn in turns)
    rates = f"{rate.median:,.0f} ({rate.min:,.0f}-{rate.max:,.0f})"
    late = " ".join(
        _late(getattr(turn, name) for turn in turns) for name in ("p50_ms", "p95_ms", "p99_ms")
    )
    memory = "+".join(
        f"{median(turn.memory_mb[part] for turn in turns):.0f}" for part in ("server", "database")
    )
    cpu = ", ".join(
        f"{part} {value:.0f}"
        for part in turns[0].cpu_us
        if (value := median(turn.cpu_us[part] for turn in turns)) >= 1
    )
    wal = median(turn.wal_bytes for turn in turns)
    errors = sum(turn.errors for turn in turns)
    return f"  {title:<28} {rates:>22} {late}    {errors:>6} {wal:>6,.0f}   {memory:>10}     {cpu}"


def _late(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{median(known):>6.1f}" if known else f"{'-':>6}"


def _counted(report: Report, each: Counted) -> str:
    name = f"{report.titles[each.side]}, {each.connections:,} conn."
    counts = f"{each.statements:>10.2f} {each.round_trips:>12.2f} {each.transactions:>13.2f}"
    return f"  {name:<42} {counts}"


def _spread(name: str, spread: Spread) -> str:
    return f"  {name:<52} {spread.median:>7.2f} {spread.min:>7.2f} {spread.max:>7.2f}"


def _verdict(bar: Bar) -> str:
    asked = f"at least {bar.least:g}" if bar.least is not None else f"at most {bar.most:g}"
    return f"   {asked}, {'ok' if bar.passed else 'MISSED'}"
