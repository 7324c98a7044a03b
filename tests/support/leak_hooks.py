"""The end of a test run: it fails if a process has put a secret into its output."""

from pathlib import Path
from typing import Final

import pytest

from tests.support.leaks import Leak, leaks_below

MAX_SHOWN: Final = 20
_FOUND: Final = pytest.StashKey[list[Leak]]()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Search the logs of all test processes; the one that runs them all sees all."""
    if hasattr(session.config, "workerinput"):
        return
    folder: Path = session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    found, _ = leaks_below(folder)
    session.config.stash[_FOUND] = found
    if found:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Name the places, and no more of the secrets than it takes to know them."""
    if found := config.stash.get(_FOUND, []):
        terminalreporter.section("secrets in the output", red=True)
        for leak in found[:MAX_SHOWN]:
            terminalreporter.write_line(str(leak))
        terminalreporter.write_line(f"{len(found)} in all")
