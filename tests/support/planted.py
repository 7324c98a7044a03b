"""A search for planted secrets in whatever bytes there are: plain, in base64, or packed."""

import base64
import contextlib
import gzip
from pathlib import Path
from typing import Final

from tests.support.leaks import PLANTED

GZIP: Final = b"\x1f\x8b"
NOT_OURS: Final = {".git", ".venv", ".tools"}


def needles() -> list[bytes]:
    """Return what must be nowhere: the planted word, as it is and in base64 at each offset."""
    texts = [PLANTED.encode()]
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + PLANTED.encode())
        # The first and the last digits depend on what stands before and after the word.
        texts.append(encoded[4 if offset else 0 : -4])
    return texts


NEEDLES: Final = needles()


def leaks(content: bytes) -> list[bytes]:
    return [needle for needle in NEEDLES if needle in content]


def written(folder: Path) -> dict[Path, bytes]:
    """Return path to content of every file below, but for git's and the tools'; unpacked."""
    found: dict[Path, bytes] = {}
    for path in folder.rglob("*"):
        own = path.is_file() and NOT_OURS.isdisjoint(path.parts)
        content = path.read_bytes() if own else b""
        if content.startswith(GZIP):
            with contextlib.suppress(EOFError):  # what an engine that was stopped has begun
                content = gzip.decompress(content)
        found |= {path: content} if own else {}
    return found
