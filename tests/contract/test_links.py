"""Every alert's runbook and dashboard exist, none is left over, and commands in runbooks work."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from alerts import all_alerts
from alerts.known_series import known_series
from alerts.links import RUNBOOK_BASE, RUNBOOK_FOLDER, runbook_url
from alerts.model import Alert
from dashboards import documents
from dashboards.lint import panels
from service.admin.cli import parser
from service.events import CATALOG

ROOT = Path(__file__).parents[2]
RUNBOOKS = ROOT / RUNBOOK_FOLDER
PARTS = ("Meaning", "Impact", "Diagnosis", "Mitigation", "Afterwards")
INDEX = "README"
PAGES = sorted(RUNBOOKS.glob("*.md"))

SHELL = re.compile(r"^ *```sh\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
METRIC = re.compile(r"[a-z_:0-9]+_(?:total|gauge|seconds|bytes|bucket|info)\b(?!\()")
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
PLACEHOLDERS = {
    "PAYMENT_ID": str(UUID(int=1)),
    "REFUND_ID": str(UUID(int=2)),
    "ORPHAN_ID": str(UUID(int=3)),
    "DISPUTE_ID": str(UUID(int=8)),
    "WARNING_ID": str(UUID(int=9)),
    "ENDPOINT_ID": str(UUID(int=4)),
    "DELIVERY": "5",
    "MESSAGE": "7",
}


@pytest.mark.parametrize("alert", all_alerts(), ids=lambda alert: alert.name)
def test_the_runbook_is_there_and_complete(alert: Alert) -> None:
    path = RUNBOOKS / runbook_url(alert.name).removeprefix(f"{RUNBOOK_BASE}/")
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# {alert.name}\n")
    assert f"**Severity: {alert.severity}.**" in text
    assert tuple(re.findall(r"^## (\w+)$", text, re.MULTILINE)) == PARTS
    assert "```promql" in text


def test_no_runbook_is_left_of_an_alert_that_is_gone() -> None:
    pages = {path.stem for path in PAGES} - {INDEX}
    assert pages == {alert.name for alert in all_alerts()}


def test_the_reference_lists_every_runbook() -> None:
    text = (ROOT / "docs" / "reference" / "alerts.md").read_text(encoding="utf-8")
    for alert in all_alerts():
        assert f"| [{alert.name}](../operate/runbooks/{alert.name}.md) | {alert.severity} |" in text


def commands(page: Path) -> Iterator[list[str]]:
    """Yield a page's commands: the lines of its shell blocks, and inline commands."""
    text = page.read_text(encoding="utf-8")
    lines = [line for block in SHELL.findall(text) for line in block.splitlines()]
    lines += [each for each in INLINE.findall(text) if each.startswith(("admin ", "logs "))]
    for line in lines:
        first, *more = (shlex.split(part) for part in line.split("|"))
        yield first[1:] if first and first[0].startswith("since=") else first
        yield from (words for words in more if words[0] == "admin")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_on_the_page_is_valid(page: Path) -> None:
    for words in commands(page):
        name, *arguments = words
        assert name in {"logs", "admin"}, words
        if name == "logs":
            assert set(arguments) <= CATALOG.keys(), words
        else:
            parser().parse_args([PLACEHOLDERS.get(word, word) for word in arguments])


def test_a_wrong_command_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "Wrong.md"
    for line in ("logs no_such_event", "admin no_such_command", "kubectl delete everything"):
        page.write_text(f"```sh\n{line}\n```\n")
        with pytest.raises((AssertionError, SystemExit)):
            test_every_command_on_the_page_is_valid(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_metric_on_the_page_exists(page: Path) -> None:
    known = set(known_series())
    families = {name.removesuffix("_count") for name in known if name.endswith("_count")}
    inline = " ".join(INLINE.findall(page.read_text(encoding="utf-8")))
    assert set(METRIC.findall(inline)) <= known | families


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_on_the_page_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).is_file(), target


@pytest.mark.parametrize("alert", all_alerts(), ids=lambda alert: alert.name)
def test_the_dashboard_is_there(alert: Alert) -> None:
    assert alert.dashboard in documents()


@pytest.mark.parametrize("alert", all_alerts(), ids=lambda alert: alert.name)
def test_a_panel_of_the_dashboard_leads_back_to_the_runbook(alert: Alert) -> None:
    document = json.loads(documents()[alert.dashboard])
    urls = {link["url"] for panel in panels(document) for link in panel["links"]}
    assert runbook_url(alert.name) in urls


def test_every_runbook_that_a_panel_leads_to_is_one_of_an_alert() -> None:
    known = {runbook_url(alert.name) for alert in all_alerts()}
    for text in documents().values():
        for panel in panels(json.loads(text)):
            assert {link["url"] for link in panel["links"]} <= known
