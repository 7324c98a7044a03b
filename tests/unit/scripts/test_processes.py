"""Child processes: they stop when asked, when they won't, and when their parent is gone."""

import signal
import sys
import time
from pathlib import Path

import pytest

from scripts.platform.processes import Child, spawn

STUBBORN = (
    "import signal, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('ready', flush=True)\n"
    "time.sleep(60)\n"
)


def python(code: str, log: Path, **options: object) -> Child:
    return spawn("child", [sys.executable, "-c", code], log=log, **options)  # type: ignore[arg-type]


def until_said(child: Child, word: str) -> None:
    deadline = time.monotonic() + 10
    while word not in child.tail():
        assert time.monotonic() < deadline, child.tail()
        time.sleep(0.02)


async def test_the_exit_code_is_reported(tmp_path: Path) -> None:
    child = python("import sys; print('bye'); sys.exit(3)", tmp_path / "log")
    assert await child.exited() == 3
    error = child.died()
    child.stop()
    assert "child ended with exit code 3" in str(error)
    assert str(error).endswith("bye")


def test_a_child_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    child = python(STUBBORN, tmp_path / "log")
    until_said(child, "ready")
    assert child.stop(0.2) == -signal.SIGKILL


def test_a_child_stops_by_its_own_signal(tmp_path: Path) -> None:
    child = python(
        "import time; print('ready', flush=True); time.sleep(60)",
        tmp_path / "log",
        stop_signal=signal.SIGINT,
    )
    until_said(child, "ready")
    assert child.stop() in (130, 1, -signal.SIGINT)
    assert "KeyboardInterrupt" in child.tail()


def test_what_is_sent_to_stdin_arrives_whole(tmp_path: Path) -> None:
    child = python("import sys; print(len(sys.stdin.read()))", tmp_path / "log", stdin=b"x" * 9000)
    assert child.wait(10) == 0
    child.stop()
    assert child.tail() == "9000"


def test_waiting_has_a_limit(tmp_path: Path) -> None:
    child = python("import time; time.sleep(60)", tmp_path / "log")
    with pytest.raises(TimeoutError, match=r"child still runs after 0\.1 s"):
        child.wait(0.1)
    assert child.kill() == -signal.SIGKILL


def test_a_missing_log_has_no_lines(tmp_path: Path) -> None:
    child = python("", tmp_path / "log")
    child.wait(10)
    child.stop()
    (tmp_path / "log").unlink()
    assert child.tail() == ""
