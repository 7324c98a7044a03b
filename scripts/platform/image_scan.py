"""Scans a root file system for what must not be in an image; standard library only.

It runs inside a container of the image (`python3 -c`), and prints one line of JSON.
"""

import json
import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

PRIVATE = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}")
SECRET_FILES = re.compile(
    r"^(\.env(\..+)?|\.netrc|\.pypirc|\.npmrc|\.git-credentials|\.dockercfg|id_(rsa|dsa|ecdsa|ed25519)"
    r"|credentials(\.json)?|.+\.(key|p12|pfx|jks|keystore))$"
)
SECRET_NAMES = re.compile(r"SECRET|TOKEN|PASSWORD|API_?KEY|DATABASE_URL|REDIS_URL|JWT")
COMPILERS = re.compile(
    r"^(.+-)?(gcc|g\+\+|cc|c\+\+|clang|tcc|ld|ld\.(bfd|gold)|as|go|rustc|cargo|make|cmake)(-\d+)?$"
)
INSTALLERS = frozenset({"pip", "setuptools", "ensurepip", "wheel", "pipx", "uv", "easy_install"})
DEVELOPMENT = frozenset({"pytest", "hypothesis", "watchfiles"})
OURS = ("opt",)
ELSEWHERE = frozenset({"proc", "sys", "dev"})
MAX_BYTES = 262_144  # a key has 2 KB; what is larger is no text that somebody forgot


def scan(root: str) -> dict[str, list[str]]:
    """Return what was found, by kind; paths are absolute inside of `root`."""
    found: dict[str, list[str]] = {
        kind: []
        for kind in (
            *("setuid", "compilers", "installers", "development"),
            *("dated", "secrets", "writable"),
        )
    }
    seen = 0
    for folder, names, files in os.walk(root):
        here = Path(folder)
        if here == Path(root):
            names[:] = [name for name in names if name not in ELSEWHERE]
        inside = Path("/") / here.relative_to(root)
        found["writable"] += [str(inside)] if os.access(here, os.W_OK) else []
        found["installers"] += [str(inside / name) for name in names if name in INSTALLERS]
        found["development"] += [str(inside / name) for name in names if name in DEVELOPMENT]
        for name in files:
            seen += 1
            for kind in kinds(here / name, inside):
                found[kind].append(str(inside / name))
    return {**found, "files": [str(seen)]}


def kinds(path: Path, inside: Path) -> Iterator[str]:
    name = path.name
    try:
        mode = path.lstat().st_mode
    except OSError:
        return
    if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
        yield "setuid"
    in_bin = inside.name in {"bin", "sbin"}
    if in_bin and COMPILERS.match(name):
        yield "compilers"
    if in_bin and name.rstrip("0123456789.") in INSTALLERS:
        yield "installers"
    if name.endswith(".pyc") and inside.parts[1:2] == OURS and is_dated(path):
        yield "dated"
    if SECRET_FILES.match(name) or (stat.S_ISREG(mode) and holds_a_key(path)):
        yield "secrets"


def is_dated(path: Path) -> bool:
    """Tell whether a compiled file is only used while its source has a certain time (PEP 552)."""
    with path.open("rb") as file:
        return file.read(8)[4:] == bytes(4)


def holds_a_key(path: Path) -> bool:
    try:
        return path.stat().st_size <= MAX_BYTES and bool(PRIVATE.search(path.read_bytes()))
    except OSError:
        return False  # nobody in this container can read it either


if __name__ == "__main__":
    where = sys.argv[1] if len(sys.argv) > 1 else "/"
    result = scan(where)
    result["settings"] = sorted(name for name in os.environ if SECRET_NAMES.search(name))
    result["user"] = [str(os.getuid()), str(os.getgid())]
    print("SCAN " + json.dumps(result))
