"""Child processes that never outlive their parent, not even when it is killed with -9.

Each child has a lifeline: a small shell that waits on a pipe which only the parent holds open. When
the parent ends, however it ends, the pipe closes and the lifeline stops the child. PR_SET_PDEATHSIG
fires when the thread that started the child ends, which breaks under asyncio's executors.
"""

import asyncio
import os
import signal
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LIFELINE: Final = """
cat >/dev/null
kill -"$2" "$1" 2>/dev/null || exit 0
tries=0
while kill -0 "$1" 2>/dev/null && [ "$tries" -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
kill -KILL "$1" 2>/dev/null
[ -z "$3" ] || rm -rf "$3"
"""
STOP_TIMEOUT_S: Final = 10.0  # a database's fast shutdown, or a server that has nothing in flight
EXIT_POLL_S: Final = 0.05
REAP_TIMEOUT_S: Final = 5.0  # after SIGKILL only the kernel's work is left


class ProcessDiedError(Exception):
    """A child ended by itself; the message has its last lines."""


@dataclass
class Child:
    name: str
    _process: "subprocess.Popen[bytes]"
    log: Path
    stop_signal: signal.Signals
    _lifeline: "subprocess.Popen[bytes] | None" = None

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; below 0 when a signal ended it."""
        return self._process.poll()

    def attach_lifeline(self, discard: Path | None) -> None:
        self._lifeline = subprocess.Popen(
            [
                *("/bin/sh", "-c", LIFELINE, "lifeline"),
                *(str(self.pid), self.stop_signal.name.removeprefix("SIG"), str(discard or "")),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Ask it to stop, insist after `timeout_s`, and return its exit code."""
        self._cut_lifeline()  # first: once the child is reaped its pid may be another's
        self.signal(self.stop_signal)
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        self._cut_lifeline()
        self._process.kill()
        return self._process.wait(REAP_TIMEOUT_S)

    def wait(self, timeout_s: float) -> int:
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"{self.name} still runs after {timeout_s:g} s") from error

    async def exited(self) -> int:
        while (code := self.returncode) is None:  # noqa: ASYNC110  a process sets no event
            await asyncio.sleep(EXIT_POLL_S)
        return code

    def tail(self, lines: int = 20) -> str:
        return tail(self.log, lines)

    def died(self) -> ProcessDiedError:
        ended = self.returncode
        return ProcessDiedError(
            f"{self.name} ended with exit code {ended}; its last lines ({self.log}):\n{self.tail()}"
        )

    def _cut_lifeline(self) -> None:
        if self._lifeline is None:
            return
        self._lifeline.kill()
        self._lifeline.wait(REAP_TIMEOUT_S)
        if self._lifeline.stdin is not None:
            self._lifeline.stdin.close()
        self._lifeline = None


def spawn(
    name: str,
    command: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    stop_signal: signal.Signals = signal.SIGTERM,
    discard: Path | None = None,
) -> Child:
    """Start `command` in a session of its own, its output appended to `log`.

    In its own session a Ctrl-C in the terminal reaches only the parent, which then stops its
    children in the right order. `discard` is removed when the parent is killed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(os.environ if env is None else env),
            start_new_session=True,
        )
    if process.stdin is not None:
        process.stdin.write(stdin)
        process.stdin.close()
    child = Child(name, process, log, stop_signal)
    child.attach_lifeline(discard)
    return child


def tail(log: Path, lines: int = 20) -> str:
    try:
        with log.open(errors="replace") as file:
            return "".join(deque(file, maxlen=lines)).rstrip()
    except FileNotFoundError:
        return ""
