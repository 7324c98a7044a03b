"""The base of the images, which the Dockerfile's ARG alone names."""

import re
import tempfile
from pathlib import Path
from typing import Final

from scripts import ROOT

DOCKERFILE: Final = ROOT / "Dockerfile"
BASE: Final = re.compile(r"^ARG BASE_IMAGE=(\S+)$", re.MULTILINE)


class BaseImageError(Exception):
    """The base is not named as it must be; the message says where and how."""


def read(dockerfile: Path = DOCKERFILE) -> str:
    """Return the reference of the base; raise BaseImageError if there isn't exactly one."""
    found = BASE.findall(dockerfile.read_text())
    if len(found) != 1:
        raise BaseImageError(f"{dockerfile}: {len(found)} lines ARG BASE_IMAGE=…, expected one")
    return str(found[0])


def pin(digest: str, dockerfile: Path = DOCKERFILE) -> str:
    """Name the base by its tag and a digest, in one rename; return the reference."""
    reference = f"{read(dockerfile).partition('@')[0]}@{digest}"
    text = BASE.sub(f"ARG BASE_IMAGE={reference}", dockerfile.read_text())
    with tempfile.TemporaryDirectory(dir=dockerfile.parent, prefix=".dockerfile-") as scratch:
        draft = Path(scratch) / dockerfile.name
        draft.write_text(text)
        draft.chmod(dockerfile.stat().st_mode)
        draft.replace(dockerfile)
    return reference
