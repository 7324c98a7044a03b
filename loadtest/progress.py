"""How a run goes, while it goes: the load generator writes it each second, the command shows it."""

import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TextIO

import msgspec

from loadtest.profile import Profile

USUAL_COLUMNS: Final = 80  # of a terminal that does not know its width
PLAIN_INTERVAL_S: Final = 15.0
"""A log file gets a line this often; a terminal has one line, which moves."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The last ten seconds of a run, and all failures so far."""

    elapsed_s: float
    users: int
    requests_s: float
    p95_ms: float | None
    failures: int

    def write(self, path: Path) -> None:
        """Store it in one step, so that a reader never sees half of it."""
        new = path.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(self))
        new.replace(path)


def read_progress(path: Path) -> Progress | None:
    """Return what was written last; None before the first user has started."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Progress)
    except FileNotFoundError:
        return None


def line(profile: Profile, progress: Progress | None) -> str:
    """Return the progress in words."""
    if progress is None:
        return "starting the load generator"
    left_s = profile.duration_s - progress.elapsed_s
    p95 = "-" if progress.p95_ms is None else f"{progress.p95_ms:.0f} ms"
    left = f"{left_s:.0f} s left" if left_s > 0 else "finishing"
    return (
        f"{progress.elapsed_s:.0f} of {profile.duration_s} s, {progress.users} users, "
        f"{progress.requests_s:.0f} requests/s, P95 {p95}, {progress.failures} failed, {left}"
    )


@dataclass
class MovingLine:
    """Progress: on a terminal one line that moves, elsewhere a line now and then."""

    out: TextIO = field(default_factory=lambda: sys.stderr)
    _shown_at: float = -PLAIN_INTERVAL_S

    def show(self, text: str) -> None:
        """Show it, if it is time to."""
        if self.out.isatty():
            width = (os.get_terminal_size(self.out.fileno()).columns or USUAL_COLUMNS) - 1
            self.out.write(f"\r{f'  {text}':<{width}.{width}}")
        elif time.monotonic() - self._shown_at >= PLAIN_INTERVAL_S:
            self._shown_at = time.monotonic()
            self.out.write(f"  {text}\n")
        self.out.flush()

    def end(self) -> None:
        """Leave the moving line."""
        if self.out.isatty():
            self.out.write("\n")


@dataclass
class ProgressLine:
    """Shows the progress of a run of users."""

    profile: Profile
    out: TextIO = field(default_factory=lambda: sys.stderr)

    def __post_init__(self) -> None:
        self._line = MovingLine(self.out)

    def show(self, progress: Progress | None) -> None:
        """Show it, if it is time to."""
        if progress is not None or self.out.isatty():
            self._line.show(line(self.profile, progress))

    def end(self) -> None:
        """Leave the moving line."""
        self._line.end()
