"""Push an image to its registry and say which bytes these are: `make push IMAGE=…`.

REGISTRY_TOKEN signs in, if it is set; GITHUB_OUTPUT gets `reference=repository:tag@sha256:digest`.
Exit codes: 0 pushed, 1 Docker or the registry refused, 2 no image is named.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

FAILED: Final = 1
USAGE: Final = 2
TIMEOUT_S: Final = 10 * 60.0  # some 60 MB, on a slow line
DIGEST: Final = re.compile(r"digest: (sha256:[0-9a-f]{64})")


def main(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    image = arguments[0] if arguments else ""
    registry, slash, _ = image.partition("/")
    if not slash or registry == "localhost":
        print("push: name an image with a registry: make push IMAGE=ghcr.io/…", file=sys.stderr)
        return USAGE
    try:
        if token := environ.get("REGISTRY_TOKEN"):
            user = environ.get("GITHUB_ACTOR", "token")
            _docker("login", registry, "--username", user, "--password-stdin", given=token)
        pushed = DIGEST.search(_docker("push", image))
    except (OSError, subprocess.SubprocessError) as error:
        print(f"push: {getattr(error, 'stderr', '') or error}", file=sys.stderr)
        return FAILED
    if pushed is None:
        print(f"push: the registry gave no digest of {image}", file=sys.stderr)
        return FAILED
    reference = f"{image}@{pushed[1]}"
    print(reference)
    if output := environ.get("GITHUB_OUTPUT"):
        with Path(output).open("a", encoding="utf-8") as file:
            file.write(f"reference={reference}\n")
    return 0


def _docker(*arguments: str, given: str = "") -> str:
    command = ("docker", *arguments)
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=TIMEOUT_S, check=True
    )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
