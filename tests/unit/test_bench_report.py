"""The benchmark's verdict: ratios within a round, bars for their median, JSON and a table."""

import msgspec
import pytest

from bench import report
from bench.report import Counted, Measured, Report, Round

TITLES = {"pgbench": "pgbench", "go_pgx": "Go", "ours": "the service"}


def turn(side: str, connections: int, rate: float, **changes: object) -> Measured:
    measured = Measured(
        side=side,
        connections=connections,
        rate=rate,
        payments=100,
        errors=0,
        p50_ms=None if side == "pgbench" else 1.0,
        p95_ms=None if side == "pgbench" else 1_000 / rate,
        p99_ms=None,
        cpu_us={"server": 60.0, "database": 100.0 if side == "ours" else 500.0},
        wal_bytes=10_000,
        valkey_calls=1,
        memory_mb={"server": 100.0, "database": 50.0},
    )
    return msgspec.structs.replace(measured, **changes)


def rounds(*ratios: float) -> list[Round]:
    """Return rounds on a machine that is each time slower: only ratios can be compared."""
    return [
        Round(
            [
                turn("pgbench", 64, 1_000 / n),
                turn("ours", 64, ratio * 1_000 / n),
                turn("go_pgx", 1_000, 1_000 / n),
                turn("pgbench", 1_000, 500 / n),
                turn("ours", 1_000, 3_000 / n),
            ]
        )
        for n, ratio in enumerate(ratios, start=1)
    ]


def build(*ratios: float) -> Report:
    counted = [Counted("ours", 64, 100, 0.1, 0.1, 0.1)]
    return report.build({"machine": "of a test"}, TITLES, rounds(*ratios), counted)


@pytest.mark.parametrize(
    ("ratios", "passed"), [((1.1, 1.7, 1.6), True), ((1.1, 1.59, 1.9), False), ((1.61,), True)]
)
def test_the_median_of_the_ratios_is_judged(ratios: tuple[float, ...], *, passed: bool) -> None:
    found = build(*ratios)
    assert found.ratios["pgbench"].min == pytest.approx(min(ratios))
    assert found.ratios["pgbench"].max == pytest.approx(max(ratios))
    assert found.passed is passed


def test_a_ratio_is_of_the_same_connections_and_has_them_in_its_key() -> None:
    found = build(2.0, 2.0).ratios
    assert set(found) == {"pgbench", "pgbench_1000", "go_pgx_1000"}
    assert found["pgbench_1000"].median == pytest.approx(6.0)
    assert found["go_pgx_1000"].median == pytest.approx(3.0)


def test_every_bar_that_was_measured_is_judged() -> None:
    bars = {bar.what: bar for bar in build(2.0).bars}
    assert bars["P95 to go_pgx_1000"].found.median == pytest.approx(1 / 3)
    assert bars["PostgreSQL's CPU a payment to PostgreSQL's by pgbench"].found.median == 0.2
    assert bars["the API's CPU a payment to PostgreSQL's by pgbench"].found.median == 0.12
    assert "payments/s to go_pgx" not in bars  # nobody measured it at 64
    assert all(bar.passed for bar in bars.values())


@pytest.mark.parametrize(
    "changes",
    [
        {"errors": 1},
        {"p95_ms": 900.0},
        {"cpu_us": {"server": 60.0, "database": 111.0}},
        {"cpu_us": {"server": 151.0, "database": 100.0}},
    ],
)
def test_one_missed_bar_fails_the_run(changes: dict[str, object]) -> None:
    (measured,) = (round_.measured for round_ in rounds(2.0))
    changed = [
        msgspec.structs.replace(each, **changes) if each.side == "ours" else each
        for each in measured
    ]
    assert not report.build({}, TITLES, [Round(changed)], []).passed


def test_the_json_has_each_ratio_with_its_spread() -> None:
    found = msgspec.json.decode(msgspec.json.encode(build(1.7, 1.8, 2.0)))
    assert found["ratios"]["pgbench"] == {
        "median": pytest.approx(1.8),
        "min": pytest.approx(1.7),
        "max": pytest.approx(2.0),
    }
    assert set(found) >= {"conditions", "bars", "rounds", "passed", "counted"}
    assert msgspec.convert(found, Report).passed is True


def test_the_table_shows_a_missed_bar_and_that_rounds_were_few() -> None:
    text = report.table(build(1.0, 1.1))
    assert "of a test" in text
    assert "at least 1.6, MISSED" in text
    assert "64 connections" in text
    assert "5 rounds or more" in text
    assert "5 rounds or more" not in report.table(build(*[2.0] * 5))
