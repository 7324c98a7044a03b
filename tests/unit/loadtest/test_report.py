"""The report says the same in three ways, and shows text as text."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from loadtest.profile import SMOKE
from loadtest.report import GREEN, Report, table
from loadtest.results import parse
from loadtest.verdict import Money, evaluate
from tests.unit.loadtest.examples import entry, no_violations, raw_run


def report(raw: dict[str, Any] | None = None, money: Money | None = None) -> Report:
    results, money = parse(raw or raw_run()), money or no_violations()
    started = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    verdict = evaluate(SMOKE, results, money)
    return Report(SMOKE, "http://127.0.0.1:8080", started, results, money, verdict)


def test_files_are_written(tmp_path: Path) -> None:
    html_file, json_file = report().write(tmp_path)
    document = json.loads(json_file.read_text())
    assert document["passed"] is True
    assert document["started_at"] == "2026-01-02T03:04:00+00:00"
    assert document["requests"][0]["count"] == 1100
    assert document["requests"][1]["p95_s"] == 0.03
    assert document["money"] == {
        "invariants": {"ledger_balanced": 0, "no_double_grant": 0},
        "pending": {"outbox": 0},
    }
    assert html_file.read_text().startswith("<!doctype html>")


def test_what_was_not_measured_is_null() -> None:
    raw = raw_run()
    raw["total"], raw["entries"] = entry("", "Aggregated", {}), []
    text = json.dumps(report(raw).document(), allow_nan=False)
    assert json.loads(text)["requests"][0]["p95_s"] is None


def test_html_shows_the_verdict_and_hides_nothing() -> None:
    page = report(money=Money({"ledger_balanced": 3}, {"outbox": 0})).html()
    assert '<h1 class="failed">Load test smoke: FAIL</h1>' in page
    assert "<td>FAIL</td><td>invariant: ledger_balanced</td><td>0</td><td>3</td>" in page
    assert "503 overloaded" in page


def test_html_shows_text_from_outside_as_text() -> None:
    raw = raw_run()
    raw["errors"][0]["error"] = "<script>alert(1)</script>"
    page = report(raw).html()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_charts_stay_inside_their_frame() -> None:
    page = report().html()
    lines = [part.split("</svg>")[0] for part in page.split("<svg ")[1:]]
    assert len(lines) == 4
    for line in lines:
        drawn = ET.fromstring(f"<svg {line}</svg>")  # noqa: S314  our own text
        points = drawn[0].attrib["points"].split()
        assert len(points) == 3
        for point in points:
            x, y = map(float, point.split(","))
            assert 0 <= x <= 640
            assert 0 <= y <= 120


@pytest.mark.parametrize("color", [True, False])
def test_colours_are_for_terminals(color: bool) -> None:  # noqa: FBT001  a parameter of pytest
    text = table(report().verdict, color=color)
    assert (GREEN in text) is color
    assert text.splitlines()[-1].endswith("verdict")
