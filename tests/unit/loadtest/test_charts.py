"""A report's page needs nothing but itself, and its charts can be told apart by everybody."""

import json
import math
import re
from itertools import pairwise

import pytest

from loadtest.charts import (
    BACKGROUNDS,
    FAIL,
    PALETTE,
    PASS,
    Band,
    Chart,
    Limit,
    Line,
    Mark,
    Section,
    Table,
    assign_colors,
    draw,
    page,
)

LEAST_CONTRAST = 3.0  # WCAG 2.1, 1.4.11: graphics against what is beside them


def chart(*lines: Line, limits: tuple[Limit, ...] = ()) -> Chart:
    lines = lines or (Line("api", [0, 5, 10], [1.0, None, math.nan]),)
    bands = (Band(0, 5, "50 users"), Band(5, 10, "200 users"))
    return Chart("CPU", "time (s)", "CPU", "cores", lines, bands, limits, (Mark(7, "first fault"),))


def named(*names: str) -> Chart:
    return chart(*(Line(name, [0], [1.0]) for name in names))


def colors(one: Chart) -> dict[str, str]:
    return assign_colors([one])


def test_a_chart_has_axes_with_units_bands_and_a_hover_for_a_time() -> None:
    drawn = draw(chart(), colors(chart()))
    layout = drawn["layout"]
    assert layout["xaxis"]["title"]["text"] == "time (s)"
    assert layout["yaxis"]["title"]["text"] == "CPU (cores)"
    assert layout["hovermode"] == "x unified"
    assert drawn["data"][0]["hovertemplate"].endswith(" cores")
    assert [note["text"] for note in layout["annotations"]] == [
        "50 users",
        "200 users",
        "first fault",
    ]
    assert [(shape["x0"], shape["x1"]) for shape in layout["shapes"][:2]] == [(0, 5), (5, 10)]


def test_what_is_not_a_number_is_a_gap() -> None:
    assert draw(chart(), colors(chart()))["data"][0]["y"] == [1.0, None, None]


def test_a_limit_far_above_is_told_and_does_not_flatten_the_lines() -> None:
    near, far = Limit(2.0, "target 2"), Limit(2000.0, "target 2,000")
    one = chart(limits=(near, far))
    layout = draw(one, colors(one))["layout"]
    assert layout["yaxis"]["range"][1] < 3
    texts = [note["text"] for note in layout["annotations"]]
    assert "target 2" in texts
    assert "target 2,000" not in texts
    assert "target 2,000 lies above the chart." in page("t", [Section("s", [one])], passed=True)


def test_an_empty_chart_can_be_drawn() -> None:
    one = Chart("Nothing", "time (s)", "CPU", "cores", [])
    assert draw(one, {})["data"] == []


def test_a_name_has_one_color_and_a_chart_has_no_color_twice() -> None:
    charts = [named("P50", "P95"), named("api", "worker"), named("worker", "api", "P95")]
    assigned = assign_colors(charts)
    for one in charts:
        used = [assigned[line.name] for line in one.lines]
        assert len(set(used)) == len(used)
    assert assign_colors(charts) == assigned


def test_more_names_than_colors_still_have_a_color() -> None:
    names = [f"line {number}" for number in range(len(PALETTE) + 3)]
    assert set(assign_colors([named(*names)]).values()) == set(PALETTE)


def luminance(color: str) -> float:
    channels = (int(color[start : start + 2], 16) / 255 for start in (1, 3, 5))
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("light", "dark"), PALETTE.items())
def test_lines_are_readable_in_both_themes(light: str, dark: str) -> None:
    for color, theme in ((light, "light"), (dark, "dark")):
        lower, upper = sorted((luminance(color), luminance(BACKGROUNDS[theme])))
        assert (upper + 0.05) / (lower + 0.05) >= LEAST_CONTRAST


def test_a_page_asks_no_network_for_anything() -> None:
    text = page("Load test", [Section("Over time", [chart()])], passed=True, summary="All is well.")
    assert "default-src 'none'" in text
    assert not re.search(r"<(script|img|iframe)[^>]* src=|<link ", text.replace("\\", ""))
    assert '<p class="verdict passed">' in text
    assert text.count('class="chart"') == 1


def test_texts_from_outside_stay_texts() -> None:
    evil = "</script><script>alert(1)</script>"
    one = Chart(evil, evil, evil, evil, [Line(evil, [0], [1.0])], [Band(0, 1, evil)])
    parts: list[str | Table | Chart] = [evil, Table([evil], [[evil]]), one]
    text = page(evil, [Section(evil, parts)], passed=False, summary=evil)
    assert "<script>alert" not in text


def test_tables_show_verdicts_and_numbers() -> None:
    table = Table(["", "Check", "Count"], [[PASS, "a", "1"], [FAIL, "b", "+2 %"]])
    text = page("t", [Section("s", [table])], passed=False)
    assert '<td class="pass">pass</td><td>a</td><td class="number">1</td>' in text
    assert '<td class="fail">FAIL</td><td>b</td><td class="number">+2 %</td>' in text
    assert '<th class="number">Count</th>' in text


def test_embedded_figures_are_json() -> None:
    text = page("t", [Section("s", [chart(), chart()])], passed=True)
    found = re.findall(r'<script id="chart-\d-figure" type="application/json">(.*)</script>', text)
    assert [set(json.loads(one)) for one in found] == [{"data", "layout"}] * 2
    assert all(a == b for a, b in pairwise(found))
