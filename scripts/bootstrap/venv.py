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

from scripts.bootstrap import sources, store
from scripts.bootstrap.commands import BootstrapError, UnavailableError
from scripts.bootstrap.console import Step
from scripts.bootstrap.tools import Place

INSTALL_TIMEOUT_SECONDS: Final = 15 * 60.0  # 400 MB over a slow line
UV_TIMEOUT_SECONDS: Final = 120.0
UV_MINIMUM: Final = "0.8.0"  # older ones have not been tried
PIP_INSTALL: Final = ("-m", "pip", "install", "--disable-pip-version-check")
EDITABLE: Final = ("--no-deps", "--no-build-isolation", "--editable")
NO_VENV: Final = "this Python cannot make a venv (Debian: apt install python3-venv)"


def ensure(place: Place) -> None:
    """Make .venv hold what requirements/dev.txt and pyproject.toml say.

    Raises BootstrapError when neither uv nor pip can install it.
    """
    if _ready(place):
        return

    def tell() -> None:
        place.console.say("venv: another bootstrap of this clone is at it; waiting for that one")

    with store.locked(place.root / ".tools" / "locks" / "venv.lock", place.commands, tell):
        if not _ready(place):
            _make(place)


def python_of(root: Path) -> Path:
    """Return the clone's own interpreter."""
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
            _install_with_uv(_uv(place, step), place, step)
        except UnavailableError as error:
            place.console.say(f"venv: uv could not do it, using pip instead: {error}")
            _install_with_pip(place, step)
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
    """Make a venv with pip in it: Pulumi's language host asks pip which plugins are wanted."""
    command = (_base_python(), "-m", "venv", place.root / ".venv")
    try:
        place.commands.run(command, log="venv.log", timeout=UV_TIMEOUT_SECONDS)
    except UnavailableError as error:
        shutil.rmtree(place.root / ".venv", ignore_errors=True)
        raise BootstrapError(f"{NO_VENV}: {error}") from error


def _base_python() -> str:
    """Return the interpreter that our own venv, if we run in it, was made from."""
    return str(getattr(sys, "_base_executable", sys.executable))


def _install_with_uv(uv: Path, place: Place, step: Step) -> None:
    def run(*command: str | Path) -> None:
        environment = _uv_environment()
        place.commands.run(
            (uv, "pip", *command), log="venv.log", timeout=INSTALL_TIMEOUT_SECONDS, env=environment
        )

    python = ("--python", python_of(place.root))
    if not place.stamps.matches("venv", _key(place.root)):
        step.detail = "fetching and linking packages"
        # Compiled once here: every start of the service and of the engine's program is quicker,
        # also where Python is told to write no bytecode.
        run("sync", "--compile-bytecode", *python, "--require-hashes", _locked(place.root))
    step.detail = "installing this repository"
    run("install", *python, *EDITABLE, place.root)


def _uv_environment() -> dict[str, str]:
    """Let uv trust the system's certificates and use the package index that pip is told to use."""
    environment = {"UV_SYSTEM_CERTS": os.environ.get("UV_SYSTEM_CERTS", "true")}
    index = os.environ.get("PIP_INDEX_URL")
    if index and not os.environ.get("UV_DEFAULT_INDEX"):
        environment["UV_DEFAULT_INDEX"] = index
    return environment


def _install_with_pip(place: Place, step: Step) -> None:
    def run(*arguments: str | Path) -> None:
        command = (python_of(place.root), *PIP_INSTALL, *arguments)
        try:
            place.commands.run(command, log="venv.log", timeout=INSTALL_TIMEOUT_SECONDS)
        except UnavailableError as error:
            raise BootstrapError(f"venv: {error}") from error

    step.detail = "fetching and installing packages"
    run("--require-hashes", "--requirement", _locked(place.root))
    step.detail = "installing this repository"
    run(*EDITABLE, place.root)


def _uv(place: Place, step: Step) -> Path:
    """Return uv: the one on PATH if it is new enough, else the pinned one in the user's cache."""
    step.detail = "getting uv"
    if found := sources.on_path("uv", place.root):
        said = place.commands.run(
            (found, "--version"), log="venv.log", timeout=sources.PROBE_TIMEOUT_SECONDS
        )
        if sources.version_of(said) >= sources.version_of(UV_MINIMUM):
            return found
    pinned = place.root / "requirements" / "uv.txt"
    name = f"uv-{hashlib.sha256(pinned.read_bytes()).hexdigest()[:12]}"
    folder = store.once(
        place.cache / "tools" / name,
        place.commands,
        lambda: None,
        lambda folder: _install_uv(pinned, folder, place),
    )
    return folder / "uv"


def _install_uv(pinned: Path, folder: Path, place: Place) -> None:
    """Install uv with pip into a throw-away venv and keep the one binary."""
    wheel = ("--only-binary=:all:", "--no-deps", "--require-hashes", "--requirement", pinned)
    with store.published(folder) as draft:
        scratch = draft / "venv"
        for command in (
            (_base_python(), "-m", "venv", scratch),
            (scratch / "bin" / "python", *PIP_INSTALL, *wheel),
        ):
            place.commands.run(command, log="venv.log", timeout=UV_TIMEOUT_SECONDS)
        (scratch / "bin" / "uv").rename(draft / "uv")
        shutil.rmtree(scratch)
