"""The image from inside: nobody in particular, no setuid file, installer, compiler or secret."""

import json
from pathlib import Path
from typing import Final

from scripts.audit.findings import Check
from scripts.image.confinement import USER
from scripts.image.engines import Container
from scripts.platform.processes import spawn

LOOK: Final = Path(__file__).with_name("look.py")
TIMEOUT_S: Final = 120.0  # it reads every small file of a Debian: two seconds when idle
MANY_FILES: Final = 1_000
"""Fewer than in any image with a Python: then it looked at something else."""

_WORDS: Final = {
    "setuid": "runs with its owner's rights (setuid or setgid)",
    "compilers": "is a compiler or linker",
    "installers": "is a package installer",
    "secrets": "looks like a secret or a private key",
    "settings": "is a secret's setting that the image brings along",
}


def check(container: Container, folder: Path) -> Check:
    """Look through a container's files; raise ProcessDiedError when it says nothing."""
    log = folder / "look.log"
    command = container.command(("python3", "-c", LOOK.read_text()), {})
    child = spawn("look", command, log=log)
    child.wait(TIMEOUT_S)
    lines = [line for line in child.tail().splitlines() if line.startswith("LOOK ")]
    if not lines:
        raise child.died()
    return judge(json.loads(lines[0].removeprefix("LOOK ")))


def judge(found: dict[str, list[str]]) -> Check:
    """Turn what was seen inside into a check."""
    wrong = [f"{path} {words}" for kind, words in _WORDS.items() for path in found[kind]]
    if found["user"] != [str(USER), str(USER)]:
        wrong.append(f"runs as {':'.join(found['user'])}, not {USER}:{USER}")
    seen = int(found["files"][0])
    if seen < MANY_FILES:
        wrong.append(f"only {seen} files were seen; that is not the image")
    return Check("image", f"{seen} files, user, settings", tuple(wrong))
