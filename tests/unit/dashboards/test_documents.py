"""What is written is complete, canonical and fresh."""

import json
from pathlib import Path

import pytest

from alerts.links import OVERVIEW_DASHBOARD
from dashboards import documents
from dashboards.__main__ import FOLDER, write
from dashboards.lint import panels
from dashboards.panels import panel_id

DOCUMENTS = {uid: json.loads(text) for uid, text in documents().items()}
OVERVIEW = DOCUMENTS[OVERVIEW_DASHBOARD]

QUESTIONS = {
    "success rate and volume": ("Success ratio over time", "Volume by status"),
    "latency": ("Payment latency", "Payment latency P95 by provider"),
    "provider comparison": ("Provider calls by outcome", "Provider latency P95"),
    "integration health": ("Integration calls by outcome", "Integration health"),
    "active payments": ("In progress", "Active payments by pod"),
    "amount distribution": (
        "Amounts ($currency, minor units)",
        "Amount quantiles ($currency, minor units)",
    ),
    "error analysis": ("Payment errors by status and provider", "HTTP errors by route"),
    "delivery": ("Outbox lag", "Paid, not granted"),
    "money": ("Broken money invariants", "Money invariants"),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_overview_answers(question: str) -> None:
    titles = [panel["title"] for panel in panels(OVERVIEW)]
    assert set(QUESTIONS[question]) <= set(titles)


ASKED = {
    "success rate and volume": ("overview", "Success ratio over time", "Volume by status"),
    "latency P50, P95, P99": ("objectives", "Latency P50, P95, P99", "Payment durations"),
    "provider comparison": ("providers", "Provider health", "Breakers by state", "Bulkhead by pod"),
    "integration health": ("integrations", "Integration health", "Inbox", "Tries by outcome"),
    "resource trends": (
        "resources",
        "CPU of the limit",
        "Memory of the limit",
        "Garbage collections",
        "Event-loop lag",
        "Pool in use",
        "Batch size P95",
        "Cache hits",
    ),
    "error analysis": ("errors", "Payment errors by status and provider", "HTTP errors by route"),
    "amount distribution": (
        "amounts",
        "Amounts ($currency, minor units)",
        "Amount quantiles ($currency, minor units)",
    ),
    "active payments": ("active", "Active payments by pod", "Oldest without an outcome"),
    "SLO and error budget": ("objectives", "Budget of availability", "Burn rate of latency"),
    "money invariants": (
        "money",
        "Money invariants",
        "Unresolved payments",
        "Differences by kind",
        "Orphans open",
        "Outbox lag",
        "Seal lag",
        "Grants given up",
    ),
    "rollout view": ("rollout", "Processes by version", "Pods", "Restarts by pod"),
}


@pytest.mark.parametrize("question", ASKED)
def test_the_dashboard_that_is_asked_answers(question: str) -> None:
    board, *wanted = ASKED[question]
    titles = [panel["title"] for panel in panels(DOCUMENTS[f"coinslot-{board}"])]
    assert set(wanted) <= set(titles)


def test_a_uid_fits_grafana_and_the_name_of_a_kubernetes_object() -> None:
    for uid, text in documents().items():
        assert json.loads(text)["uid"] == uid
        assert len(uid) <= 40  # Grafana's limit
        assert uid.replace("-", "").isalnum()
        assert uid == uid.lower()


def test_nothing_is_left_that_grafana_no_longer_reads() -> None:
    for text in documents().values():
        for word in ('"gnetId"', '"rows"', '"sharedCrosshair"', '"intervalFactor"', '"span"'):
            assert word not in text


def test_the_lowest_threshold_starts_at_the_bottom() -> None:
    for panel in (panel for one in DOCUMENTS.values() for panel in panels(one)):
        thresholds = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert thresholds[0]["value"] is None
        values = [step["value"] for step in thresholds[1:]]
        assert values == sorted(values)


def test_a_panel_keeps_its_id_when_others_move() -> None:
    for panel in (panel for one in DOCUMENTS.values() for panel in one["panels"]):
        assert panel["id"] == panel_id(panel["title"])


def test_documents_are_canonical() -> None:
    assert documents() == documents()
    for text in documents().values():
        assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"


def test_writing_removes_the_file_of_a_dashboard_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "gone.json").write_text("{}")
    assert sorted(write(tmp_path)) == sorted(tmp_path.iterdir())


@pytest.mark.parametrize("uid", documents())
def test_the_committed_file_is_fresh(uid: str) -> None:
    assert (FOLDER / f"{uid}.json").read_text() == documents()[uid], "run `make render`"
    assert {path.stem for path in FOLDER.glob("*.json")} == set(documents())


def test_a_legend_is_a_table_of_its_values() -> None:
    for panel in (panel for one in DOCUMENTS.values() for panel in panels(one)):
        if panel["type"] == "timeseries":
            legend = panel["options"]["legend"]
            assert legend["displayMode"] == "table"
            assert legend["calcs"] == ["lastNotNull", "max"]
            assert (legend["sortBy"], legend["sortDesc"]) == ("Max", True)


def test_a_budget_that_is_overdrawn_is_seen() -> None:
    objectives = panels(DOCUMENTS["coinslot-objectives"])
    without = {one["title"] for one in objectives if "min" not in one["fieldConfig"]["defaults"]}
    lines = {one["title"] for one in objectives if one["type"] == "timeseries"}
    assert without & lines == {"Budget of availability over time", "Budget of latency over time"}
