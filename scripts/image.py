"""Build an image and test it: `make image TARGET=production|development`.

    python -m scripts.image [--target production|development]
    python -m scripts.image --all --archives FOLDER

--all builds what the stack `local` runs, and writes it as archives that a cluster's nodes import.
BASE_IMAGE and IMAGE choose other names. Exit codes: 0 built, and it works; 1 not; 2 wrong usage.
"""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from scripts.bootstrap.console import Console
from scripts.console import parser as new_parser
from scripts.platform import development_checks, image_checks, images
from scripts.platform.containers import Engine
from scripts.platform.image_checks import ImageError
from scripts.platform.images import ImageBuilder

FAILURES: Final = (*images.FAILURES, *image_checks.FAILURES)
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130
TARGETS: Final = (images.PRODUCTION, images.DEVELOPMENT)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    console = Console(name="image")
    builder = images.ImageBuilder(console)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        return _run(options, builder, console)
    except FAILURES as error:
        console.log(str(error))
        return EXIT_FAILED
    except KeyboardInterrupt:
        builder.commands.cancel()
        console.log("interrupted; nothing half-made is left")
        return EXIT_INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = new_parser("scripts.image", __doc__)
    parser.add_argument("--target", choices=TARGETS, default=images.PRODUCTION)
    parser.add_argument("--all", action="store_true", help="what the stack local runs")
    parser.add_argument("--archives", type=Path, help="the folder for the archives of --all")
    return parser


def _run(options: argparse.Namespace, builder: ImageBuilder, console: Console) -> int:
    if options.all != bool(options.archives):
        console.log("--all and --archives FOLDER belong together")
        return EXIT_USAGE
    if options.all:
        with console.alive():
            archives = images.build_all(builder, images.local_tags(), options.archives)
        print("\n".join(map(str, archives.values())))
        return 0
    tag = os.environ.get("IMAGE") or f"localhost/coinslot:{options.target}"
    with console.alive():
        builder.build(images.service_build(builder, tag, options.target))
    test(builder.engine, tag, options.target, console)
    print(f"image: {tag} is built with {builder.engine.name} and has taken a payment")
    return 0


def test(engine: Engine, tag: str, target: str, console: Console) -> None:
    """Run the image's roles and pay; raise ImageError when they do not what the stage is for."""
    with tempfile.TemporaryDirectory(prefix="coinslot-image-") as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)  # containers of another user read what is mounted from here
        if target == images.DEVELOPMENT:
            development_checks.check(engine, tag, folder, console.log)
            return
        with engine.container(tag) as container:
            if wrong := image_checks.problems(image_checks.scan(container, folder)):
                raise ImageError("; ".join(wrong))
        console.log(f"runs as user {image_checks.USER} and can write to temporary folders only")
        image_checks.pay(lambda: engine.container(tag), folder, console.log)


if __name__ == "__main__":
    sys.exit(main())
