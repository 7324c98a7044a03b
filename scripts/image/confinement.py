"""Proves that a container of the image is nobody in particular and may write nowhere."""

import json
from pathlib import Path
from typing import Final

from scripts.image.engines import Container
from scripts.image.proof import ProofError
from scripts.platform.processes import spawn

USER: Final = 10001
WRITABLE: Final = {"/tmp", "/var/tmp", "/run/lock"}  # noqa: S108  every Debian has them
TIMEOUT_S: Final = 30.0

LOOK: Final = """
import json, os
def writable():
    for folder, names, _ in os.walk("/"):
        names[:] = [n for n in names if os.path.join(folder, n) not in ("/proc", "/sys", "/dev")]
        if os.access(folder, os.W_OK):
            yield folder
found = {"uid": os.getuid(), "gid": os.getgid(), "writable": sorted(writable())}
print("LOOK " + json.dumps(found))
"""


def check(container: Container, folder: Path) -> None:
    """Raise ProofError when the image runs as root or may write outside of temporary folders."""
    log = folder / "logs" / "confinement.log"
    log.unlink(missing_ok=True)
    child = spawn("confinement", container.command(("python3", "-c", LOOK), {}), log=log)
    child.wait(TIMEOUT_S)
    lines = [line for line in child.tail().splitlines() if line.startswith("LOOK ")]
    if not lines:
        raise child.died()
    judge(json.loads(lines[0].removeprefix("LOOK ")))


def judge(found: dict[str, object]) -> None:
    """Raise ProofError when what a container has seen of itself is too much."""
    if (found["uid"], found["gid"]) != (USER, USER):
        raise ProofError(f"runs as {found['uid']}:{found['gid']}, not {USER}:{USER}")
    writable = found["writable"]
    open_to_it = set(writable) - WRITABLE if isinstance(writable, list) else {writable}
    if open_to_it:
        raise ProofError(f"may write to {', '.join(sorted(map(str, open_to_it)))}")
