"""The base of the images, which the Dockerfile's ARG alone names."""

import re
from pathlib import Path
from typing import Final

from scripts import ROOT

DOCKERFILE: Final = ROOT / "Dockerfile"
BASE: Final = re.compile(r"^ARG BASE_IMAGE=(\S+)$", re.MULTILINE)


class BaseImageError(Exception):
    """The base is not named as it must be, or its digest is not known; the message says why."""


def read(dockerfile: Path = DOCKERFILE) -> str:
    """Return the reference of the base; raise BaseImageError if there isn't exactly one."""
    found = BASE.findall(dockerfile.read_text())
    if len(found) != 1:
        raise BaseImageError(f"{dockerfile}: {len(found)} lines ARG BASE_IMAGE=…, expected one")
    return str(found[0])
