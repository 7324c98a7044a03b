"""Builds images: the service's, those of what the stack `local` brings along, one of programs.

`build_all` and `binaries_image` write archives for a cluster's nodes. An archive is left alone
while the inputs of its image are the same and the engine still has that image.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from infra.sections import Image
from scripts import ROOT
from scripts.bootstrap import store
from scripts.bootstrap.commands import BootstrapError, Commands, UnavailableError
from scripts.bootstrap.components import docker_answers
from scripts.bootstrap.console import Console
from scripts.deploy.revisions import Repository, RevisionError
from scripts.platform import base_image, containers
from scripts.platform.containers import Build, Buildah, Docker, Engine

FAILURES: Final = (UnavailableError, BootstrapError, base_image.BaseImageError)
"""What a build raises."""
PRODUCTION: Final = "production"
DEVELOPMENT: Final = "development"
LOCAL_STACK: Final = ROOT / "Pulumi.local.yaml"
DOCKERFILES: Final = "scripts/cluster/images"
PROGRAMS: Final = ROOT / DOCKERFILES / "programs" / "Dockerfile"


@dataclass(frozen=True)
class Recipe:
    """How an image is made. `inputs` are files and folders that its Dockerfile copies."""

    dockerfile: str
    inputs: tuple[str, ...]
    target: str = ""


SERVICE: Final = "coinslot"
TAG_DIGITS: Final = 8
RECIPES: Final[Mapping[str, Recipe]] = {
    SERVICE: Recipe("Dockerfile", ("requirements/runtime.txt", "service"), PRODUCTION),
    **{
        name: Recipe(f"{DOCKERFILES}/{name}/Dockerfile", (f"{DOCKERFILES}/{name}", *inputs))
        for name, inputs in {
            "postgresql": ("requirements/dev.txt",),
            "valkey": ("requirements/dev.txt",),
            "simulator": ("simulator",),
        }.items()
    },
}
"""The service's image first: the simulator's is made from it."""


class ImageBuilder:
    """Docker, if it answers, else buildah; `console` tells how far a build is."""

    def __init__(self, console: Console, commands: Commands | None = None) -> None:
        cache = store.cache_home()
        self._console = console
        self._lock = cache / "locks" / "images.lock"
        self.commands = commands or Commands(cache / "logs" / str(os.getpid()))
        self.engine = choose(cache, self.commands)

    def build(self, build: Build) -> None:
        """Build an image, one at a time of all clones; raise UnavailableError with the reason."""
        with self._alone():
            self._build(build)

    def archive(self, build: Build, inputs: str, archive: Path) -> Path:
        """Write an image's archive, after building it, unless that was done from these inputs."""
        stamps = store.Stamps(archive.parent / "stamps")
        with self._alone():  # until it is written: another clone may build one of that name
            built = self.engine.image_id(build.tag)
            if archive.is_file() and stamps.matches(archive.name, f"{inputs} {built}"):
                return archive
            self._build(build)
            with self._console.step(f"writing {archive.name}", "5 s"):
                draft = archive.with_suffix(".new")
                self.engine.save(build.tag, draft)
                draft.replace(archive)
            stamps.write(archive.name, f"{inputs} {self.engine.image_id(build.tag)}")
        return archive

    def _build(self, build: Build) -> None:
        title = f"building {build.tag} with {self.engine.name}"
        with self._console.step(title, "30 s, 5 s when only code has changed") as step:

            def progress(line: str) -> None:
                if "STEP" in line:
                    step.detail = line.strip()[:60]

            self.engine.build(build, progress)

    def base(self) -> str:
        """Return the base: BASE_IMAGE, or the Dockerfile's, or a substitute where none can pull."""
        if given := os.environ.get("BASE_IMAGE"):
            return given
        if not isinstance(self.engine, Buildah):
            return base_image.read()
        if not self.engine.image_id(containers.BASE_IMAGE):
            self._make_base(self.engine)
        return containers.BASE_IMAGE

    def _make_base(self, engine: Buildah) -> None:
        title = f"making {containers.BASE_IMAGE} with debootstrap"
        with self._alone(), self._console.step(title, "1 min, once a machine") as step:

            def progress(line: str) -> None:
                step.detail = line.strip().removeprefix("I: ")[:60]

            containers.make_base(engine, ROOT / ".tools" / "bin", self.commands, progress)

    def _alone(self) -> AbstractContextManager[None]:
        def on_wait() -> None:
            self._console.log("waiting for another build of images")

        return store.locked(self._lock, self.commands, on_wait)


def can_build() -> bool:
    """Tell whether an engine answers here, or tools/bootstrap can make buildah ready and run it."""
    return docker_answers() or (os.geteuid() == 0 and shutil.which("apt-get") is not None)


def choose(cache: Path, commands: Commands) -> Engine:
    if docker_answers():
        return Docker(commands)
    timestamp = int(_git("log", "-1", "--format=%ct") or 0)
    return Buildah(commands, ROOT / ".tools" / "bin", cache / "containers", timestamp)


def service_build(builder: ImageBuilder, tag: str, target: str = PRODUCTION) -> Build:
    """Return what builds the service's image."""
    arguments = {
        "BASE_IMAGE": builder.base(),
        "VERSION": _git("describe", "--always", "--dirty") or "dev",
        "REVISION": _git("rev-parse", "HEAD") or "unknown",
        **_index(),
    }
    return Build(tag, arguments, target)


def local_tags() -> dict[str, str]:
    """Return the images that the stack `local` runs, by the names of RECIPES."""
    config = yaml.safe_load(LOCAL_STACK.read_text())["config"]
    image = Image(**config["coinslot:image"])
    return {SERVICE: image.reference, **config["coinslot:dependencies"]}


def content_tags() -> dict[str, str]:
    """Return the same with a hash of what each is made from: other code is another release."""
    return {
        name: f"{tag}-{digest((), _sources(name))[:TAG_DIGITS]}"
        for name, tag in local_tags().items()
    }


def _sources(name: str) -> list[Path]:
    recipe = RECIPES[name]
    own = [ROOT / recipe.dockerfile, *(ROOT / path for path in recipe.inputs)]
    return [*own, *_sources(SERVICE)] if name == "simulator" else own


def build_all(builder: ImageBuilder, tags: Mapping[str, str], folder: Path) -> dict[str, Path]:
    """Build the images of RECIPES under these tags; return the archive of each by its name.

    `tags` are the images' references by name (`local_tags`). Archives go to `folder`, as
    `<name>.tar`, for `ctr images import`. Raises UnavailableError with the builder's last lines.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return {name: _archive(builder, name, tags, folder / f"{name}.tar") for name in RECIPES}


def _archive(builder: ImageBuilder, name: str, tags: Mapping[str, str], archive: Path) -> Path:
    recipe = RECIPES[name]
    if name == SERVICE:
        build, parent = service_build(builder, tags[name]), ""
    elif name == "simulator":
        build = Build(tags[name], {"COINSLOT_IMAGE": tags[SERVICE]})
        parent = builder.engine.image_id(tags[SERVICE])
    else:
        build = Build(tags[name], {"BASE_IMAGE": builder.base(), **_index()})
        parent = builder.engine.image_id(build.arguments["BASE_IMAGE"])
    build = Build(build.tag, build.arguments, recipe.target, ROOT / recipe.dockerfile)
    settings = (parent, *(f"{key}={value}" for key, value in build.arguments.items()))
    return builder.archive(build, digest(settings, _sources(name)), archive)


def binaries_image(
    builder: ImageBuilder, tag: str, binaries: Mapping[str, Path], archive: Path
) -> Path:
    """Make an image of static programs alone, and its archive, which is returned.

    `binaries` are the programs by their names in the image's /bin, which is on PATH there. It
    starts none by itself, and runs as user and group 65534.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    inputs = digest(sorted(binaries), [PROGRAMS, *(binaries[name] for name in sorted(binaries))])
    with _linked(binaries, archive.parent) as context:
        return builder.archive(Build(tag, dockerfile=PROGRAMS, context=context), inputs, archive)


@contextmanager
def _linked(files: Mapping[str, Path], parent: Path) -> Iterator[Path]:
    """Give a folder that has the files in `bin`, as hard links where the disk is the same."""
    with tempfile.TemporaryDirectory(dir=parent, prefix=".context-") as scratch:
        folder = Path(scratch) / "bin"
        folder.mkdir()
        for name, path in files.items():
            try:
                (folder / name).hardlink_to(path.resolve())
            except OSError:  # another disk, or a file of another user
                shutil.copyfile(path, folder / name)
        yield Path(scratch)


def digest(settings: Iterable[str], paths: Iterable[Path]) -> str:
    """Return a hash over the settings and the files, folders with all that is below them."""
    found = hashlib.sha256("\n".join(settings).encode())
    for path in paths:
        for file in [path] if path.is_file() else sorted(_files(path)):
            with file.open("rb") as content:
                hashed = hashlib.file_digest(content, "sha256").hexdigest()
            found.update(f"\n{file.relative_to(path)} {hashed}".encode())
    return found.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    return (
        path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    )


def _index() -> dict[str, str]:
    index = os.environ.get("PIP_INDEX_URL")
    return {"PIP_INDEX_URL": index} if index else {}


def _git(*arguments: str) -> str:
    try:
        return Repository().git(*arguments)
    except RevisionError:
        return ""
