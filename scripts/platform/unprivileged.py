"""How to run a program of PostgreSQL as a user that it accepts, with util-linux.

It refuses root, and a user id without a name, such as a container has. As root it also asks, with
access(2), whether it may run its own files, which a folder of root's alone denies to anybody else.
Each prefix becomes the program by exec, so that its pid and its signals are the caller's.
"""

import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import Final

NOBODY: Final = 65_534  # of every Linux, by the kernel's own default for ids without a name
TIMEOUT_S: Final = 10.0  # prints its version
USUAL_PATH: Final = "/usr/bin:/bin"  # where util-linux is, whatever PATH has

AS_NOBODY: Final = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
PASSING: Final = (
    "--securebits=+no_setuid_fixup",  # else access(2) looks at no capability: capabilities(7)
    "--inh-caps=-all,+dac_override",
    "--ambient-caps=-all,+dac_override",
)
"""With the capability to enter every folder, which a container may withhold."""
CALLED_NOBODY: Final = ("unshare", f"--map-user={NOBODY}", f"--map-group={NOBODY}")
"""The same user, in a user namespace that calls it nobody."""


def prefix(folder: Path, program: Path) -> tuple[str, ...]:
    """Return what to put before a command of the program, which then owns the folder.

    Raises OSError with a remedy when nobody that it accepts may run it.
    """
    us = os.geteuid()
    if us != 0 and _has_name():
        return ()
    ways: list[tuple[tuple[str, ...], int]] = [(CALLED_NOBODY, us)]
    if us == 0:
        ways = [((*AS_NOBODY, *PASSING), NOBODY), (AS_NOBODY, NOBODY), *ways]
    reasons = []
    for (name, *options), owner in ways:
        path = os.pathsep.join(filter(None, (os.environ.get("PATH"), USUAL_PATH)))
        command = (shutil.which(name, path=path) or name, *options)
        try:
            _try((*command, str(program)))
            _give(folder, owner)
        except (OSError, subprocess.TimeoutExpired) as error:
            reasons.append(str(error))
        else:
            return command
    raise OSError(
        f"{program} can't run: {'; '.join(reasons)}; "
        "run as a normal user with a name, or set DATABASE_URL to a server of your own"
    )


def _has_name() -> bool:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return True


def _try(command: tuple[str, ...]) -> None:
    """Let the program print its version; raise OSError if it can't."""
    done = subprocess.run(
        (*command, "--version"), capture_output=True, text=True, check=False, timeout=TIMEOUT_S
    )
    if done.returncode:
        raise OSError(done.stderr.strip())


def _give(folder: Path, user: int) -> None:
    if folder.stat().st_uid == user:
        return
    for path in folder.rglob("*"):
        os.chown(path, user, -1, follow_symlinks=False)
    os.chown(folder, user, -1)  # last: it says that the others were done
