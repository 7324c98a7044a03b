"""The peers: built once, and kept in the user's cache under a digest of their sources."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import psycopg2

from scripts.bootstrap import store
from scripts.bootstrap.commands import Commands

FILES: Final = Path(__file__).parent
GO: Final = FILES / "go"
FASTAPI: Final = FILES / "fastapi"
BUILD_TIMEOUT_S: Final = 20 * 60.0
"""A Go build takes a minute on two idle cores, the packages of FastAPI ten seconds."""

_GO_ENVIRONMENT: Final = {"GOWORK": "off", "GOFLAGS": "", "CGO_ENABLED": "0"}


class PeerError(Exception):
    """A peer can't be built; the message says what to do."""


def install_functions(database_url: str) -> None:
    """Create what the tuned peers call, in a schema of their own; safe to repeat."""
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute((FILES / "functions.sql").read_text())
        connection.commit()


def go_program() -> Path:
    """Return the peer in Go, built by the Go that is on PATH; raise PeerError."""
    if shutil.which("go") is None:
        raise PeerError("the peer in Go needs Go 1.26 or newer on PATH: install it, or use --sides")

    def build(draft: Path) -> None:
        flags = ("-C", GO, "-mod=readonly", "-trimpath", "-buildvcs=false")
        _run(("go", "build", *flags, "-o", draft / "peer", "."), _GO_ENVIRONMENT)

    sources = sorted(path for path in GO.iterdir() if path.suffix in {".go", ".mod", ".sum"})
    return _cached("bench-go-pgx", sources, build) / "peer"


def fastapi_python() -> Path:
    """Return the Python of FastAPI's own environment, made by uv; raise PeerError."""
    requirements = FASTAPI / "requirements.txt"
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        raise PeerError(f"{uv} is missing: run tools/bootstrap venv")

    def make(draft: Path) -> None:
        environment = {"UV_SYSTEM_CERTS": os.environ.get("UV_SYSTEM_CERTS", "true")}
        if index := os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL"):
            environment["UV_DEFAULT_INDEX"] = index
        _run((uv, "venv", "--python", sys.executable, "--relocatable", draft / "venv"), {})
        options = ("--compile-bytecode", "--require-hashes", "--python", draft / "venv")
        _run((uv, "pip", "sync", *options, requirements), environment)

    return _cached("bench-fastapi", [requirements], make) / "venv" / "bin" / "python"


def _cached(name: str, sources: Sequence[Path], fill: Callable[[Path], None]) -> Path:
    digest = hashlib.sha256(sys.version.encode())
    for source in sources:
        digest.update(source.read_bytes())
    cache = store.cache_home()
    commands = Commands(cache / "logs" / str(os.getpid()))

    def make(folder: Path) -> None:
        print(f"bench: building {name} (usually 1 min, once per machine)", file=sys.stderr)
        with store.published(folder) as draft:
            fill(draft)

    target = cache / "tools" / f"{name}-{digest.hexdigest()[:12]}"
    waits = f"bench: another process builds {name}; waiting for that one"
    return store.once(target, commands, lambda: print(waits, file=sys.stderr), make)


def _run(command: Sequence[str | Path], environment: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(
            [str(part) for part in command],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=BUILD_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PeerError(f"`{command[0]}` did not end within {BUILD_TIMEOUT_S:g} s") from error
    if done.returncode:
        raise PeerError(f"`{command[0]}` failed:\n{done.stdout[-2_000:]}")
