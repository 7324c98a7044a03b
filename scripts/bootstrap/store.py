"""Where things are kept: the user's cache, this clone's links to it, and the locks on both."""

import fcntl
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.bootstrap.commands import BootstrapError, Commands

LOCK_TIMEOUT_SECONDS: Final = 45 * 60.0  # longer than the longest build that another may be at
LOCK_POLL_SECONDS: Final = 0.2  # flock cannot be awaited and canceled at the same time


def cache_home(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder that all clones of one user share."""
    base = environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME", "~")) / ".cache"
    return Path(base).expanduser() / "coinslot"


@contextmanager
def locked(path: Path, commands: Commands, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold an exclusive lock; the kernel frees it even when the holder is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        deadline = time.monotonic() + LOCK_TIMEOUT_SECONDS
        for tried in itertools.count():
            with suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if not tried:
                on_wait()
            if time.monotonic() > deadline:
                raise BootstrapError(f"another bootstrap holds {path} for too long: end it first")
            commands.canceled.wait(LOCK_POLL_SECONDS)
            commands.check()
        yield


def once(
    folder: Path, commands: Commands, on_wait: Callable[[], None], fill: Callable[[Path], None]
) -> Path:
    """Let `fill` make a folder of the cache that is not there yet; one process at a time."""
    if not folder.is_dir():
        with locked(folder.parents[1] / "locks" / f"{folder.name}.lock", commands, on_wait):
            if not folder.is_dir():
                fill(folder)
    return folder


@contextmanager
def published(target: Path) -> Iterator[Path]:
    """Give an empty folder that becomes `target` in one rename when the block succeeds.

    The caller holds the lock of `target`, so leftovers of a killed run can be removed here.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{target.name}."
    for leftover in target.parent.glob(f"{prefix}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
    try:
        yield draft
        draft.chmod(0o755)  # mkdtemp makes it private; a cache may be shared by a CI user
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def link(path: Path, target: Path) -> None:
    """Make `path` a symbolic link to `target`, replacing what is there in one rename."""
    if path.is_symlink() and path.readlink() == target:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=path.parent))
    try:
        (draft / path.name).symlink_to(target)
        (draft / path.name).replace(path)
    finally:
        draft.rmdir()


@dataclass(frozen=True)
class Stamps:
    """Remembers under which key each thing of this clone was made."""

    folder: Path

    def matches(self, name: str, key: str) -> bool:
        try:
            return (self.folder / name).read_text() == key
        except OSError:
            return False

    def write(self, name: str, key: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(key)  # half a key matches nothing

    def forget(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
