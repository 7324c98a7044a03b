"""What builds and runs images: a Docker engine, or buildah where there is none.

buildah runs with chroot isolation, which needs root but no daemon. Images have Docker's format,
because OCI's has no HEALTHCHECK. Where no Docker engine can pull the official base image,
debootstrap makes a substitute: the same Debian, its Python 3.11, nothing that differs each time.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from scripts import ROOT
from scripts.bootstrap.commands import Commands, UnavailableError

POLICY: Final = Path(__file__).with_name("containers_policy.json")
SYSTEM_CERTIFICATES: Final = Path("/etc/ssl/certs/ca-certificates.crt")
BUILD_TIMEOUT_S: Final = 15 * 60.0  # half a minute when the index is near
QUICK_TIMEOUT_S: Final = 60.0
BASE_IMAGE: Final = "localhost/python:3.11-slim-bookworm"
SUITE: Final = "bookworm"
PACKAGES: Final = ("ca-certificates", "netbase", "python3", "python3-venv")
EMPTIED: Final = (
    *("var/lib/apt/lists", "var/cache", "var/log"),
    *("usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/lintian"),
)
BLANKED: Final = ("etc/machine-id", "etc/resolv.conf", "etc/hostname")
NO_MOUNTS: Final[Mapping[Path, str]] = MappingProxyType({})

Command = Sequence[str | Path]
Progress = Callable[[str], None]
"""Called with each line that a builder prints."""

Container = Callable[[Sequence[str], Mapping[str, str]], Command]
"""A container, in which commands can be run: takes arguments and variables, and returns the command
of this machine that runs them inside, in the foreground."""


@dataclass(frozen=True)
class Build:
    """What to build, from which files. Without a `target` the Dockerfile's last stage is built."""

    tag: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    dockerfile: Path = ROOT / "Dockerfile"
    context: Path = ROOT

    def options(self) -> Iterator[str | Path]:
        """Yield the options and the argument that `docker build` and `buildah bud` share."""
        yield f"--tag={self.tag}"
        yield f"--file={self.dockerfile}"
        if self.target:
            yield f"--target={self.target}"
        yield from (f"--build-arg={name}={value}" for name, value in self.arguments.items())
        yield self.context


class Docker:
    name = "docker"

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def image_id(self, image: str) -> str:
        """Return the id of an image, and nothing if the engine has none of that name."""
        command = ("docker", "image", "inspect", "--format={{.Id}}", image)
        try:
            return self._commands.run(command, log="build.log", timeout=QUICK_TIMEOUT_S).strip()
        except UnavailableError:
            return ""

    def build(self, build: Build, progress: Progress) -> None:
        command = ("docker", "build", *build.options())
        self._commands.run(command, log="build.log", timeout=BUILD_TIMEOUT_S, on_line=progress)

    def save(self, image: str, archive: Path) -> None:
        """Write an image as an archive that `docker load` and `ctr images import` read."""
        command = ("docker", "save", f"--output={archive}", image)
        self._commands.run(command, log="build.log", timeout=BUILD_TIMEOUT_S)

    @contextmanager
    def container(self, image: str, mounts: Mapping[Path, str] = NO_MOUNTS) -> Iterator[Container]:
        """Give a container for each command, as Kubernetes would run it: read-only, powerless.

        `mounts` are folders of this machine and where the container has them.
        """

        def command(arguments: Sequence[str], environ: Mapping[str, str]) -> Command:
            return (
                *("docker", "run", "--rm", "--network=host", "--read-only", "--tmpfs=/tmp:exec"),
                *("--cap-drop=ALL", "--security-opt=no-new-privileges", "--entrypoint="),
                *_volumes(mounts),
                *(f"--env={name}={value}" for name, value in environ.items()),
                *(image, *arguments),
            )

        yield command


class Buildah:
    """buildah with its storage in the user's cache; chroot isolation needs no daemon."""

    name = "buildah"

    def __init__(self, commands: Commands, binaries: Path, storage: Path, timestamp: int) -> None:
        self._commands = commands
        self._binary = binaries / "buildah"
        self._storage = storage
        self._timestamp = timestamp

    def _command(self, subcommand: str, *arguments: str | Path) -> Command:
        storage = ("--root", self._storage / "root", "--runroot", self._storage / "run")
        driver = os.environ.get("STORAGE_DRIVER", "overlay")
        checked = subcommand in {"bud", "commit", "from", "push"}  # these ask whom to trust
        policy = ("--signature-policy", POLICY) if checked else ()
        return (self._binary, *storage, "--storage-driver", driver, subcommand, *policy, *arguments)

    def _run(
        self,
        subcommand: str,
        *arguments: str | Path,
        timeout: float = QUICK_TIMEOUT_S,
        progress: Progress | None = None,
    ) -> str:
        return self._commands.run(
            self._command(subcommand, *arguments),
            log="build.log",
            timeout=timeout,
            env={"BUILDAH_ISOLATION": "chroot"},
            on_line=progress,
        )

    def image_id(self, image: str) -> str:
        """Return the id of an image, and nothing if the storage has none of that name."""
        try:
            return self._run("inspect", "--type=image", "--format={{.FromImageID}}", image).strip()
        except UnavailableError:
            return ""

    def build(self, build: Build, progress: Progress) -> None:
        trusted: Command = ()
        if SYSTEM_CERTIFICATES.exists():  # a company's own authority must hold in the build too
            trusted = ("--volume", f"{SYSTEM_CERTIFICATES}:{SYSTEM_CERTIFICATES}:ro")
        self._run(
            "bud",
            *("--format=docker", "--layers"),  # an OCI image cannot hold a HEALTHCHECK
            f"--timestamp={self._timestamp}",
            *trusted,
            *build.options(),
            timeout=BUILD_TIMEOUT_S,
            progress=progress,
        )

    def save(self, image: str, archive: Path) -> None:
        """Write an image as an archive that `docker load` and `ctr images import` read."""
        archive.unlink(missing_ok=True)  # buildah adds to an archive, and changes none
        self._run(
            "push", "--quiet", image, f"docker-archive:{archive}:{image}", timeout=BUILD_TIMEOUT_S
        )

    def import_root(self, folder: Path, tag: str) -> None:
        name = self._run("from", "scratch").split()[-1]
        try:
            self._run("add", "--quiet", name, folder, "/", timeout=BUILD_TIMEOUT_S)
            self._run("config", "--env=LANG=C.UTF-8", "--cmd=python3", name)
            options = ("--quiet", "--format=oci", "--timestamp=0")
            self._run("commit", *options, name, tag, timeout=BUILD_TIMEOUT_S)
        finally:
            self._run("rm", name)

    @contextmanager
    def container(self, image: str, mounts: Mapping[Path, str] = NO_MOUNTS) -> Iterator[Container]:
        """Give a root file system for one command at a time: 1.28 panics when two end at once."""
        name = self._run("from", "--pull-never", image).split()[-1]

        def command(arguments: Sequence[str], environ: Mapping[str, str]) -> Command:
            settings = (f"--env={key}={value}" for key, value in environ.items())
            run = self._command("run", "--isolation=chroot", *_volumes(mounts))
            return (*run, *settings, name, "--", *arguments)

        try:
            yield command
        finally:
            self._run("rm", name)


Engine = Docker | Buildah


def _volumes(mounts: Mapping[Path, str]) -> list[str]:
    return [f"--volume={folder}:{inside}" for folder, inside in mounts.items()]


def make_base(engine: Buildah, binaries: Path, commands: Commands, progress: Progress) -> None:
    with tempfile.TemporaryDirectory(prefix="coinslot-base-") as scratch:
        root = Path(scratch) / "root"
        options = ("--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE)
        commands.run(
            (binaries / "debootstrap", *options, root, *_mirror(commands)),
            log="base.log",
            timeout=BUILD_TIMEOUT_S,
            on_line=progress,
        )
        slim(root)
        engine.import_root(root, BASE_IMAGE)


def slim(root: Path) -> None:
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
