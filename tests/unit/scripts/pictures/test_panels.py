"""Stats, tables and heatmaps."""

import math
from typing import Any

import pytest
from matplotlib.colors import same_color

from scripts.pictures.answers import Line
from scripts.pictures.boards import PictureError
from scripts.pictures.canvas import COLORS
from scripts.pictures.heatmaps import by_size, counts
from scripts.pictures.tables import CELL_ID
from tests.unit.scripts.pictures.made_up import LIMITS, TIMES, axes_of, drawn, line, panel, words


@pytest.mark.parametrize(("value", "color"), [(0.1, "green"), (0.5, "orange"), (3, "red")])
def test_a_stat_is_the_last_value_in_the_colour_of_its_limit(value: float, color: str) -> None:
    figure = drawn(panel("stat", unit="s", steps=LIMITS), line("p95", 9, value, math.nan))
    (number,) = axes_of(figure).texts
    assert number.get_text() == {0.1: "100 ms", 0.5: "500 ms", 3: "3 s"}[value]
    assert same_color(number.get_color(), COLORS[color])


def test_a_stat_has_its_past_behind_it() -> None:
    figure = drawn(panel("stat"), line("p95", 1, 2))
    past: Any
    (past,) = axes_of(figure, "A panel before").lines
    assert list(past.get_xdata()) == TIMES


def test_a_stat_without_data_says_so_in_the_panels_own_words() -> None:
    figure = drawn(panel("stat", nothing="no data"))
    assert [text.get_text() for text in axes_of(figure).texts] == ["no data"]


def test_a_table_has_a_row_for_a_series_and_a_column_for_a_label() -> None:
    lines = [
        Line("", {"Time": "x", "role": role, "pod": f"{role}-1"}, ((TIMES[-1], value),))
        for role, value in (("api", 1.0), ("worker", 2.0))
    ]
    figure = drawn(panel("table", hidden=frozenset({"Time"})), *lines)
    cells = words(figure, CELL_ID)
    assert cells == ["pod", "role", "Value", "api-1", "api", "1", "worker-1", "worker", "2"]


def test_a_table_that_is_too_long_says_how_much_is_missing() -> None:
    lines = [Line("", {"pod": f"p{n}"}, ((TIMES[-1], 1.0),)) for n in range(50)]
    figure = drawn(panel("table"), *lines)
    rows = len(words(figure, CELL_ID)) // 2 - 1
    assert f"… {50 - rows} more; Grafana scrolls" in words(figure)


def test_an_empty_table_says_so() -> None:
    axes = axes_of(drawn(panel("table")))
    assert [text.get_text() for text in axes.texts] == ["No data"]


def bucket(le: str, count: float) -> Line:
    return line(le, count, labels={"le": le})


def test_buckets_are_ordered_by_size_and_hold_what_is_theirs_alone() -> None:
    buckets = by_size([bucket("+Inf", 6), bucket("10", 5), bucket("2", 3)])
    assert [one.name for one in buckets] == ["2", "10", "+Inf"]
    assert counts(buckets, TIMES[:1]) == [[3], [2], [1]]


def test_a_heatmap_shows_a_row_a_bucket_and_names_their_bounds() -> None:
    figure = drawn(
        panel("heatmap", unit="s", cells="ops", floor=1e-9),
        *(bucket("0.1", 0), bucket("1", 4), bucket("+Inf", 6)),
    )
    axes = axes_of(figure)
    (mesh,) = axes.collections
    cells = mesh.get_array()
    assert cells is not None
    assert cells.shape == (3, len(TIMES))
    assert cells[0].count() == 0  # nothing in it: left blank, as Grafana's filter does
    assert [cells[row][0] for row in (1, 2)] == [4, 2]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["100 ms", "1 s", "∞"]
    assert "4 ops/s" in words(figure)


@pytest.mark.parametrize("lines", [(), (bucket("1", 0), bucket("+Inf", 0))])
def test_a_heatmap_of_nothing_says_so(lines: tuple[Line, ...]) -> None:
    axes = axes_of(drawn(panel("heatmap", floor=1e-9), *lines))
    assert [text.get_text() for text in axes.texts] == ["No data"]


def test_a_kind_that_nobody_draws_is_refused_by_name() -> None:
    with pytest.raises(PictureError, match="piechart"):
        drawn(panel("piechart"), line("a", 1))
