"""What is in an image: no setuid file, installer, compiler or secret, and no other user."""

import json
from pathlib import Path
from typing import Final

from scripts.platform.containers import Container
from scripts.platform.processes import spawn

SCAN: Final = Path(__file__).with_name("image_scan.py")
USER: Final = 10001
WRITABLE: Final = {"/tmp", "/var/tmp", "/run/lock"}  # noqa: S108  every Debian has them
TIMEOUT_S: Final = 120.0  # it reads every small file of a Debian: two seconds when idle
MANY_FILES: Final = 1_000
"""Fewer than in any image with a Python: then something else was scanned."""
REASONS: Final = {
    "setuid": "runs with its owner's rights (setuid or setgid)",
    "compilers": "is a compiler or linker",
    "installers": "is a package installer",
    "secrets": "looks like a secret or a private key",
    "settings": "is a secret's setting that the image brings along",
    "writable": "can be written to",
}

Found = dict[str, list[str]]


def scan(container: Container, folder: Path) -> Found:
    """Scan a container's files; raise ProcessDiedError when it prints no result."""
    log = folder / "scan.log"
    child = spawn("scan", container(("python3", "-c", SCAN.read_text()), {}), log=log)
    child.wait(TIMEOUT_S)
    lines = [line for line in child.tail().splitlines() if line.startswith("SCAN ")]
    if not lines:
        raise child.died()
    found: Found = json.loads(lines[0].removeprefix("SCAN "))
    return found


def problems(found: Found) -> list[str]:
    wrong = [
        f"{path} {reason}"
        for kind, reason in REASONS.items()
        for path in found[kind]
        if kind != "writable" or path not in WRITABLE
    ]
    if found["user"] != [str(USER), str(USER)]:
        wrong.append(f"runs as {':'.join(found['user'])}, not {USER}:{USER}")
    if (seen := int(found["files"][0])) < MANY_FILES:
        wrong.append(f"only {seen} files were seen; that is not the image")
    return wrong
