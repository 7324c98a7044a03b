"""`make demo`: it ends by itself, and only a run in which everything held exits with 0."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import demo
from scripts.story import ExpectationError, Record, Step, Story, expect

TIMEOUT_S = 300


@pytest.mark.timeout(TIMEOUT_S + 10)
def test_the_demo_tells_a_story_that_holds() -> None:
    # what a developer has set must not reach it
    strange = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x", "PORT": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "scripts.demo", "--json"],
        env={**os.environ, **strange},
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert (told["ok"], told["error"]) == (True, None)
    steps = [step["name"] for step in told["steps"]]
    assert steps[-10:-1] == [
        *("order", "payment", "replay", "grant", "part refund", "full refund", "revoke"),
        *("lost answer", "invariants"),
    ]
    assert told["invariants"]
    assert not any(told["invariants"].values())
    assert sum(entry["amount"] for entry in told["ledger"]) == 0
    assert told["payment"]["refunded"] == told["payment"]["captured"] > 0
    assert told["timeline"][-1]["event"] == "games_revoked"
    assert told["pulumi"]["changes"]["create"] > 0
    assert set(told["pulumi"]["objects"]["Deployment"]) == {
        *("coinslot-api", "coinslot-worker"),
        *("coinslot-postgresql", "coinslot-valkey", "coinslot-simulator"),
    }
    assert b"\x1b" not in (demo.BUILD / "logs/api.log").read_bytes()


async def test_a_broken_expectation_names_its_step() -> None:
    told: list[Step] = []
    story = Story(told.append)
    with pytest.raises(ExpectationError, match="payment: expected one charge, not 2"):
        async with story.step("payment"):
            expect(len(told) == 1, "one charge, not 2")
    assert told == []
    assert story.record.steps == []


def test_a_failed_demo_says_so_and_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo._end(False, Record(), "payment: expected one charge") == 1  # noqa: FBT003
    assert capsys.readouterr().err == "demo: payment: expected one charge\n"
    assert demo._end(True, Record(), "payment: expected one charge") == 1  # noqa: FBT003
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_without_a_terminal_there_are_no_escape_codes(tmp_path: Path) -> None:
    script = (
        "from scripts import console, demo\n"
        "from scripts.story import Record\n"
        "screen = console.make()\n"
        "console.done(screen, 'payment', 0.1, 'done')\n"
        "screen.print(demo._invariants(Record(invariants={'unbalanced_ledger': 0})))\n"
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
