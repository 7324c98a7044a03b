"""The example for Alertmanager: it is accepted, leads where it says, and silences no more."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from alerts import all_alerts, availability
from alerts.generate import FOLDER, ROUTING_FILE
from alerts.model import Severity
from alerts.money import AREA as MONEY
from alerts.routing import INHIBITIONS, PAGER, TICKETS, Inhibition

Amtool = Callable[..., subprocess.CompletedProcess[str]]


def test_alertmanager_accepts_the_example(amtool: Amtool) -> None:
    done = amtool("check-config", ROUTING_FILE, cwd=FOLDER)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(INHIBITIONS)} inhibit rules" in done.stdout


def test_alertmanager_would_refuse_a_wrong_one(amtool: Amtool, tmp_path: Path) -> None:
    text = (FOLDER / ROUTING_FILE).read_text()
    (tmp_path / ROUTING_FILE).write_text(text.replace(f"receiver: {PAGER}", "receiver: nobody"))
    assert amtool("check-config", ROUTING_FILE, cwd=tmp_path).returncode != 0


@pytest.mark.parametrize(
    ("severity", "receiver"), [(Severity.CRITICAL, PAGER), (Severity.WARNING, TICKETS)]
)
def test_each_severity_reaches_its_people(amtool: Amtool, severity: str, receiver: str) -> None:
    done = amtool(
        "config", "routes", "test", f"--config.file={ROUTING_FILE}",
        "service=coinslot", f"severity={severity}", "area=payments", cwd=FOLDER,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, receiver)


@pytest.mark.parametrize("inhibition", INHIBITIONS, ids=lambda one: one.cause.name)
def test_an_inhibition_compares_labels_that_both_have(inhibition: Inhibition) -> None:
    for alert in (inhibition.cause, *inhibition.effects):
        assert alert in all_alerts()
        assert set(inhibition.equal) <= set(alert.by)
    for alert in inhibition.effects:
        assert inhibition.job is None or "job" in alert.by
    assert inhibition.cause not in inhibition.effects
    assert inhibition.cause.severity == Severity.CRITICAL


def test_a_target_that_is_down_is_hidden_by_its_own_role_only() -> None:
    hidden = {
        one.cause: [*one.document()["target_matchers"]]
        for one in INHIBITIONS
        if availability.TARGET_DOWN in one.effects
    }
    assert hidden.keys() == {availability.API_GONE, availability.WORKER_GONE}
    assert 'job="coinslot-api"' in hidden[availability.API_GONE]
    assert 'job="coinslot-worker"' in hidden[availability.WORKER_GONE]


def test_nothing_about_money_is_ever_inhibited() -> None:
    effects = {alert.name for one in INHIBITIONS for alert in one.effects}
    assert not effects & {alert.name for alert in MONEY.alerts}
