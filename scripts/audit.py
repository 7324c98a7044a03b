"""Audit what the image carries: `make audit`.

Exit code 0: all checks were made and nothing was found. 1: something was found. 3: nothing was
found, but an advisory service or the package index could not be asked.
"""

import argparse
import json
import re
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from packaging.utils import canonicalize_name
from pip_requirements_parser import RequirementsFile

from scripts import ROOT
from scripts.bootstrap.console import Console
from scripts.console import parser as new_parser
from scripts.platform import image_checks, images

LOCK: Final = ROOT / "requirements" / "runtime.txt"
BILL: Final = ROOT / "build" / "audit" / "bom.json"
IMAGE: Final = "localhost/coinslot:audit"
EXIT_INTERRUPTED: Final = 130
BILL_FORM: Final = ("--output-format", "JSON", "--output-reproducible", "--no-validate")
EXIT_FOUND: Final = 1
EXIT_NOT_ASKED: Final = 3
"""Nothing was found, and somebody who might know more did not answer: that is not "clean"."""
_SHA256: Final = re.compile(r"sha256:[0-9a-f]{64}")
LICENSES: Final = tomllib.loads((ROOT / "tools" / "cyclonedx" / "licenses.toml").read_text())
ALLOWED: Final = frozenset(LICENSES["allowed"])
EXCEPTIONS: Final[Mapping[str, str]] = LICENSES["exceptions"]
TIMEOUT_S: Final = 180.0  # half a minute where the services are near
ANSWER_S: Final = 10
SERVICES: Final = ("pypi", "osv")  # of advisories; one that knows every package is enough
Package = tuple[str, str]
"""Name and version."""
Run = Callable[[Sequence[str]], str]
"""Runs a Python module and returns its stdout; raises OSError or subprocess.SubprocessError."""


@dataclass(frozen=True)
class Check:
    """One check. `looked_at` says what it went through, so that an empty one can't look clean."""

    name: str
    looked_at: str
    found: tuple[str, ...] = ()
    not_asked: str = ""


def exit_code(checks: Sequence[Check]) -> int:
    """Return 1 for a finding, else 3 for a check that could not be made, else 0."""
    if any(check.found for check in checks):
        return EXIT_FOUND
    return EXIT_NOT_ASKED if any(check.not_asked for check in checks) else 0


def lines(checks: Sequence[Check]) -> Iterator[str]:
    for check in checks:
        state = "FOUND" if check.found else "NOT ASKED" if check.not_asked else "ok"
        yield f"{state:9}  {check.name}: {check.looked_at}"
        yield from (f"           - {each}" for each in (*check.found, check.not_asked) if each)


def main(arguments: Sequence[str]) -> int:
    parser = new_parser("scripts.audit", __doc__)
    parser.add_argument("--lock", type=Path, default=LOCK, help="the locked requirements")
    parser.add_argument("--bill", type=Path, default=BILL, help="where the bill of materials goes")
    parser.add_argument("--image", default=IMAGE, help="an image that is there; default: build it")
    parser.add_argument("--no-image", action="store_true", help="look at no image")
    parser.add_argument("--offline", action="store_true", help="ask nobody outside")
    parser.add_argument("--json", action="store_true", help="the checks as JSON")
    options = parser.parse_args(arguments)
    console = Console(name="audit")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        with console.alive():
            checks = list(_audit(options, console))
    except (*images.FAILURES, *image_checks.FAILURES, subprocess.SubprocessError) as error:
        console.log(f"a check could not be made: {error}")
        return 1
    except KeyboardInterrupt:
        console.log("interrupted")
        return EXIT_INTERRUPTED
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(checks), indent=2).decode())
    else:
        print("\n".join(lines(checks)))
    return exit_code(checks)


def _audit(options: argparse.Namespace, console: Console) -> Iterator[Check]:
    pinned, _ = read(options.lock)
    yield check_pins(options.lock)
    yield check_licenses(pinned, installed_licenses())
    if not options.offline:
        with console.step("asking the package index and the advisory services", "30 s"):
            yield check_withdrawn(options.lock, len(pinned))
            yield check_advisories(options.lock, len(pinned))
    _write_bill(options.lock, options.bill, console)
    if not options.no_image:
        yield _check_image(options.image, console)


def _check_image(tag: str, console: Console) -> Check:
    builder = images.ImageBuilder(console)
    if tag == IMAGE:
        builder.build(images.service_build(builder, tag))
    with (
        console.step(f"scanning {tag}", "10 s"),
        tempfile.TemporaryDirectory(prefix="coinslot-audit-") as scratch,
        builder.engine.container(tag) as container,
    ):
        found = image_checks.scan(container, Path(scratch))
    seen = f"{found['files'][0]} files, user, settings"
    return Check("image", seen, tuple(image_checks.problems(found)))


def _write_bill(locked: Path, bill: Path, console: Console) -> None:
    bill.parent.mkdir(parents=True, exist_ok=True)
    arguments = ("cyclonedx_py", "requirements", str(locked), *BILL_FORM)
    bill.write_text(run_module(arguments, check=True))
    console.log(f"bill of materials (CycloneDX): {bill}")


def read(lock: Path) -> tuple[list[Package], list[str]]:
    """Return the packages of a lock, and the lines that are not pinned by version and hash."""
    parsed = RequirementsFile.from_file(str(lock))
    lines = [each.requirement_line.line for each in (*parsed.options, *parsed.invalid_lines)]
    pinned = []
    for each in parsed.requirements:
        version, hashes = each.get_pinned_version, each.hash_options
        if version and "*" not in version and hashes and all(map(_SHA256.fullmatch, hashes)):
            pinned.append((each.name, version))
        else:
            lines.append(each.requirement_line.line)
    return pinned, [f"not pinned by version and sha256: {line[:80]}" for line in lines]


def check_pins(lock: Path) -> Check:
    pinned, wrong = read(lock)
    times = Counter(name for name, _ in pinned)
    wrong += [f"{name} is locked twice" for name in sorted(times) if times[name] > 1]
    return Check("pins", f"{len(pinned)} packages, each with a version and hashes", tuple(wrong))


def check_licenses(pinned: Sequence[Package], licenses: Mapping[Package, Sequence[str]]) -> Check:
    """Every package declares a license, and we allow each that it declares."""
    wrong = [
        f"{name} {version}: {', '.join(given) or 'no license is declared'}"
        for name, version in pinned
        for given in [licenses.get((name, version), ())]
        if not (given and all(allowed(name, each) for each in given))
    ]
    seen = f"{len(pinned)} packages; allowed: {', '.join(sorted(ALLOWED))}"
    return Check("licenses", seen, tuple(wrong))


def allowed(name: str, given: str) -> bool:
    """Tell whether a license is allowed; of alternatives one is enough, of parts all must be."""
    return EXCEPTIONS.get(name) == given or any(
        ALLOWED.issuperset(choice.split(" AND ")) for choice in given.split(" OR ")
    )


def installed_licenses() -> dict[Package, list[str]]:
    """Return what the installed packages declare, by CycloneDX's reading of their metadata."""
    arguments = ("cyclonedx_py", "environment", sys.executable, *BILL_FORM)
    bill = json.loads(run_module(arguments, check=True))
    return {
        (canonicalize_name(each["name"]), each["version"]): [
            declared.get("expression") or named.get("id") or named["name"]
            for declared in each.get("licenses", ())
            for named in [declared.get("license", {})]
        ]
        for each in bill["components"]
    }


def run_module(arguments: Sequence[str], *, check: bool = False) -> str:
    """Run `python -m <arguments>` and return what it prints; `check` looks at its exit code too."""
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    if done.returncode if check else not done.stdout:
        raise subprocess.SubprocessError(f"{arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def check_advisories(lock: Path, packages: int, run: Run = run_module) -> Check:
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
        f" (fixed in {', '.join(known['fix_versions']) or 'no release yet'})"
        for each in answered
        for known in each["vulns"]
    ]


def _json(run: Run, ask: Sequence[str]) -> dict[str, Any]:
    try:
        answer = json.loads(run(ask))
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}  # no answer; a reason went to stderr
    return answer if isinstance(answer, dict) else {}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
