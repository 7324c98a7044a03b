"""Pin the base of the images by the digest that its registry has today: `make base-digest`.

    python -m scripts.base_digest [--dockerfile FILE]

It asks the registry for the tag in the Dockerfile's ARG BASE_IMAGE and writes the digest behind it.
Exit codes: 0 pinned, 1 the registry has no answer and the Dockerfile is as it was.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.console import command
from scripts.console import parser as new_parser
from scripts.platform import base_image, registry
from scripts.platform.base_image import BaseImageError
from scripts.platform.registry import RegistryError


@command("base-digest", failed=(RegistryError, BaseImageError))
def main(arguments: Sequence[str] | None = None) -> int:
    parser = new_parser("scripts.base_digest", __doc__)
    parser.add_argument("--dockerfile", type=Path, default=base_image.DOCKERFILE)
    dockerfile: Path = parser.parse_args(arguments).dockerfile
    before = base_image.read(dockerfile)
    try:
        found = registry.digest(before)
    except RegistryError as error:
        raise RegistryError(f"{error}; {dockerfile.name} is as it was") from error
    pinned = base_image.pin(found, dockerfile)
    print(f"{pinned} is {'still ' if pinned == before else ''}the base in {dockerfile.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
