"""A real Prometheus over the real service: panels have data, and each alert fires by its fault."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from alerts import all_alerts, all_recordings
from tests.live.faults import CANNOT, PHASES, caused, uncaused
from tests.live.scale import shown

IDLE_S = 150
"""What it takes on two idle cores; a busy machine may take several times as long."""


def test_every_alert_has_a_fault_or_a_reason() -> None:
    assert uncaused() == ()
    names = {alert.name for alert in all_alerts()}
    assert caused().keys() | CANNOT.keys() == names
    assert not caused().keys() & CANNOT.keys()
    assert all(CANNOT.values())


def test_no_alert_has_two_faults() -> None:
    fires = [alert.name for phase in PHASES for fault in phase.faults for alert in fault.fires]
    assert len(fires) == len(set(fires))


@pytest.mark.timeout(4 * IDLE_S)
def test_every_panel_shows_data_and_every_alert_fires(tmp_path: Path) -> None:
    """The command itself, so that it is what is tried; it prints what is not as it should be."""
    done = subprocess.run(
        (sys.executable, "-m", "tests.live", "--json", "--folder", str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=4 * IDLE_S - 10,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr
    report = json.loads(done.stdout)
    assert report["problems"] == []
    assert report == json.loads((tmp_path / "report.json").read_text())
    fired = {row["alert"] for row in report["alerts"] if row["fired_after_s"] is not None}
    assert fired == caused().keys()
    assert (report["panels"], report["recordings"]) == (len(list(shown())), len(all_recordings()))
    assert done.returncode == 0
