"""`make demo`: it ends by itself, and only a run in which everything held exits with 0."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.bootstrap import venv
from scripts.platform import demo
from scripts.platform.demo_scenario import ExpectationError, Record, Scenario, expect

TIMEOUT_S = 300
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(TIMEOUT_S + 10)
def test_the_demo_tells_a_story_that_holds() -> None:
    # what a developer has set must not reach it
    strange = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x", "PORT": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "scripts.platform.demo", "--json"],
        env={**os.environ, **strange},
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    printed = json.loads(done.stdout)
    assert (printed["ok"], printed["error"]) == (True, None)
    steps = [step["name"] for step in printed["steps"]]
    assert steps[-10:-1] == [
        *("order", "payment", "replay", "grant", "part refund", "full refund", "revoke"),
        *("lost answer", "invariants"),
    ]
    assert printed["invariants"]
    assert not any(printed["invariants"].values())
    assert sum(entry["amount"] for entry in printed["ledger"]) == 0
    assert printed["payment"]["refunded"] == printed["payment"]["captured"] > 0
    assert printed["timeline"][-1]["event"] == "games_revoked"
    assert printed["pulumi"]["changes"]["create"] > 0
    assert set(printed["pulumi"]["objects"]["Deployment"]) == {
        *("coinslot-api", "coinslot-worker"),
        *("coinslot-valkey", "coinslot-simulator"),
    }
    assert b"\x1b" not in (demo.BUILD / "logs/api.log").read_bytes()


@pytest.fixture
def private_clone() -> Iterator[Path]:
    """Give a clone, with a venv of its own, where only its user may enter."""
    beside = ROOT.parent if os.access(ROOT.parent, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="Größe und spaß ", dir=beside) as private:
        clone = Path(private) / "clone"
        left_out = shutil.ignore_patterns(".venv", ".git", ".state", ".*cache", "build")
        shutil.copytree(ROOT, clone, ignore=left_out, symlinks=True)
        linked = os.link if beside else shutil.copy2  # links end with a file system
        shutil.copytree(ROOT / ".venv", clone / ".venv", copy_function=linked, symlinks=True)
        for stamp, key in (("venv", venv._key), ("editable", venv._editable_key)):
            (clone / ".tools/stamps" / stamp).write_text(key(clone))
        yield clone


@pytest.mark.timeout(TIMEOUT_S + 60)
def test_the_demo_runs_in_a_private_folder_without_a_home(private_clone: Path) -> None:
    left_out = ("HOME", "PYTHONUNBUFFERED", "VIRTUAL_ENV", "PULUMI_HOME")
    environ = {name: value for name, value in os.environ.items() if name not in left_out}
    folders = os.environ["PATH"].split(os.pathsep)
    path = os.pathsep.join(f for f in folders if not Path(f).is_relative_to(ROOT))
    done = subprocess.run(
        ["make", "demo"],
        cwd=private_clone,
        env={**environ, "HOME": "/dev/null", "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    assert "All as it must be, in " in done.stdout
    assert Path(private_clone).parent.stat().st_mode & 0o777 == 0o700


async def test_a_broken_expectation_names_its_step() -> None:
    printed: list[str] = []
    scenario = Scenario(lambda name, _seconds, _detail: printed.append(name))
    with pytest.raises(ExpectationError, match="payment: expected one charge, not 2"):
        async with scenario.step("payment"):
            expect(len(printed) == 1, "one charge, not 2")
    assert printed == []
    assert scenario.record.steps == []


def test_a_failed_demo_says_so_and_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo._end(False, Record(), "payment: expected one charge") == 1  # noqa: FBT003
    assert capsys.readouterr().err == "demo: payment: expected one charge\n"
    assert demo._end(True, Record(), "payment: expected one charge") == 1  # noqa: FBT003
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_without_a_terminal_there_are_no_escape_codes(tmp_path: Path) -> None:
    script = (
        "from scripts import console\n"
        "from scripts.platform import demo\n"
        "screen = console.make()\n"
        "console.done(screen, 'payment', 0.1, 'done')\n"
        "screen.print(demo._table('Money', ('rows',), [('unbalanced ledger',)]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "TERM": "xterm-256color"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert "\x1b" not in done.stdout
    assert "unbalanced ledger" in done.stdout
    assert "payment" in done.stdout
