"""The image from inside: nobody in particular, no setuid file, installer, compiler or secret."""

import json
from pathlib import Path
from typing import Final

from scripts.image.engines import Container
from scripts.platform.processes import spawn

LOOK: Final = Path(__file__).with_name("look.py")
USER: Final = 10001
WRITABLE: Final = {"/tmp", "/var/tmp", "/run/lock"}  # noqa: S108  every Debian has them
TIMEOUT_S: Final = 120.0  # it reads every small file of a Debian: two seconds when idle
MANY_FILES: Final = 1_000
"""Fewer than in any image with a Python: then it looked at something else."""
WORDS: Final = {
    "setuid": "runs with its owner's rights (setuid or setgid)",
    "compilers": "is a compiler or linker",
    "installers": "is a package installer",
    "secrets": "looks like a secret or a private key",
    "settings": "is a secret's setting that the image brings along",
    "writable": "can be written to",
}

Found = dict[str, list[str]]


def look(container: Container, folder: Path) -> Found:
    """Look through a container's files; raise ProcessDiedError when it says nothing."""
    log = folder / "look.log"
    child = spawn("look", container(("python3", "-c", LOOK.read_text()), {}), log=log)
    child.wait(TIMEOUT_S)
    lines = [line for line in child.tail().splitlines() if line.startswith("LOOK ")]
    if not lines:
        raise child.died()
    found: Found = json.loads(lines[0].removeprefix("LOOK "))
    return found


def problems(found: Found) -> list[str]:
    """Return what is wrong with what was seen inside."""
    wrong = [
        f"{path} {words}"
        for kind, words in WORDS.items()
        for path in found[kind]
        if kind != "writable" or path not in WRITABLE
    ]
    if found["user"] != [str(USER), str(USER)]:
        wrong.append(f"runs as {':'.join(found['user'])}, not {USER}:{USER}")
    if (seen := int(found["files"][0])) < MANY_FILES:
        wrong.append(f"only {seen} files were seen; that is not the image")
    return wrong
