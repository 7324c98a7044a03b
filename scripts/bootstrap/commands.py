"""Runs other programs: no input, output into a log, an end on cancellation and on a deadline."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

GRACE_SECONDS: Final = 5.0  # compilers stop at once on SIGTERM; what does not is killed
TAIL_LINES: Final = 3
LineHandler = Callable[[str], None]


class BootstrapError(Exception):
    """Nothing more can be tried; the message says what to do."""


class UnavailableError(Exception):
    """One source cannot provide a tool; the message says why, and the next source is tried."""


class CanceledError(Exception):
    """Another step failed or the user pressed Ctrl-C; this one stops without a word."""


class Commands:
    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._lock = threading.RLock()  # a second Ctrl-C may come while the first one is handled
        self._running: set[subprocess.Popen[str]] = set()
        self.canceled = threading.Event()

    def cancel(self) -> None:
        self.canceled.set()
        with self._lock:
            for process in self._running:
                _end(process)

    def check(self) -> None:
        if self.canceled.is_set():
            raise CanceledError

    def run(
        self,
        command: Sequence[str | Path],
        *,
        log: str,
        timeout: float,
        env: Mapping[str, str] | None = None,
        on_line: LineHandler | None = None,
    ) -> str:
        """Run to the end and return what was printed.

        Raises UnavailableError with the last lines and the log's path when it fails or takes more
        than `timeout` seconds.
        """
        process = self._start(command, env)
        timed_out = threading.Event()

        def give_up() -> None:
            timed_out.set()
            _end(process)

        timer = threading.Timer(timeout, give_up)
        timer.daemon = True
        timer.start()
        try:
            lines = self._collect(process, log, on_line)
        finally:
            timer.cancel()
            with self._lock:
                self._running.discard(process)
        self.check()
        if timed_out.is_set():
            raise UnavailableError(f"`{command[0]}` did not end within {timeout:.0f} s")
        if process.returncode:
            tail = " / ".join(line.strip() for line in lines[-TAIL_LINES:])
            raise UnavailableError(f"{tail} (all of it in {self._logs / log})")
        return "".join(lines)

    def _start(
        self, command: Sequence[str | Path], env: Mapping[str, str] | None
    ) -> subprocess.Popen[str]:
        with self._lock:
            self.check()
            try:
                process = subprocess.Popen(
                    [str(part) for part in command],
                    env={**os.environ, **(env or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                    start_new_session=True,  # Ctrl-C reaches us alone, and we end the group
                )
            except OSError as error:
                raise UnavailableError(f"`{command[0]}` did not start: {error}") from error
            self._running.add(process)
            return process

    def _collect(
        self, process: subprocess.Popen[str], log: str, on_line: LineHandler | None
    ) -> list[str]:
        self._logs.mkdir(parents=True, exist_ok=True)
        lines = []
        with process, (self._logs / log).open("a") as out:
            try:
                for line in process.stdout or ():
                    lines.append(line)
                    out.write(line)
                    if on_line:
                        on_line(line)
            except BaseException:  # Ctrl-C among them: the child is in a session of its own
                _end(process)
                raise
        return lines


def _end(process: subprocess.Popen[str]) -> None:
    _signal_group(process, signal.SIGTERM)
    killer = threading.Timer(GRACE_SECONDS, _signal_group, (process, signal.SIGKILL))
    killer.daemon = True
    killer.start()


def _signal_group(process: subprocess.Popen[str], number: signal.Signals) -> None:
    if process.poll() is None:
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
