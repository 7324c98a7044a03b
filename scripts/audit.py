"""Audit what the image carries: `make audit`.

Exit code 0: all checks were made and nothing was found. 1: something was found. 3: nothing was
found, but an advisory service or the package index could not be asked.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import msgspec

from scripts import ROOT
from scripts.bootstrap import store
from scripts.bootstrap.commands import Commands
from scripts.bootstrap.console import Console
from scripts.console import parser as new_parser
from scripts.image import __main__ as images
from scripts.image import inside

LOCK: Final = ROOT / "requirements" / "runtime.txt"
BILL: Final = ROOT / "build" / "audit" / "bom.json"
IMAGE: Final = "localhost/coinslot:audit"
EXIT_INTERRUPTED: Final = 130
BILL_TIMEOUT_S: Final = 60.0
EXIT_FOUND: Final = 1
EXIT_NOT_ASKED: Final = 3
"""Nothing was found, and somebody who might know more did not answer: that is not "clean"."""
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
"""Packages whose license is allowed for this package alone, with what it says."""

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
"""What packages wrote before licenses had names that programs can read."""

_CLASSIFIER: Final = "License :: OSI Approved :: "
TIMEOUT_S: Final = 180.0  # half a minute where the services are near
ANSWER_S: Final = 10
SERVICES: Final = ("pypi", "osv")
"""pip-audit's two sources of advisories; one that knows every package is enough."""
Run = Callable[[Sequence[str]], str]
"""Runs a Python module and returns its stdout; raises OSError or subprocess.SubprocessError."""


@dataclass(frozen=True)
class Check:
    """One check. `looked_at` says what it went through, so that an empty one can't look clean."""

    name: str
    looked_at: str
    found: tuple[str, ...] = ()
    not_asked: str = ""


@dataclass
class Audit:
    """All checks of a run."""

    checks: list[Check] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """Return 1 for a finding, else 3 for a check that could not be made, else 0."""
        if any(check.found for check in self.checks):
            return EXIT_FOUND
        if any(check.not_asked for check in self.checks):
            return EXIT_NOT_ASKED
        return 0

    def lines(self) -> list[str]:
        """Return the audit in words."""
        said = []
        for check in self.checks:
            state = "FOUND" if check.found else "NOT ASKED" if check.not_asked else "ok"
            said.append(f"{state:9}  {check.name}: {check.looked_at}")
            said += [f"           - {each}" for each in check.found]
            if check.not_asked:
                said.append(f"           - {check.not_asked}")
        return said


def main(arguments: Sequence[str]) -> int:
    """Make every check that can be made; return the exit code."""
    options = _parse(arguments)
    console = Console(name="audit")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, images.interrupt)
    try:
        with console.alive():
            audit = _audit(options, console)
    except images.FAILURES as error:
        console.say(f"the image could not be looked at: {error}")
        return 1
    except KeyboardInterrupt:
        console.say("interrupted")
        return EXIT_INTERRUPTED
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(audit.checks), indent=2).decode())
    else:
        print("\n".join(audit.lines()))
    return audit.exit_code


def _audit(options: argparse.Namespace, console: Console) -> Audit:
    text = options.lock.read_text()
    packages = len(read(text)[0])
    audit = Audit([check_pins(text), check_licenses(text, installed_license)])
    if not options.offline:
        with console.step("asking the package index and the advisory services", "30 s"):
            audit.checks.append(check_withdrawn(options.lock, packages))
            audit.checks.append(check_advisories(options.lock, packages))
    _write_bill(options.lock, console)
    if not options.no_image:
        audit.checks.append(_look_at_image(options.image, console))
    return audit


def _look_at_image(tag: str, console: Console) -> Check:
    cache = store.cache_home()
    commands = Commands(cache / "logs" / str(os.getpid()))
    engine = images.choose(cache, commands)
    if tag == IMAGE:
        images.build(engine, tag, commands, console)
    with (
        console.step(f"looking through {tag}", "10 s"),
        tempfile.TemporaryDirectory(prefix="coinslot-audit-") as scratch,
        engine.container(tag) as container,
    ):
        found = inside.look(container, Path(scratch))
    seen = f"{found['files'][0]} files, user, settings"
    return Check("image", seen, tuple(inside.problems(found)))


def _write_bill(locked: Path, console: Console) -> None:
    """Write a CycloneDX bill of materials of the lock, the same for the same lock."""
    BILL.parent.mkdir(parents=True, exist_ok=True)
    form = ("--output-format", "JSON", "--output-reproducible", "--no-validate")
    command = (sys.executable, "-m", "cyclonedx_py", "requirements", str(locked), *form)
    subprocess.run((*command, "-o", str(BILL)), check=True, timeout=BILL_TIMEOUT_S)
    console.say(f"bill of materials (CycloneDX): {BILL.relative_to(ROOT)}")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = new_parser("scripts.audit", __doc__)
    parser.add_argument("--lock", type=Path, default=LOCK, help="the locked requirements")
    parser.add_argument("--image", default=IMAGE, help="an image that is there; default: build it")
    parser.add_argument("--no-image", action="store_true", help="look at no image")
    parser.add_argument("--offline", action="store_true", help="ask nobody outside")
    parser.add_argument("--json", action="store_true", help="the checks as JSON")
    return parser.parse_args(arguments)


@dataclass(frozen=True)
class Pinned:
    """A package of the lock."""

    name: str
    version: str


License = Callable[[Pinned], str]
"""Returns what a package says of its license; "" for none."""


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


def check_licenses(text: str, asked: License) -> Check:
    """Every license is one of those that we allow."""
    pinned, _ = read(text)
    wrong = [
        f"{each.name} {each.version}: {asked(each) or 'says nothing of its license'}"
        for each in pinned
        if not allowed(each.name, asked(each))
    ]
    return Check(
        "licenses", f"{len(pinned)} packages; allowed: {', '.join(sorted(ALLOWED))}", tuple(wrong)
    )


def allowed(name: str, given: str) -> bool:
    """Tell whether a license is allowed; of alternatives one is enough, of parts all must be."""
    if EXCEPTIONS.get(name) == given:
        return True
    return any(
        all(SPDX.get(part, part) in ALLOWED for part in choice.split(" AND "))
        for choice in given.split(" OR ")
    )


def installed_license(package: Pinned) -> str:
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


def run_module(arguments: Sequence[str]) -> str:
    """Run `python -m <arguments>`; return what it prints, whatever its exit code is."""
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    return done.stdout


def check_advisories(lock: Path, packages: int, run: Run = run_module) -> Check:
    """Ask for known vulnerabilities of every package of the lock."""
    reasons = []
    for service in SERVICES:
        options = ("--disable-pip", "--require-hashes", "--progress-spinner=off", "--format=json")
        ask = ("pip_audit", "-r", str(lock), *options, f"--timeout={ANSWER_S}", "-s", service)
        answer = _json(run, ask)
        answered = [each for each in answer.get("dependencies", ()) if "vulns" in each]
        found = tuple(_vulnerabilities(answered))
        if found or len(answered) >= packages:
            return Check("advisories", f"{len(answered)} packages, by {service}", found)
        reasons.append(f"{service} knew of {len(answered)}")
    return Check(
        "advisories",
        f"{packages} packages",
        not_asked=f"no advisory service knows these packages ({'; '.join(reasons)}): "
        "run this where one can be reached",
    )


def check_withdrawn(lock: Path, packages: int, run: Run = run_module) -> Check:
    """Ask the package index whether a locked release was withdrawn (yanked)."""
    options = ("--dry-run", "--quiet", "--no-deps", "--ignore-installed", "--only-binary=:all:")
    ask = ("pip", "install", *options, "--require-hashes", "--report=-", "-r", str(lock))
    found = _json(run, ask).get("install", ())
    if len(found) == 0:
        return Check("withdrawn", f"{packages} packages", not_asked="the index does not answer")
    withdrawn = tuple(
        f"{each['metadata']['name']} {each['metadata']['version']} was withdrawn"
        for each in found
        if each.get("is_yanked")
    )
    return Check("withdrawn", f"{len(found)} packages that are used on this Python", withdrawn)


def _vulnerabilities(answered: Sequence[dict[str, Any]]) -> list[str]:
    return [
        f"{each['name']} {each['version']}: {known['id']}"
        f" (mended in {', '.join(known['fix_versions']) or 'no release yet'})"
        for each in answered
        for known in each["vulns"]
    ]


def _json(run: Run, ask: Sequence[str]) -> dict[str, Any]:
    try:
        answer = json.loads(run(ask))
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}  # no answer; what it said instead went to stderr
    return answer if isinstance(answer, dict) else {}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
