"""Run a program of PostgreSQL as a user that it accepts, with nothing but the kernel's help.

It refuses root, and a user id without a name, such as a container has. As root it also asks, with
access(2), whether it may run its own files, which a folder of root's alone denies to anybody else.
`python -I -S unprivileged.py FOLDER PROGRAM …` becomes PROGRAM by exec, so that its pid and its
signals are the caller's. PROGRAM owns FOLDER and all in it, and runs

1. for root: as `nobody`, with the capability to enter every folder, which access(2) respects; or,
   where a container withholds that, and for a user without a name:
2. as the same user in a user namespace that calls it `nobody`.
"""

import ctypes
import os
import pwd
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

NOBODY: Final = 65_534  # of every Linux, by the kernel's own default for ids without a name
CANNOT_RUN: Final = 126  # what a shell answers for a program that it may not run

CAP_DAC_OVERRIDE: Final = 1
CAPABILITIES_VERSION_3: Final = 0x20080522
CLONE_NEWUSER: Final = 0x10000000
PR_SET_SECUREBITS: Final = 28
SECBIT_NO_SETUID_FIXUP: Final = 1 << 2
"""Changing ids keeps capabilities, and access(2) looks at them: capabilities(7)."""
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_RAISE: Final = 2

ADVICE: Final = "run as a normal user with a name, or set DATABASE_URL to a server of your own"

_libc = ctypes.CDLL(None, use_errno=True)


def command(folder: Path) -> tuple[str, ...]:
    """Return what to put before a command of PostgreSQL, which then owns the folder."""
    if os.geteuid() != 0 and _has_name():
        return ()
    return (sys.executable, "-I", "-S", __file__, str(folder))


def _has_name() -> bool:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return True


def main(arguments: list[str]) -> int:
    """Become the program; return only if that can't be."""
    folder, program, *_ = arguments
    us = os.geteuid()
    ways = ((_call_us_nobody, us),) if us else ((_become_nobody, NOBODY), (_call_us_nobody, us))
    reasons = []
    for become, owner in ways:
        try:
            _try(become, program)
            _give(folder, owner)
        except OSError as error:
            reasons.append(str(error))
            continue
        become()
        os.execv(program, arguments[1:])  # noqa: S606  as it is: no shell
    print(f"{program} can't run: {'; '.join(reasons)}; {ADVICE}", file=sys.stderr)
    return CANNOT_RUN


def _try(become: Callable[[], None], program: str) -> None:
    """Try it in a child, as there is no way back; raise OSError if that may not run the program."""
    source, sink = os.pipe()
    if (child := os.fork()) == 0:
        try:
            become()
            allowed = os.access(program, os.R_OK | os.X_OK)  # as initdb asks
            os.write(sink, b"" if allowed else f"user {os.geteuid()} may not run it".encode())
        except (OSError, AttributeError) as error:  # the latter: a libc without the call
            os.write(sink, f"{become.__name__.strip('_')}: {error}".encode())
        os._exit(0)
    os.close(sink)
    with open(source) as reader:  # noqa: PTH123  a descriptor
        reason = reader.read()
    os.waitpid(child, 0)
    if reason:
        raise OSError(reason)


def _become_nobody() -> None:
    """Change to nobody, with the capability to pass over the permissions of files."""
    with suppress(OSError):  # a container may lack it; then only what everybody may enter will do
        _prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    with suppress(OSError):
        _keep_capability(CAP_DAC_OVERRIDE)


def _call_us_nobody() -> None:
    """Enter a user namespace in which our own uid and gid are nobody's."""
    user, group = os.geteuid(), os.getegid()
    _checked(_libc.unshare(CLONE_NEWUSER))
    Path("/proc/self/setgroups").write_text("deny")  # the kernel's condition for a map of groups
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {group} 1")


def _give(folder: str, user: int) -> None:
    """Make the user the owner of a folder and all in it, unless it is."""
    if os.stat(folder).st_uid == user:  # noqa: PTH116  as fwalk speaks
        return
    for _, folders, files, top in os.fwalk(folder):
        for name in (*folders, *files):
            os.chown(name, user, -1, dir_fd=top, follow_symlinks=False)
    os.chown(folder, user, -1)  # last: it says that the others were done


def _keep_capability(number: int) -> None:
    """Have this capability and no other, also after an exec."""
    header = (ctypes.c_uint32 * 2)(CAPABILITIES_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(*[1 << number] * 3, 0, 0, 0)  # the low halves, the high halves
    _checked(_libc.capset(header, sets))
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number)


def _prctl(option: int, *values: int) -> None:
    padded = (*values, 0, 0, 0, 0)[:4]
    _checked(_libc.prctl(option, *map(ctypes.c_ulong, padded)))


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
