"""The virtual environment: exactly requirements/dev.txt by hash, and this repo, editable.

`python -m venv` makes it, so that it holds pip: a language host of Pulumi that is built from its
module asks `python -m pip list` for plugins. uv fills it, because it links files from its cache.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from scripts.bootstrap import store
from scripts.bootstrap.commands import BootstrapError, UnavailableError
from scripts.bootstrap.console import Step
from scripts.bootstrap.tools import Place

INSTALL_TIMEOUT_SECONDS: Final = 15 * 60.0  # 400 MB over a slow line
CREATE_TIMEOUT_SECONDS: Final = 120.0
NO_VENV: Final = "this Python cannot make a venv (Debian: apt install python3-venv)"


def ensure(place: Place) -> None:
    """Make .venv hold what requirements/dev.txt and pyproject.toml say."""
    if _ready(place):
        return

    def report_wait() -> None:
        place.console.log("venv: another bootstrap of this clone is at it; waiting for that one")

    with store.locked(place.root / ".tools" / "locks" / "venv.lock", place.commands, report_wait):
        if not _ready(place):
            _make(place)


def python_of(root: Path) -> Path:
    return root / ".venv" / "bin" / "python"


def _ready(place: Place) -> bool:
    stamps = place.stamps
    return (
        python_of(place.root).exists()
        and stamps.matches("venv", _key(place.root))
        and stamps.matches("editable", _editable_key(place.root))
    )


def _locked(root: Path) -> Path:
    return root / "requirements" / "dev.txt"


def _key(root: Path) -> str:
    """Change with the locked dependencies and with the clone's path, which scripts contain."""
    return f"{root} {_digest(_locked(root))}"


def _editable_key(root: Path) -> str:
    return f"{_key(root)} {_digest(root / 'pyproject.toml')}"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _make(place: Place) -> None:
    with place.console.step("venv: installing Python packages", "30 s, 5 s from a cache") as step:
        _discard_unusable(place.root)
        if not python_of(place.root).exists():
            step.detail = "making it"
            _make_empty(place)
        try:
            if not place.stamps.matches("venv", _key(place.root)):
                _install_locked(place, step)
            step.detail = "installing this repository"
            _pip(place, "--no-deps", "--no-build-isolation", "--editable", place.root)
        except UnavailableError as error:
            raise BootstrapError(f"venv: {error}") from error
    place.stamps.write("venv", _key(place.root))
    place.stamps.write("editable", _editable_key(place.root))


def _discard_unusable(root: Path) -> None:
    """Remove a venv whose interpreter is gone or too old; any other is brought up to date."""
    python = python_of(root)
    probe = (python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))")
    try:
        usable = subprocess.run(probe, check=False, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        usable = False
    if not usable:
        shutil.rmtree(root / ".venv", ignore_errors=True)


def _make_empty(place: Place) -> None:
    # The interpreter that our own venv, if we run in it, was made from.
    python = getattr(sys, "_base_executable", sys.executable)
    command = (python, "-m", "venv", place.root / ".venv")
    try:
        place.commands.run(command, log="venv.log", timeout=CREATE_TIMEOUT_SECONDS)
    except UnavailableError as error:
        shutil.rmtree(place.root / ".venv", ignore_errors=True)
        raise BootstrapError(f"{NO_VENV}: {error}") from error


def _install_locked(place: Place, step: Step) -> None:
    """Install the locked packages with uv; with pip where uv can't reach what pip can."""
    try:
        step.detail = "getting uv"
        uv_lock = place.root / "requirements" / "uv.txt"
        _pip(place, "--only-binary=:all:", "--require-hashes", "--requirement", uv_lock)
        step.detail = "fetching and linking packages"
        _sync_with_uv(place)
    except UnavailableError as error:
        place.console.log(f"venv: uv could not do it, using pip instead: {error}")
        step.detail = "fetching and installing packages"
        _pip(place, "--require-hashes", "--requirement", _locked(place.root))


def _sync_with_uv(place: Place) -> None:
    """Let uv trust the system's certificates and use pip's package index."""
    environment = {"UV_SYSTEM_CERTS": os.environ.get("UV_SYSTEM_CERTS", "true")}
    if index := os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL"):
        environment["UV_DEFAULT_INDEX"] = index
    python = python_of(place.root)
    # Compiled once here: every start of the service and of the engine's program is quicker, also
    # where Python is set to write no bytecode.
    options = ("--compile-bytecode", "--require-hashes", "--python", python)
    place.commands.run(
        (python.with_name("uv"), "pip", "sync", *options, _locked(place.root)),
        log="venv.log",
        timeout=INSTALL_TIMEOUT_SECONDS,
        env=environment,
    )


def _pip(place: Place, *arguments: str | Path) -> None:
    install = ("-m", "pip", "install", "--disable-pip-version-check", *arguments)
    place.commands.run(
        (python_of(place.root), *install), log="venv.log", timeout=INSTALL_TIMEOUT_SECONDS
    )
