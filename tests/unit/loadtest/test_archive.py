"""The archive keeps small files, finds the newest, and tells what changed."""

import json
from pathlib import Path

import pytest

from loadtest.archive import ArchiveError, Change, changes, figure, keep, newest
from loadtest.machine import revision
from tests.unit.loadtest.test_report import report, samples


def summary(started_at: str, **figures: float) -> dict[str, object]:
    made = [figure(name, value, "ms") for name, value in figures.items()]
    return {"profile": "smoke", "started_at": started_at, "figures": made}


def test_the_newest_run_of_the_profile_is_found(tmp_path: Path) -> None:
    assert newest("smoke", tmp_path) is None
    keep(summary("2026-03-01T10:00:00+00:00", P95=2), tmp_path)
    keep(summary("2026-03-01T12:00:00+03:00", P95=1), tmp_path)  # an hour earlier
    keep(summary("2026-04-01T10:00:00+00:00", P95=3) | {"profile": "full"}, tmp_path)
    found = newest("smoke", tmp_path)
    assert found is not None
    assert found.path == tmp_path / "smoke" / "2026-03-01T100000Z.json"
    assert found.summary["figures"][0]["value"] == 2


def test_a_broken_file_is_named_with_a_remedy(tmp_path: Path) -> None:
    path = keep(summary("2026-03-01T10:00:00+00:00"), tmp_path)
    path.write_text("{")
    with pytest.raises(ArchiveError, match=rf"{path} can't be read .*; remove it"):
        newest("smoke", tmp_path)


def test_changes_have_a_sign_and_percent() -> None:
    before = summary("2026-03-01T10:00:00+00:00", P95=40, gone=1, failed=0, silent=float("nan"))
    now = summary("2026-03-02T10:00:00+00:00", P95=50, new=1, failed=3, silent=1)
    found = {change.name: change.delta for change in changes(before, now)}
    assert found == {"P95": "+10 ms (+25.0%)", "new": "-", "failed": "+3 ms", "silent": "-"}
    assert Change("P95", "ms", 40.0, 30.0).delta == "-10 ms (-25.0%)"


def test_an_archived_run_is_small_and_says_what_ran_where(tmp_path: Path) -> None:
    path = keep(report(taken=samples()).summary(), tmp_path)
    kept = json.loads(path.read_text())
    assert path.stat().st_size < 20_000
    assert "history" not in kept
    assert kept["revision"] == "0123456789ab"
    assert kept["machine"] == {"cpus": 2}
    assert kept["passed"] is True
    names = [one["name"] for one in kept["figures"]]
    assert "P95, phase 2, 20 users" in names
    assert "P95 of payments, phase 2, 20 users" in names
    assert "CPU of api, mean" in names


def test_outside_a_repository_the_revision_is_unknown(tmp_path: Path) -> None:
    assert revision(tmp_path) == "unknown"
    assert revision() != "unknown"
