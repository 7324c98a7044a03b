"""The lock of the image's packages: pinned, hashed, licensed as we allow. Needs no network."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Final

from scripts.audit.findings import Check

_LINE: Final = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9-]*)==(?P<version>[A-Za-z0-9.!+]+)"
    r"(?: ; [^#]+?)?(?P<hashes>(?: --hash=sha256:[0-9a-f]{64})+)"
)
"""The one form of a line: anything else (a URL, a range, an index, no hash) is a finding."""

ALLOWED: Final = frozenset(
    {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "PSF-2.0"}
)
EXCEPTIONS: Final[Mapping[str, str]] = {
    "psycopg2-binary": "LGPL with exceptions",  # used as a library, which is what it allows
}
"""Packages whose licence is allowed for this package alone, with what it says."""

SPDX: Final[Mapping[str, str]] = {
    "Apache": "Apache-2.0",
    "Apache 2": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Python Software Foundation License": "PSF-2.0",
}
"""What packages wrote before licences had names that programs can read."""

_CLASSIFIER: Final = "License :: OSI Approved :: "


@dataclass(frozen=True)
class Pinned:
    """A package of the lock."""

    name: str
    version: str


Licence = Callable[[Pinned], str]
"""Returns what a package says of its licence; "" for none."""


def read(text: str) -> tuple[list[Pinned], list[str]]:
    """Return the packages of a lock, and the lines that are not pinned by version and hash."""
    pinned, wrong = [], []
    for line in _logical(text):
        found = _LINE.fullmatch(line)
        if found:
            pinned.append(Pinned(found["name"], found["version"]))
        else:
            wrong.append(f"not pinned by version and sha256: {line[:80]}")
    return pinned, wrong


def check_pins(text: str) -> Check:
    """Every package has one version and the hashes of its files."""
    pinned, wrong = read(text)
    names = [each.name for each in pinned]
    wrong += [
        f"{name} is locked twice" for name in sorted({n for n in names if names.count(n) > 1})
    ]
    return Check("pins", f"{len(pinned)} packages, each with a version and hashes", tuple(wrong))


def check_licences(text: str, licence: Licence) -> Check:
    """Every licence is one of those that we allow."""
    pinned, _ = read(text)
    wrong = [
        f"{each.name} {each.version}: {licence(each) or 'says nothing of its licence'}"
        for each in pinned
        if not allowed(each.name, licence(each))
    ]
    return Check(
        "licences", f"{len(pinned)} packages; allowed: {', '.join(sorted(ALLOWED))}", tuple(wrong)
    )


def allowed(name: str, licence: str) -> bool:
    """Tell whether a licence is allowed; of alternatives one is enough, of parts all must be."""
    if EXCEPTIONS.get(name) == licence:
        return True
    return any(
        all(SPDX.get(part, part) in ALLOWED for part in choice.split(" AND "))
        for choice in licence.split(" OR ")
    )


def installed_licence(package: Pinned) -> str:
    """Return what the installed package says; "" if another version is installed, or none."""
    try:
        found = metadata.distribution(package.name)
    except metadata.PackageNotFoundError:
        return ""
    if found.version != package.version:
        return ""
    classifiers = [each for each in _said(found, "Classifier") if each.startswith(_CLASSIFIER)]
    named = [*_said(found, "License-Expression"), *_said(found, "License"), ""][0].strip()
    if named and "\n" not in named:  # some put the whole text there
        return named
    return " OR ".join(each.removeprefix(_CLASSIFIER) for each in classifiers)


def _said(package: metadata.Distribution, field: str) -> list[str]:
    return [str(value) for value in package.metadata.get_all(field) or []]


def _logical(text: str) -> Iterator[str]:
    for line in re.sub(r"\s*\\\n\s*", " ", text).splitlines():
        stripped = line.split(" # ")[0].strip()
        if stripped and not stripped.startswith("#"):
            yield stripped
