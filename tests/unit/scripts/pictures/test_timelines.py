"""Lines, areas, limits, marks and legends of panels over time."""

import math
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.colors import same_color
from matplotlib.lines import Line2D

from scripts.pictures import scales, units
from scripts.pictures.answers import Mark
from scripts.pictures.canvas import COLORS, PALETTE, TITLE_ID
from scripts.pictures.legends import LEGEND_ID
from scripts.pictures.timelines import LIMIT_ID, MARK_ID
from tests.unit.scripts.pictures.made_up import (
    LIMITS,
    SPAN,
    TIMES,
    axes_of,
    drawn,
    line,
    panel,
    words,
)


def marked(axes: Axes, gid: str) -> list[Any]:
    return [one for one in axes.lines if one.get_gid() == gid]


def values(of: Any) -> list[float]:
    return list(of.get_ydata())


def curves(axes: Axes) -> list[Any]:
    return [one for one in axes.lines if not str(one.get_label()).startswith("_")]


def test_each_series_is_a_line_of_its_own_colour_with_its_name() -> None:
    figure = drawn(panel("timeseries"), line("api", 1, 2), line("worker", 3))
    found = curves(axes_of(figure))
    assert [one.get_label() for one in found] == ["api", "worker"]
    assert [one.get_color() for one in found] == list(PALETTE[:2])
    assert list(found[0].get_xdata()) == TIMES
    assert list(found[0].get_ydata())[:3] == [1, 2, 1]
    assert words(figure, TITLE_ID) == ["A panel"]
    assert words(figure, LEGEND_ID) == ["api", "worker"]


def test_the_legend_has_the_last_value_and_the_highest() -> None:
    figure = drawn(panel("timeseries", unit="s"), line("api", 0.25, 2))
    assert [word for word in words(figure) if word.endswith("s")][-2:] == ["250 ms", "2 s"]
    assert {"Last", "Max"} <= set(words(figure))


def test_a_legend_that_is_too_long_says_how_much_is_missing() -> None:
    figure = drawn(panel("timeseries"), *(line(f"pod-{n}", n) for n in range(30)))
    shown = words(figure, LEGEND_ID)
    assert 1 < len(shown) < 30
    assert f"… {30 - len(shown)} more; Grafana scrolls" in words(figure)
    assert len(curves(axes_of(figure))) == 30


def test_a_long_name_does_not_run_into_the_values() -> None:
    figure = drawn(panel("timeseries"), line("a" * 500, 1))
    (name,) = words(figure, LEGEND_ID)
    assert name.endswith("…")
    assert len(name) < 150


def test_values_and_axis_have_the_panels_unit() -> None:
    figure = drawn(panel("timeseries", unit="percentunit"), line("api", 0.5))
    axes = axes_of(figure)
    ticks = [label.get_text() for label in axes.get_yticklabels()]
    assert ticks
    assert all(tick.endswith("%") for tick in ticks)


def test_the_axis_starts_at_the_minimum_and_reaches_the_soft_maximum() -> None:
    low = drawn(panel("timeseries", minimum=0.0, soft_maximum=1.0), line("api", 0.1))
    high = drawn(panel("timeseries", minimum=0.0, soft_maximum=1.0), line("api", 3))
    assert axes_of(low).get_ylim() == (0.0, 1.0)
    assert axes_of(high).get_ylim()[1] > 3


def test_an_axis_of_nothing_but_zeros_has_a_height() -> None:
    assert axes_of(drawn(panel("timeseries"), line("api", 0))).get_ylim() == (0.0, 1.0)


def test_time_is_written_in_utc_over_the_whole_span() -> None:
    figure = drawn(panel("timeseries"), line("api", 1))
    axes = axes_of(figure)
    assert axes.get_xlim() == (SPAN.start, SPAN.end)
    assert "08:04" in [label.get_text() for label in axes.get_xticklabels()]
    assert "10 minutes until 2027-01-15 08:10 UTC" in words(figure)


def test_limits_are_dashed_lines_in_their_colours() -> None:
    one = panel("timeseries", steps=LIMITS, limits_drawn=True)
    found = marked(axes_of(drawn(one, line("api", 2))), LIMIT_ID)
    assert [limit.get_ydata()[0] for limit in found] == [0.5, 1.0]
    assert [limit.get_color() for limit in found] == [COLORS["orange"], COLORS["red"]]
    assert {limit.get_linestyle() for limit in found} == {"--"}


def test_limits_that_the_panel_does_not_draw_are_not_drawn() -> None:
    one = panel("timeseries", steps=LIMITS, limits_drawn=False)
    assert marked(axes_of(drawn(one, line("api", 2))), LIMIT_ID) == []


def test_a_limit_out_of_sight_does_not_flatten_the_lines() -> None:
    one = panel("timeseries", steps=LIMITS, limits_drawn=True)
    assert axes_of(drawn(one, line("api", 0.01))).get_ylim()[1] < 0.02


def test_stacked_areas_stand_on_each_other() -> None:
    axes = axes_of(drawn(panel("timeseries", stacked=True), line("a", 1), line("b", 2)))
    assert [one.get_ydata()[0] for one in curves(axes)] == [1, 3]
    assert len(axes.collections) == 2


def test_what_is_missing_for_a_while_is_a_gap_and_hides_nothing_above_it() -> None:
    gap = line("a", 1, math.nan)
    plain = curves(axes_of(drawn(panel("timeseries"), gap, line("b", 2))))
    assert math.isnan(plain[0].get_ydata()[1])
    piled = curves(axes_of(drawn(panel("timeseries", stacked=True), gap, line("b", 2))))
    assert math.isnan(piled[0].get_ydata()[1])
    assert list(piled[1].get_ydata()[:2]) == [3, 2]


def test_a_point_without_neighbours_is_seen() -> None:
    axes = axes_of(drawn(panel("timeseries"), line("a", 1, math.nan), line("b", 2)))
    (dots,) = (one for one in axes.lines if one.get_marker() == ".")
    assert set(values(dots)) == {1}


def test_an_event_is_a_line_in_its_colour_and_named_on_top() -> None:
    mark = Mark("1.2.3 starts", "blue", TIMES[3])
    figure = drawn(panel("timeseries"), line("a", 1), marks=[mark])
    (found,) = marked(axes_of(figure), MARK_ID)
    assert found.get_xdata()[0] == TIMES[3]
    assert same_color(found.get_color(), COLORS["blue"])
    assert "┊ 1.2.3 starts" in words(figure)


def test_nothing_to_show_is_said() -> None:
    axes = axes_of(drawn(panel("timeseries")))
    assert [text.get_text() for text in axes.texts] == ["No data"]


@pytest.mark.parametrize("text", ["$x^2$", "a_b $", "50 % {{}}"])
def test_a_label_is_written_as_it_is(text: str) -> None:
    figure = drawn(panel("timeseries", title=text), line(text, 1))
    assert words(figure, TITLE_ID) == [text]
    assert words(figure, LEGEND_ID) == [text]


def test_the_highest_stand_first_in_a_legend_and_keep_their_colours() -> None:
    one = panel("timeseries", highest_first=True)
    figure = drawn(one, line("low", 1), line("nothing", math.nan), line("high", 2))
    assert words(figure, LEGEND_ID) == ["high", "low", "nothing"]
    keys = [key.get_color() for key in figure.get_children() if isinstance(key, Line2D)]
    assert keys == [PALETTE[2], PALETTE[0], PALETTE[1]]


def test_what_falls_below_zero_is_seen_where_the_panel_has_no_minimum() -> None:
    low, high = axes_of(drawn(panel("timeseries", minimum=None), line("left", 1, -4))).get_ylim()
    assert low < -4
    assert high > 1


@pytest.mark.parametrize(
    ("low", "high", "unit", "found"),
    [
        (0, 320, "s", ["0 s", "2 mins", "4 mins"]),
        (0, 0.3, "s", ["0 s", "60 ms", "120 ms", "180 ms", "240 ms", "300 ms"]),
        (0, 100 * 2**20, "bytes", ["0 B", "32 MiB", "64 MiB", "96 MiB"]),
        (0, 1, "percentunit", ["0%", "20%", "40%", "60%", "80%", "100%"]),
        (0, 3.2, "short", ["0", "1", "2", "3"]),
        (-1.2, 1, "percentunit", ["-100%", "-50%", "0%", "50%", "100%"]),
    ],
)
def test_ticks_are_at_round_numbers_of_the_unit(
    low: float, high: float, unit: str, found: list[str]
) -> None:
    assert [units.text(at, unit) for at in scales.ticks(low, high, unit)] == found
