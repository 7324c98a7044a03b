"""promtool and amtool, the real programs, to check rules and routes."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TIMEOUT_S = 240  # a week of scenarios takes ten seconds; a busy machine may need a few minutes

Tool = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def promtool() -> Tool:
    """Run promtool with the given arguments; its output is not checked here."""
    return tool("promtool")


@pytest.fixture(scope="session")
def amtool() -> Tool:
    """Run amtool with the given arguments; its output is not checked here."""
    return tool("amtool")


def tool(name: str) -> Tool:
    """Return what runs a tool of this clone, or of the machine; fail if there is none."""
    places = (ROOT / ".tools" / "bin", ROOT / ".venv" / "bin", os.environ.get("PATH", ""))
    path = shutil.which(name, path=os.pathsep.join(map(str, places)))
    if path is None:
        pytest.fail(f"{name} is missing; `tools/bootstrap {name}` gets it", pytrace=False)
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
