"""What the benchmark says of its progress, on a terminal and elsewhere."""

import io

import pytest

from bench.progress import CLEARED, Progress


class Screen(io.StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("bench.progress.time.monotonic", lambda: now[0])
    return now


def run(monkeypatch: pytest.MonkeyPatch, clock: list[float], *, terminal: bool) -> str:
    screen = Screen(terminal=terminal)
    monkeypatch.setattr("sys.stderr", screen)
    shown = Progress(3)
    for side in ("pgbench", "ours", "bare"):
        shown.begin(side)
        clock[0] += 120
        shown.end(f"{side}: 900 payments/s")
    return screen.getvalue()


def test_a_log_has_a_line_a_turn_with_the_time_left(
    monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    assert run(monkeypatch, clock, terminal=False).splitlines() == [
        "bench: 1 of 3, pgbench: 900 payments/s; 4 min left",
        "bench: 2 of 3, ours: 900 payments/s; 2 min left",
        "bench: 3 of 3, bare: 900 payments/s",
    ]


def test_a_terminal_shows_what_has_begun_until_it_ends(
    monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    text = run(monkeypatch, clock, terminal=True)
    assert f"{CLEARED}bench: 2 of 3, ours; 4 min left ...{CLEARED}bench: 2 of 3, ours: 900" in text
    assert text.endswith("\n")
