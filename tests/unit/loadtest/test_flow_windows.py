"""The flows of a long run: counted by window, and forgotten."""

import math

import pytest

from loadtest.arrivals import Arrival, Outcome, Stage
from loadtest.flow_windows import WINDOWS, FlowWindows
from tests.unit.loadtest.open_model import START_S, arrival

WIDTH_S = 10.0


@pytest.fixture
def flows() -> FlowWindows:
    return FlowWindows(Stage(1, START_S, 5, WIDTH_S * WINDOWS))


def of(window: int, took_s: float = 0.1, **more: float) -> list[Arrival]:
    """Return the flows of a window."""
    return [arrival(START_S + window * WIDTH_S + n / 5, took_s, **more) for n in range(50)]  # type: ignore[arg-type]


def test_each_window_has_the_p95_of_its_own_flows(flows: FlowWindows) -> None:
    for window in range(WINDOWS):
        flows.add(of(window, 0.1 if window < 20 else 0.3))
    flows.close()
    assert list(flows.p95().values) == pytest.approx([100] * 20 + [300] * 20)
    assert flows.p95().times_s[0] == 5
    assert flows.count == 2_000


def test_flows_end_in_any_order_and_come_from_several_generators(flows: FlowWindows) -> None:
    flows.add([*of(2), *of(0, 0.2), *of(1, 0.3)])
    flows.close()
    assert list(flows.p95().values[:3]) == pytest.approx([200, 300, 100])


def test_what_is_kept_does_not_grow_with_the_run(flows: FlowWindows) -> None:
    for window in range(WINDOWS):
        flows.add(of(window))
        assert len(flows._open) <= 4


def test_a_flow_that_ends_after_its_window_counts_all_the_same(flows: FlowWindows) -> None:
    flows.add(of(9))
    flows.add([arrival(START_S, 20.0, outcome=(Outcome.FAILED, "pay: timeout"))])
    flows.close()
    assert flows.outcomes == {Outcome.GOOD: 50, Outcome.FAILED: 1}
    assert flows.failures == {"pay: timeout": 1}
    assert math.isnan(flows.p95().values[0])


def test_refusals_are_no_failures(flows: FlowWindows) -> None:
    flows.add([arrival(START_S, outcome=(Outcome.SHED, "order: 503 overloaded"))])
    assert not flows.failures
    assert flows.refusals == {"order: 503 overloaded": 1}
    assert flows.good_ratio == 0


def test_windows_in_which_the_generator_was_late_are_known(flows: FlowWindows) -> None:
    for window in range(WINDOWS):
        flows.add(of(window, lag_s=0.05 if window in (3, 7) else 0.001))
    flows.close()
    assert flows.late_windows() == 2
    assert flows.lag_p95_s() == 0.05
