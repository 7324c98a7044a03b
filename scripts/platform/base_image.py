"""A substitute for python:3.11-slim-bookworm, made of Debian's own packages.

Where no Docker engine can pull the official base, debootstrap makes the same system with Debian's
Python 3.11. What would differ from build to build, or is of no use in a container, is removed.
"""

import re
import shutil
import tempfile
from pathlib import Path
from typing import Final

from scripts.bootstrap.commands import Commands
from scripts.platform.containers import Buildah, Progress

IMAGE: Final = "localhost/python:3.11-slim-bookworm"
SUITE: Final = "bookworm"
PACKAGES: Final = ("ca-certificates", "netbase", "python3", "python3-venv")
TIMEOUT_S: Final = 15 * 60.0  # one minute when the mirror is near
EMPTIED: Final = (
    *("var/lib/apt/lists", "var/cache", "var/log"),
    *("usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/lintian"),
)
BLANKED: Final = ("etc/machine-id", "etc/resolv.conf", "etc/hostname")


def make(engine: Buildah, binaries: Path, commands: Commands, progress: Progress) -> None:
    with tempfile.TemporaryDirectory(prefix="coinslot-base-") as scratch:
        root = Path(scratch) / "root"
        options = ("--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE)
        commands.run(
            (binaries / "debootstrap", *options, root, *_mirror(commands)),
            log="base.log",
            timeout=TIMEOUT_S,
            on_line=progress,
        )
        slim(root)
        engine.import_root(root, IMAGE)


def slim(root: Path) -> None:
    """Remove what is of no use in a container or differs between two builds."""
    for folder in EMPTIED:
        for path in (root / folder).glob("*"):
            _remove(path)
    for path in (root / "usr/share/doc").rglob("*"):
        if path.is_file() and path.name != "copyright":
            path.unlink()
    for path in [*root.rglob("__pycache__"), *root.rglob("etc/*-"), *root.rglob("*-old")]:
        _remove(path)
    for name in BLANKED:
        (root / name).write_text("")
    (root / "usr/bin/python").symlink_to("python3")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _mirror(commands: Commands) -> list[str]:
    """Return the mirror that this machine's apt uses for the suite, or leave it to debootstrap."""
    targets = commands.run(
        ("apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Identifier: Packages"),
        log="base.log",
        timeout=60,
    )
    found = re.search(rf"^{SUITE} (\S*debian/?)$", targets, re.MULTILINE)
    return [found[1]] if found else []
