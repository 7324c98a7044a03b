"""The benchmark's verdict: ratios within a round, bars for their median."""

import pytest

from bench.report import Measured, Report, Round, evaluate, table


def side(connections: int, rate: float) -> Measured:
    return Measured(connections, rate, 100, 1.0, 2.0, 3.0, {"database": 500.0})


def rounds(*ratios: float) -> list[Round]:
    """Return rounds on a machine that is each time slower: only ratios can be compared."""
    return [
        Round(side(0, 1_000 / n), [side(64, ratio * 1_000 / n), side(1_000, 2_000 / n)])
        for n, ratio in enumerate(ratios, start=1)
    ]


@pytest.mark.parametrize(
    ("ratios", "passed"), [((1.1, 1.3, 1.2), True), ((1.1, 1.19, 1.9), False), ((1.21,), True)]
)
def test_the_median_of_the_ratios_is_judged(ratios: tuple[float, ...], *, passed: bool) -> None:
    few, many = evaluate(rounds(*ratios))
    assert few.connections == 64
    assert few.lowest == pytest.approx(min(ratios))
    assert few.highest == pytest.approx(max(ratios))
    assert few.passed is passed
    assert many.median == pytest.approx(2.0)
    assert many.passed
    assert Report({}, [], [few, many]).passed is passed


def test_a_missed_bar_is_shown() -> None:
    measured = rounds(1.0, 1.1)
    text = table(Report({"machine": "of a test"}, measured, evaluate(measured)))
    assert "of a test" in text
    assert "MISSED" in text
    assert "pgbench, 16 clients" in text
