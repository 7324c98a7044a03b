"""Progress: a moving line on a terminal, a line now and then in a log file."""

import io
import os
import pty
import termios
from pathlib import Path

import pytest

from loadtest.profile import SMOKE
from loadtest.progress import Progress, ProgressLine, line, read_progress

GOING = Progress(elapsed_s=20.4, users=20, requests_s=41.2, p95_ms=37.0, failures=2)


def test_progress_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    assert read_progress(path) is None
    GOING.write(path)
    assert read_progress(path) == GOING
    assert [one.name for one in tmp_path.iterdir()] == ["progress.json"]


def test_the_line_has_users_speed_failures_and_the_time_left() -> None:
    assert line(SMOKE, GOING) == (
        "20 of 60 s, 20 users, 41 requests/s, P95 37 ms, 2 failed, 40 s left"
    )
    assert line(SMOKE, None) == "starting the load generator"
    ending = Progress(elapsed_s=61.0, users=0, requests_s=3.0, p95_ms=None, failures=0)
    assert line(SMOKE, ending).endswith("P95 -, 0 failed, finishing")


def test_a_log_file_gets_a_line_now_and_then() -> None:
    out = io.StringIO()
    shown = ProgressLine(SMOKE, out)
    shown.show(None)
    for _ in range(5):
        shown.show(GOING)
    shown.end()
    assert out.getvalue() == f"  {line(SMOKE, GOING)}\n"


@pytest.mark.parametrize(("columns", "shown"), [(0, 80), (40, 40)])
def test_a_terminal_has_one_line_which_moves_and_never_wraps(columns: int, shown: int) -> None:
    ours, theirs = pty.openpty()
    with open(theirs, "w") as out:  # noqa: PTH123  a descriptor
        termios.tcsetwinsize(theirs, (24, columns))
        lines = ProgressLine(SMOKE, out)
        lines.show(GOING)
        lines.show(GOING)
        lines.end()
        seen = b""
        while not seen.endswith(b"\n"):  # a terminal hands on what it has so far
            seen += os.read(ours, 1_000)
    os.close(ours)
    assert seen.count(b"\r") == 3  # the last one is the terminal's, before its line feed
    assert {len(line) for line in seen.decode().strip("\r\n").split("\r")} == {shown - 1}
