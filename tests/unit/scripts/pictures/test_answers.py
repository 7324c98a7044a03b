"""What Prometheus is asked for, and what is made of its answers."""

from collections.abc import Mapping
from typing import Any

import pytest

from dashboards import documents
from dashboards.panels import Event, Variable
from scripts.pictures import boards
from scripts.pictures.answers import ask, name
from scripts.pictures.boards import PictureError, Query
from scripts.pictures.variables import Span, chosen, filled, scraped_s
from tests.support.prometheus import PrometheusError, Series
from tests.unit.scripts.pictures.made_up import SPAN, TIMES, Canned, board, panel

CURRENCY = Variable("currency", 'label_values(amounts{namespace=~"$namespace"}, currency)', None)
NAMESPACE = Variable("namespace", "label_values(info, namespace)", ".*")
VALUES_ASKED = 'group by (currency) (last_over_time(amounts{namespace=~".*"}[600s]))'
SOLD = [Series({"currency": code}, ((TIMES[-1], 1.0),)) for code in ("USD", "EUR")]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ('a{b="$job"}', 'a{b="api"}'),
        ("rate(a[${__range}])", "rate(a[600s])"),
        ("${job:regex} $job", "api api"),
        ("nothing", "nothing"),
    ],
)
def test_variables_are_filled_in(text: str, result: str) -> None:
    assert filled(text, {"job": "api", "__range": "600s"}) == result


def test_a_variable_that_is_not_known_is_named() -> None:
    with pytest.raises(PictureError, match=r"\$jbo is no variable"):
        filled("$jbo", {"job": "api"})


async def test_a_variable_stands_at_all_or_at_the_first_of_its_values() -> None:
    running = Canned({VALUES_ASKED: SOLD})
    assert await chosen([NAMESPACE, CURRENCY], running, SPAN) == {
        "namespace": ".*",
        "currency": "EUR",
    }
    assert await chosen([NAMESPACE, CURRENCY], Canned({}), SPAN) == {
        "namespace": ".*",
        "currency": "",
    }


async def test_a_variable_whose_query_is_not_known_is_named() -> None:
    strange = Variable("pod", "query_result(up)", None)
    with pytest.raises(PictureError, match="pod"):
        await chosen([strange], Canned({}), SPAN)


@pytest.mark.parametrize(
    ("scrape_s", "minutes", "points", "step_s", "rate"),
    [
        (15, 30, 720, 15, "60s"),
        (1, 30, 720, 2, "60s"),  # no shorter than what operators see
        (30, 180, 720, 30, "120s"),
        (15, 24 * 60, 720, 120, "135s"),  # a step and a scrape
    ],
)
def test_a_rate_holds_four_scrapes(
    scrape_s: float, minutes: float, points: float, step_s: float, rate: str
) -> None:
    span = Span(0, minutes * 60, scrape_s)
    assert span.step_s(points) == step_s
    assert span.values(step_s)["__rate_interval"] == rate
    assert span.values(step_s)["__interval"] == f"{step_s}s"
    assert span.values(step_s)["__range"] == f"{minutes * 60}s"


@pytest.mark.parametrize(
    ("legend", "labels", "result"),
    [
        ("{{role}} {{ version }}", {"role": "api", "version": "1"}, "api 1"),
        ("P95", {"role": "api"}, "P95"),
        ("{{pod}}", {}, "{{pod}}"),
        ("", {"role": "api", "pod": "p1"}, "api p1"),
        ("", {}, "value"),
    ],
)
def test_a_legend_is_filled_with_labels(legend: str, labels: dict[str, str], result: str) -> None:
    assert name(legend, labels) == result


async def test_a_panel_is_asked_over_the_span_and_a_table_for_now() -> None:
    lines = panel("timeseries", number=1, queries=(Query("rate(a[$__rate_interval])", "{{pod}}"),))
    table = panel("table", number=2, queries=(Query('b{n=~"$namespace"}', ""),))
    answers = {"rate(a[60s])": [Series({"pod": "p1"}, ((TIMES[0], 1.0), (TIMES[1], 2.0)))]}
    running = Canned(answers)
    shown = await ask(board(lines, table, variables=(NAMESPACE,)), running, SPAN)
    asked = sorted(running.asked)
    assert asked == ['b{n=~".*"}', f"rate(a[60s]) @{SPAN.start:g}-{SPAN.end:g}/15"]
    assert [one.name for one in shown.lines[1]] == ["p1"]
    assert shown.lines[1][0].points == ((TIMES[0], 1.0), (TIMES[1], 2.0))
    assert shown.lines[2] == ()


async def test_titles_are_filled_in_too() -> None:
    running = Canned({VALUES_ASKED: SOLD})
    one = board(panel("stat", title="Amounts ($currency)"), variables=(NAMESPACE, CURRENCY))
    assert (await ask(one, running, SPAN)).board.panels[0].title == "Amounts (EUR)"


async def test_an_event_begins_where_it_has_no_point_before() -> None:
    event = Event("Deployments", "new", "{{version}} starts", "blue")
    there = (*TIMES[2:5], *TIMES[20:22])
    series = Series({"version": "2"}, tuple((at, 1.0) for at in there))
    shown = await ask(board(events=(event,)), Canned({"new": [series]}), SPAN)
    assert [(one.title, one.start) for one in shown.marks] == [
        ("2 starts", TIMES[2]),
        ("2 starts", TIMES[20]),
    ]


async def test_a_query_that_is_refused_is_told_by_its_panel() -> None:
    class Refusing(Canned):
        async def query_range(self, *_: Any) -> list[Series]:
            raise PrometheusError("parse error")

    with pytest.raises(PictureError, match=r"made-up, panel 'A panel': parse error"):
        await ask(board(panel("stat")), Refusing({}), SPAN)


async def test_the_longest_interval_of_all_targets_counts() -> None:
    class Scraping(Canned):
        async def targets(self) -> list[Mapping[str, Any]]:
            return [{"scrapeInterval": "1s"}, {"scrapeInterval": "1m30s"}]

    class Idle(Canned):
        async def targets(self) -> list[Mapping[str, Any]]:
            return []

    assert await scraped_s(Scraping({})) == 90
    assert await scraped_s(Idle({})) == 15


@pytest.mark.parametrize("uid", documents())
async def test_every_query_of_a_dashboard_can_be_filled_in(uid: str) -> None:
    one = boards.read(documents()[uid])
    running = Canned({})
    shown = await ask(one, running, SPAN)
    assert set(shown.lines) == {each.number for each in one.panels if each.kind != boards.ROW}
    assert len(running.asked) >= len(shown.lines)
    assert not any("$" in asked for asked in running.asked)
