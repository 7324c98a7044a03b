"""What only others know: advisories (pip-audit) and withdrawn releases (the package index).

Both may not answer. Then that is said: a service that was not asked has not said "clean".
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from scripts.audit.findings import Check

TIMEOUT_S: Final = 180.0  # half a minute where the services are near
ANSWER_S: Final = 10
SERVICES: Final = ("pypi", "osv")
"""pip-audit's two sources of advisories; one that knows every package is enough."""

Run = Callable[[Sequence[str]], str]
"""Runs a Python module and returns its stdout; raises OSError or subprocess.SubprocessError."""


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
