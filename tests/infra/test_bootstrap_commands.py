"""A program that bootstrap runs ends with its deadline, with a cancellation and with Ctrl-C."""

import os
import threading
from pathlib import Path

import pytest

from scripts.bootstrap.commands import CanceledError, Commands, UnavailableError

FOREVER = ("/bin/sh", "-c", "echo $$; exec sleep 600")


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path / "logs")


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_what_was_printed_is_returned_and_logged(commands: Commands, tmp_path: Path) -> None:
    message = commands.run(("/bin/sh", "-c", "echo out; echo err >&2"), log="x.log", timeout=10)
    assert message == "out\nerr\n"
    assert (tmp_path / "logs" / "x.log").read_text() == message


def test_a_failure_has_the_last_lines_and_the_logs_path(commands: Commands) -> None:
    with pytest.raises(UnavailableError, match=r"^c / d / e \(all of it in .*/x\.log\)$"):
        commands.run(
            ("/bin/sh", "-c", "printf 'a\\nc\\nd\\ne\\n'; exit 3"), log="x.log", timeout=10
        )


def test_a_program_that_is_not_there_is_named(commands: Commands) -> None:
    with pytest.raises(UnavailableError, match="`/nowhere/tool` did not start"):
        commands.run(("/nowhere/tool",), log="x.log", timeout=10)


def test_a_deadline_ends_it(commands: Commands) -> None:
    pids: list[int] = []
    with pytest.raises(UnavailableError, match="did not end within 0 s"):
        commands.run(FOREVER, log="x.log", timeout=0.4, on_line=lambda line: pids.append(int(line)))
    assert all(map(gone, pids))


def test_ctrl_c_ends_it(commands: Commands) -> None:
    pids: list[int] = []

    def interrupted(line: str) -> None:
        pids.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        commands.run(FOREVER, log="x.log", timeout=30, on_line=interrupted)
    assert gone(pids[0])


def test_a_cancellation_from_another_thread_ends_it_and_refuses_more(commands: Commands) -> None:
    pids: list[int] = []
    started = threading.Event()

    def on_line(line: str) -> None:
        pids.append(int(line))
        started.set()

    def cancel() -> None:
        started.wait(30)
        commands.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(CanceledError):
        commands.run(FOREVER, log="x.log", timeout=30, on_line=on_line)
    canceller.join()
    assert gone(pids[0])
    with pytest.raises(CanceledError):
        commands.run(("/bin/true",), log="x.log", timeout=10)
