"""The benchmark as a command: one short round, its JSON and its exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(300)
def test_a_round_of_ours_and_pgbench(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    command = [
        *(sys.executable, "-m", "bench", "--rounds", "1", "--seconds", "1", "--history", "1000"),
        *("--connections", "64", "--sides", "pgbench", "ours", "--out", str(out), "--json"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode in (0, 1), done.stderr  # 1: a machine that tests miss a bar
    assert json.loads(done.stdout) == json.loads(out.read_text())
    assert "bench: 3 of 4, " in done.stderr  # two sides are counted, then measured
    found = json.loads(done.stdout)
    assert found["ratios"]["pgbench"]["median"] > 0
    assert done.returncode == (0 if found["passed"] else 1)
    assert {turn["side"] for turn in found["rounds"][0]["measured"]} == {"pgbench", "ours"}
    assert {each["side"]: round(each["statements"]) for each in found["counted"]} == {
        "pgbench": 2,
        "ours": 0,  # payments share their statements
    }


def test_a_side_that_nobody_knows_is_refused() -> None:
    command = [sys.executable, "-m", "bench", "--sides", "cobol"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "invalid choice: 'cobol'" in done.stderr
