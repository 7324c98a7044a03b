"""Build the image and test it: `make image`. BASE_IMAGE and IMAGE choose other names."""

import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final

from scripts import ROOT
from scripts.bootstrap import store
from scripts.bootstrap.commands import Commands, UnavailableError
from scripts.bootstrap.components import docker_answers
from scripts.bootstrap.console import Console
from scripts.deploy.revisions import Repository, RevisionError
from scripts.platform import containers, image_checks
from scripts.platform.containers import Buildah, Docker, Engine
from scripts.platform.embedded import EmbeddedError
from scripts.platform.image_checks import ImageError
from scripts.platform.launcher import PlatformError
from scripts.platform.processes import ProcessDiedError

IMAGE: Final = "localhost/coinslot:dev"
EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130
FAILURES: Final = (
    *(UnavailableError, ImageError, PlatformError, ProcessDiedError, EmbeddedError),
    TimeoutError,
)


def main() -> int:
    console = Console(name="image")
    cache = store.cache_home()
    commands = Commands(cache / "logs" / str(os.getpid()))
    tag = os.environ.get("IMAGE") or IMAGE
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        with console.alive():
            engine = choose(cache, commands)
            build(engine, tag, commands, console)
        test(engine, tag, console)
    except FAILURES as error:
        console.log(str(error))
        return EXIT_FAILED
    except KeyboardInterrupt:
        commands.cancel()
        console.log("interrupted; nothing half-made is left")
        return EXIT_INTERRUPTED
    print(f"image: {tag} is built with {engine.name} and has taken a payment")
    return 0


def choose(cache: Path, commands: Commands) -> Engine:
    if docker_answers():
        return Docker(commands)
    timestamp = int(_git("log", "-1", "--format=%ct") or 0)
    return Buildah(commands, ROOT / ".tools" / "bin", cache / "containers", timestamp)


def build(engine: Engine, tag: str, commands: Commands, console: Console) -> None:
    given = os.environ.get("BASE_IMAGE")
    if not given and isinstance(engine, Buildah):
        given = _own_base(engine, commands, console)
    arguments = {
        "VERSION": _git("describe", "--always", "--dirty") or "dev",
        "REVISION": _git("rev-parse", "HEAD") or "unknown",
        **({"BASE_IMAGE": given} if given else {}),
        **{name: value for name in ("PIP_INDEX_URL",) if (value := os.environ.get(name))},
    }
    title = f"building {tag} with {engine.name}"
    with console.step(title, "30 s, 5 s when only code has changed") as step:

        def progress(line: str) -> None:
            if "STEP" in line:
                step.detail = line.strip()[:60]

        engine.build(tag, arguments, progress)


def _own_base(engine: Buildah, commands: Commands, console: Console) -> str:
    if engine.has(containers.BASE_IMAGE):
        return containers.BASE_IMAGE
    with console.step(
        f"making {containers.BASE_IMAGE} with debootstrap", "1 min, once a machine"
    ) as step:

        def progress(line: str) -> None:
            step.detail = line.strip().removeprefix("I: ")[:60]

        containers.make_base(engine, ROOT / ".tools" / "bin", commands, progress)
    return containers.BASE_IMAGE


def test(engine: Engine, tag: str, console: Console) -> None:
    """Run the image's roles and pay one payment; raise ImageError when they do not."""
    with tempfile.TemporaryDirectory(prefix="coinslot-image-") as scratch:
        folder = Path(scratch)
        with engine.container(tag) as container:
            if wrong := image_checks.problems(image_checks.scan(container, folder)):
                raise ImageError("; ".join(wrong))
        console.log(f"runs as user {image_checks.USER} and can write to temporary folders only")
        image_checks.pay(lambda: engine.container(tag), folder, console.log)


def _git(*arguments: str) -> str:
    try:
        return Repository().git(*arguments)
    except RevisionError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
