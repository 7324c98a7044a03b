"""Runs the checkers and clients that tools/bootstrap links into the venv."""

import subprocess
from pathlib import Path
from typing import Final

from scripts import ROOT

BINARIES: Final = ROOT / ".venv" / "bin"
TIMEOUT_S: Final = 60.0  # a second of work; a minute is for a machine that is swamped


class ProgramError(Exception):
    """A program is missing or doesn't do its work; the message says what to do."""


def path_of(name: str, component: str = "") -> Path:
    path = BINARIES / name
    if not path.exists():
        raise ProgramError(f"{path} is missing: run tools/bootstrap {component or name}")
    return path


def run(
    program: Path,
    *arguments: str,
    given: str = "",
    check: bool = False,
    timeout_s: float = TIMEOUT_S,
    name: str = "",
) -> str:
    """Return what a program prints; raise ProgramError, which calls it `name`.

    A checker has failed when it prints nothing, with `check` when its exit code says so.
    """
    name = name or program.name
    try:
        done = subprocess.run(
            (program, *arguments),
            input=given,
            capture_output=True,
            encoding="utf-8",
            errors="replace",  # a log has whatever bytes its program wrote
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ProgramError(f"{name} did not end within {timeout_s:g} s") from error
    except OSError as error:
        raise ProgramError(f"{name} can't be run: {error}") from error
    if done.returncode if check else not done.stdout:
        raise ProgramError(f"{name} failed: {done.stderr.strip()}")
    return done.stdout
