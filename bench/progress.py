"""What the benchmark is at, on stderr: a line for each turn, and on a terminal one that moves."""

import sys
import time
from typing import Final

CLEARED: Final = "\r\x1b[K"
"""A terminal's line, empty again."""


class Progress:
    """Counts turns; how long the others will take is told from those that have ended."""

    def __init__(self, turns: int) -> None:
        self._turns = turns
        self._ended = 0
        self._started = time.monotonic()

    def begin(self, what: str) -> None:
        """Show on a terminal what has begun."""
        if sys.stderr.isatty():
            left = self._minutes_left()
            self._write(f"{CLEARED}bench: {self._ended + 1} of {self._turns}, {what}{left} ...")

    def end(self, what: str) -> None:
        """Say what came of it."""
        self._ended += 1
        self.say(f"{self._ended} of {self._turns}, {what}{self._minutes_left()}")

    def say(self, text: str) -> None:
        """Write a line that stays."""
        self._write(f"{CLEARED if sys.stderr.isatty() else ''}bench: {text}\n")

    def _minutes_left(self) -> str:
        left = self._turns - self._ended
        if not self._ended or not left:
            return ""
        took_s = time.monotonic() - self._started
        return f"; {took_s / self._ended * left / 60:.0f} min left"

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
