"""promtool, the real one: rules are judged by Prometheus itself."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TIMEOUT_S = 240  # a week of scenarios takes ten seconds; a busy machine may need a few minutes

Promtool = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def promtool() -> Promtool:
    """Run promtool with the given arguments; its output is not checked here."""
    places = (ROOT / ".tools" / "bin", ROOT / ".venv" / "bin", os.environ.get("PATH", ""))
    path = shutil.which("promtool", path=os.pathsep.join(map(str, places)))
    if path is None:
        pytest.fail("promtool is missing; `scripts/bootstrap promtool` gets it", pytrace=False)
    binary = path

    def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            (binary, *arguments),
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    return run
