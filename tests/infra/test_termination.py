"""SIGTERM to a real `up`: the engine ends in good order, and leaves no lock and no process."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from scripts import console
from tests.support.clones import Clone, clone

WAIT_S = 60.0  # an interpreter, the engine and a program start, on a busy machine
PROGRAM = """\
import os, threading
import pulumi

phase = "preview" if pulumi.runtime.is_dry_run() else "up"
if phase == os.environ["WAITS_IN"]:
    with open(os.environ["TELLS"], "w") as pipe:
        pipe.write(phase)
    threading.Event().wait()
"""


@pytest.fixture(autouse=True)
def hung_up() -> Iterator[None]:
    """Let a SIGHUP be heard by what we start, also where `nohup` has started us."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def made(tmp_path: Path) -> Clone:
    """Give a clone whose program says when it runs, and then waits for ever."""
    (tmp_path / "state").mkdir()
    os.mkfifo(tmp_path / "pipe")
    environ = {
        "PULUMI_BACKEND_URL": (tmp_path / "state").as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "development",
        "TELLS": str(tmp_path / "pipe"),
    }
    copy = clone(tmp_path, environ)
    (copy.root / "infra" / "__main__.py").write_text(PROGRAM)
    return copy


@contextmanager
def updating(made: Clone, waits_in: str) -> Iterator["subprocess.Popen[str]"]:
    """Run `up` until its program waits; end whatever is left of it at last."""
    pipe = os.open(made.environ["TELLS"], os.O_RDWR | os.O_NONBLOCK)
    process = subprocess.Popen(
        (sys.executable, "-m", "scripts.deploy.stack", "up", "local"),
        cwd=made.root,
        env={**os.environ, **made.environ, "WAITS_IN": waits_in},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    try:
        assert select.select([pipe], [], [], WAIT_S)[0], "the program has not run"
        assert os.read(pipe, 64).decode() == waits_in
        yield process
    finally:
        os.close(pipe)
        process.kill()
        for each in left(made):
            each.kill()
        process.communicate(timeout=WAIT_S)


def left(made: Clone) -> list[psutil.Process]:
    """Return the processes that the command has started, directly or not."""
    found = []
    for each in psutil.process_iter():
        try:
            if each.environ().get("TELLS") == made.environ["TELLS"]:
                found.append(each)
        except psutil.Error:  # it is gone, or another user's
            continue
    return found


def locks(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "state" / ".pulumi" / "locks").rglob("*.json"))


@pytest.mark.timeout(300)  # two runs of the engine, on a busy machine
@pytest.mark.parametrize(
    ("phase", "signals"),
    [
        ("preview", [signal.SIGTERM]),
        ("up", [signal.SIGTERM, signal.SIGTERM]),  # `make` passes on what the group gets, too
        ("up", [signal.SIGHUP]),
        ("up", [signal.SIGINT]),
    ],
)
def test_a_signal_ends_the_engine_and_frees_the_stack(
    made: Clone, tmp_path: Path, phase: str, signals: list[signal.Signals]
) -> None:
    with updating(made, phase) as process:
        assert len(locks(tmp_path)) == (phase == "up")
        assert len(left(made)) > 2
        for each in signals:
            os.kill(process.pid, each)
        _, said = process.communicate(timeout=WAIT_S)

        assert process.returncode == 128 + signals[0]
        assert said.splitlines()[-1] == "stack: interrupted; the state is saved"
        assert "Traceback" not in said
        assert locks(tmp_path) == []
        _, alive = psutil.wait_procs(left(made), WAIT_S)
        assert alive == []


@pytest.mark.timeout(300)  # four runs of the engine, on a busy machine
def test_an_engine_that_outlives_its_command_is_named_and_its_lock_removed_when_it_is_gone(
    made: Clone, tmp_path: Path
) -> None:
    with updating(made, "up") as process:
        process.kill()
        process.wait(WAIT_S)
        refused = made.run("scripts.deploy.stack", "unlock", "local")
        assert refused.code == console.FAILED
        assert "is at work; wait for it, or end it well: kill -INT" in refused.err
        assert len(locks(tmp_path)) == 1

        engine = psutil.Process(int(refused.err.rpartition(" ")[2]))
        engine.kill()
        engine.wait(WAIT_S)
        locked = made.run("scripts.deploy.stack", "refresh", "local")
        assert locked.code == console.FAILED
        assert "the stack is currently locked by 1 lock(s)" in locked.err + locked.out
        assert locked.err.endswith("nobody needs: make unlock STACK=local\n")

        freed = made.run("scripts.deploy.stack", "unlock", "local")
        assert freed.code == 0, freed.err
        assert f"(pid {engine.pid} on " in freed.out
        assert freed.out.endswith("local is free again\n")
        assert locks(tmp_path) == []
