"""Ctrl-C: the engine is asked once to end well, and a second time only by a second Ctrl-C.

The real engine and other signals: test_termination.py.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts import programs
from scripts.deploy import engine as engines
from scripts.deploy.engine import Engine, Event
from tests.infra.program import ROOT

WAIT_S = 30.0  # two interpreters start, on a busy machine

ENGINE = """\
#!{python}
import pathlib, signal, sys
if "ls" in sys.argv:
    print('[{{"name": "local"}}]')
    sys.exit()
if "history" in sys.argv:
    print("[]")
    sys.exit()
if "init" in sys.argv:  # a fresh clone has no stack yet
    sys.exit()
signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGINT}})
print("running", flush=True)
heard = 0
# The first is awaited for long; another one of the same key press would be here already.
while signal.sigtimedwait({{signal.SIGINT}}, {wait_s} if heard < {patience} else 0.5):
    heard += 1
    print("heard", heard, flush=True)
sys.exit(1)
"""
QUESTION = """\
#!{python}
import pathlib
folder = pathlib.Path({folder!r})
(folder / "asked").write_text("")
(folder / "go").read_text()
(folder / "answered").touch()
print('[{{"name": "local"}}]')
"""
TARGET = """\
import sys, pathlib
from scripts import programs
from scripts.deploy import engine
programs.BINARIES = pathlib.Path(sys.argv[1])
try:
    engine.Engine().run("up", "local")
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


class Clumsy:
    """A watcher that makes a mistake once the engine runs."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def look(self, events: Sequence[Event]) -> None:
        if "running" in self.log.read_text():
            raise KeyError(len(events))

    def succeeded(self, events: Sequence[Event]) -> None:
        raise AssertionError(events)

    def failed(self, events: Sequence[Event]) -> None:
        raise AssertionError(events)


@contextmanager
def running(folder: Path, engine: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a target as a terminal does, over an engine that is this script."""
    command = folder / "pulumi"
    command.write_text(engine)
    command.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-c", TARGET, folder],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=WAIT_S)


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("presses", [1, 2])
def test_each_ctrl_c_reaches_the_engine_once(tmp_path: Path, presses: int) -> None:
    engine = ENGINE.format(python=sys.executable, wait_s=WAIT_S, patience=presses)
    with running(tmp_path, engine) as process:
        assert line(process) == "running"
        for press in range(1, presses + 1):
            os.killpg(process.pid, signal.SIGINT)  # a terminal tells its whole group
            assert line(process) == f"heard {press}"

        assert line(process) == "interrupted"
        assert process.wait(WAIT_S) == 0


def test_a_question_is_let_finish_because_it_may_hold_a_lock(tmp_path: Path) -> None:
    """Both sides of a pipe wait until the other one has opened it."""
    for pipe in ("asked", "go"):
        os.mkfifo(tmp_path / pipe)
    question = QUESTION.format(python=sys.executable, folder=str(tmp_path))
    with running(tmp_path, question) as process:
        (tmp_path / "asked").read_text()
        os.killpg(process.pid, signal.SIGINT)
        (tmp_path / "go").write_text("")
        assert line(process) == "interrupted"
        assert process.wait(WAIT_S) == 0
    assert (tmp_path / "answered").exists()


def test_a_watcher_s_mistake_leaves_no_engine_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked to end as by Ctrl-C, and awaited."""
    command = tmp_path / "pulumi"
    command.write_text(ENGINE.format(python=sys.executable, wait_s=WAIT_S, patience=1))
    command.chmod(0o755)
    monkeypatch.setattr(programs, "BINARIES", tmp_path)
    monkeypatch.setattr(engines, "LOOK_S", 0.1)
    log = tmp_path / "log"
    with log.open("w") as output, pytest.raises(KeyError):
        Engine(output=output).run("up", "local", watcher=Clumsy(log))
    assert log.read_text() == "running\nheard 1\n"
