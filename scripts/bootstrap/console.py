"""Says what goes on: one ticking line on a terminal, plain lines everywhere else."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TextIO

TICK_SECONDS: Final = 0.5
HEARTBEAT_SECONDS: Final = 20.0  # a log must show life well before a CI runner calls it hung


@dataclass
class Step:
    """One thing that takes time, and how far it is."""

    title: str
    detail: str = ""
    started: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        detail = f", {self.detail}" if self.detail else ""
        return f"{self.title} {clock(time.monotonic() - self.started)}{detail}"


def clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"


class Console:
    """Writes to stderr, so that a target's own output stays clean on stdout."""

    def __init__(self, stream: TextIO | None = None, name: str = "bootstrap") -> None:
        self._name = name
        self._stream = stream or sys.stderr
        self._ticking = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._lock = threading.Lock()
        self._steps: list[Step] = []
        self._stop = threading.Event()

    def log(self, text: str) -> None:
        with self._lock:
            self._wipe()
            print(f"{self._name}: {text}", file=self._stream, flush=True)

    @contextmanager
    def step(self, title: str, usually: str) -> Iterator[Step]:
        """Announce a step, keep showing it while it runs, and say how long it took."""
        step = Step(title)
        self.log(f"{title} (usually {usually})")
        with self._lock:
            self._steps.append(step)
        try:
            yield step
            self.log(f"{title}: done in {clock(time.monotonic() - step.started)}")
        finally:
            with self._lock:
                self._steps.remove(step)

    @contextmanager
    def alive(self) -> Iterator[None]:
        ticker = threading.Thread(target=self._run, daemon=True)
        ticker.start()
        try:
            yield
        finally:
            self._stop.set()
            ticker.join()
            with self._lock:
                self._wipe()

    def _run(self) -> None:
        while not self._stop.wait(TICK_SECONDS if self._ticking else HEARTBEAT_SECONDS):
            with self._lock:
                self._show()

    def _show(self) -> None:
        if self._ticking:
            self._wipe()
            line = " | ".join(str(step) for step in self._steps)
            width = os.get_terminal_size(self._stream.fileno()).columns - 1
            print(line[:width], end="", file=self._stream, flush=True)
            return
        for step in self._steps:
            print(f"{self._name}:   {step}", file=self._stream, flush=True)

    def _wipe(self) -> None:
        if self._ticking:
            print("\r\033[K", end="", file=self._stream)
