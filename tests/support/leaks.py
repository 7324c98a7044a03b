"""Secrets in the output of a whole test run: what is looked for, and where.

Every process that a test starts writes what it says into a `.log` file below the run's folder.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.services import JWT_SECRET, SIMULATOR_SECRETS

PLANTED: Final = "planted-9f3b2c7e"
"""Part of every secret that a test makes up to see where it comes out."""

LITERALS: Final = (JWT_SECRET, *SIMULATOR_SECRETS.values(), PLANTED)
PATTERNS: Final = {
    "a bearer token": r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}",
    "an Authorization header": r"[Bb]earer (?!\*\*\*)[\w.~+/=-]{8,}",
    "a password of a URL": r"://[^\s/:@\"]*:(?!\*\*\*)[^\s@/\"]+@",
    "a provider's key": r"\b(?:sk|rk)_(?:test|live)_\w{8,}",
    "a webhook's secret": r"\bwhsec_\w{8,}",
    "a client secret": r"\b\w+_secret_\w{8,}",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY",
}
_SEARCHED: Final = re.compile(
    "|".join(
        [*(re.escape(literal) for literal in LITERALS), *(f"(?:{p})" for p in PATTERNS.values())]
    )
)
MARKS: Final = (b"PLOG", b"\x1f\x8b")
LONGEST_MARK: Final = max(map(len, MARKS))
"""How the engine's own logs begin: encrypted ones, packed ones."""
SHOWN: Final = 12
"""Characters of a leak that are shown: enough to know it by."""


@dataclass(frozen=True)
class Leak:
    """A secret in a line of output."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text[:SHOWN]}…"


def leaks_in(path: Path) -> Iterator[Leak]:
    """Yield the secrets in a file of text.

    The engine packs or encrypts the logs it keeps for itself; megabytes of noise look like a
    password now and then.
    """
    with path.open("rb") as start:
        if start.read(LONGEST_MARK).startswith(MARKS):
            return
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            for match in _SEARCHED.finditer(line):
                yield Leak(path, number, match[0])


def leaks_below(folder: Path) -> tuple[list[Leak], int]:
    """Return the secrets in all logs below a folder, and how many logs there are."""
    logs = sorted(path for path in folder.rglob("*.log") if path.is_file())
    return [leak for path in logs for leak in leaks_in(path)], len(logs)
