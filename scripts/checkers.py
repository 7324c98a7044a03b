"""Judges of others over rendered manifests: kube-score's checklist, kubeconform's schemas."""

import json
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final

from infra.policy.rules import Violation, Waiver, judge
from infra.policy.waivers import WAIVERS
from scripts.engine import BINARIES, ROOT
from scripts.schemas import FOLDER, KUBERNETES, OPERATOR_FOLDER

SCORE: Final = "kube-score"
CONFORM: Final = "kubeconform"
TIMEOUT_S: Final = 60.0  # a second of work; a minute is for a machine that is swamped
PERFECT: Final = 10
"""kube-score's grade of a check without any remark."""
OPTIONAL: Final = ("container-ports-check", "container-seccomp-profile")
"""Checks that it leaves out unless asked. The rest of those demand that requests equal limits,
which buys a quality of service that nothing here needs, with CPU that stands idle."""
SCHEMA: Final = "{{.ResourceKind}}{{.KindSuffix}}.json"


class CheckerError(Exception):
    """A checker is missing or doesn't do its work; the message says what to do."""


def violations(
    stack: str, folder: Path, waivers: tuple[Waiver, ...] = WAIVERS, today: date | None = None
) -> list[Violation]:
    """Return what both find in a stack's folder, the waived findings with their waiver."""
    mine = tuple(w for w in waivers if w.rule.startswith(f"{SCORE}/") and stack in w.stacks)
    return list(judge(_found(folder), mine, today))


def _found(folder: Path) -> Iterator[Violation]:
    yield from kube_score(folder)
    for module in KUBERNETES:
        yield from kubeconform(folder, module.version)


def kube_score(folder: Path) -> Iterator[Violation]:
    """Yield kube-score's remarks, whose ids are `kube-score/<its check>`; raise CheckerError."""
    oldest = ".".join(KUBERNETES[0].version.split(".")[:2])
    optional = [part for name in OPTIONAL for part in ("--enable-optional-test", name)]
    files = [str(path) for path in sorted(folder.rglob("*.yaml"))]
    options = ["--kubernetes-version", oldest, "--disable-ignore-checks-annotations", *optional]
    for scored in _run(SCORE, "score", *files, "--output-format", "json", *options):
        title = f"{scored['type_meta']['kind']} {scored['object_meta']['name']}"
        for check in scored["checks"]:
            if not check["skipped"] and check["grade"] < PERFECT:
                rule = f"{SCORE}/{check['check']['id']}"
                yield Violation(rule, "mandatory", title, _remark(check))


def _remark(check: Any) -> str:
    said = sorted({comment["summary"] for comment in check["comments"] or ()})
    return f"fails “{check['check']['name']}”: {'; '.join(said) or check['check']['comment']}"


def kubeconform(folder: Path, version: str) -> Iterator[Violation]:
    """Yield what an API server of this version would refuse; raise CheckerError."""
    places = [
        f"{ROOT}/{FOLDER}/{{{{.NormalizedKubernetesVersion}}}}/{SCHEMA}",
        f"{ROOT}/{FOLDER}/{OPERATOR_FOLDER}/{SCHEMA}",
    ]
    locations = [part for place in places for part in ("-schema-location", place)]
    options = ["-strict", "-output", "json", "-kubernetes-version", version.removeprefix("v")]
    answer = _run(CONFORM, *options, *locations, str(folder))
    for resource in answer["resources"]:
        title = f"{resource['kind']} {resource['name']}"
        yield Violation(
            f"{CONFORM}/{version}", "mandatory", title, f"is refused: {resource['msg']}"
        )


def _run(program: str, *arguments: str) -> Any:
    command = BINARIES / program
    if not command.exists():
        raise CheckerError(f"{command} is missing: run tools/bootstrap {program}")
    try:
        done = subprocess.run(
            [command, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        return json.loads(done.stdout)  # its exit code says only that there are remarks
    except subprocess.TimeoutExpired as error:
        raise CheckerError(f"{program} did not end within {TIMEOUT_S:g} s") from error
    except ValueError as error:
        raise CheckerError(f"{program} failed: {done.stderr.strip() or done.stdout}") from error
