"""Check the rendered manifests: our own rules and those of others; with what is waived.

Exit codes: 0 nothing to fix, 1 something is violated, 2 wrong usage or a missing tool.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

import msgspec

from infra import policy
from infra.policy.objects import ManifestError, Stack, load
from infra.policy.rules import Violation, Waiver, apply_waivers
from infra.policy.waivers import WAIVERS
from infra.stacks import STACKS
from scripts import ROOT, console, programs
from scripts.programs import ProgramError
from scripts.render import RENDERED
from scripts.schemas import FOLDER, KUBERNETES, OPERATOR_FOLDER

VIOLATED: Final = 1
SCORE: Final = "kube-score"
CONFORM: Final = "kubeconform"
POD_SECURITY: Final = "pod-security"
PERFECT: Final = 10
"""kube-score's grade of a check without any remark."""
OPTIONAL: Final = ("container-ports-check", "container-seccomp-profile")
"""Checks that it leaves out unless asked. The rest of those demand that requests equal limits,
which buys a quality of service that nothing here needs, with CPU that stands idle."""
SCHEMA: Final = "{{.ResourceKind}}{{.KindSuffix}}.json"


@console.command("policy", usage=(ProgramError, FileNotFoundError, ManifestError))
def main(arguments: Sequence[str] | None = None) -> int:
    parser = console.parser("scripts.policy", __doc__)
    parser.add_argument("stack", choices=(*STACKS, "all"), nargs="?", default="all")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--manifests",
        type=Path,
        default=ROOT / RENDERED,
        metavar="FOLDER",
        help="the parent of the stacks' manifests (infra/rendered)",
    )
    options = parser.parse_args(arguments)
    stacks = STACKS if options.stack == "all" else (options.stack,)
    checked = {stack: check(stack, options.manifests / stack) for stack in stacks}
    if options.json:
        documents = [document(stack, found) for stack, found in checked.items()]
        print(json.dumps({"stacks": documents}, ensure_ascii=False))
    else:
        console.show(line for stack, found in checked.items() for line in lines(stack, found))
    return VIOLATED if any(v.waiver is None for f in checked.values() for v in f) else 0


def check(stack: str, folder: Path) -> list[Violation]:
    return [*policy.review(load(folder)), *violations(stack, folder)]


def lines(stack: str, found: Sequence[Violation]) -> list[tuple[str, str]]:
    wrong = [violation for violation in found if violation.waiver is None]
    waived = [(violation, violation.waiver.expires) for violation in found if violation.waiver]
    shown = [(f"{stack}: {len(wrong)} violated, {len(waived)} waived", "bold")]
    shown += [(f"  {violation.severity:<9} {violation}", "red") for violation in wrong]
    shown += [(f"  waived    {violation} (until {day})", "dim") for violation, day in waived]
    return shown


def document(stack: str, found: Sequence[Violation]) -> dict[str, Any]:
    violations = [{**msgspec.to_builtins(each), "message": each.message} for each in found]
    return {"stack": stack, "violations": violations}


def violations(
    stack: str, folder: Path, waivers: tuple[Waiver, ...] = WAIVERS, today: date | None = None
) -> list[Violation]:
    mine = tuple(w for w in waivers if w.rule.startswith(f"{SCORE}/") and stack in w.stacks)
    return list(apply_waivers(_found(folder), mine, today))


def objections(stack: Stack) -> Iterator[Violation]:
    """Yield what our rules and Pod Security admission find in one side of a review."""
    yield from policy.violations(stack)
    yield from pod_security(stack)


def _found(folder: Path) -> Iterator[Violation]:
    yield from kube_score(folder)
    yield from pod_security(load(folder))
    for version in KUBERNETES:
        yield from kubeconform(folder, version)


def kube_score(folder: Path) -> Iterator[Violation]:
    oldest = ".".join(KUBERNETES[0].split(".")[:2])
    optional = [part for name in OPTIONAL for part in ("--enable-optional-test", name)]
    files = [str(path) for path in sorted(folder.rglob("*.yaml"))]
    options = ["--kubernetes-version", oldest, "--disable-ignore-checks-annotations", *optional]
    for scored in _asked(SCORE, "score", *files, "--output-format", "json", *options):
        title = f"{scored['type_meta']['kind']} {scored['object_meta']['name']}"
        for check in scored["checks"]:
            if not check["skipped"] and check["grade"] < PERFECT:
                rule = f"{SCORE}/{check['check']['id']}"
                yield Violation(rule, "mandatory", title, _remark(check))


def _remark(check: Any) -> str:
    message = sorted({comment["summary"] for comment in check["comments"] or ()})
    return f"fails “{check['check']['name']}”: {'; '.join(message) or check['check']['comment']}"


def kubeconform(folder: Path, version: str) -> Iterator[Violation]:
    places = [
        f"{ROOT}/{FOLDER}/{{{{.NormalizedKubernetesVersion}}}}/{SCHEMA}",
        f"{ROOT}/{FOLDER}/{OPERATOR_FOLDER}/{SCHEMA}",
    ]
    locations = [part for place in places for part in ("-schema-location", place)]
    options = ["-strict", "-output", "json", "-kubernetes-version", version.removeprefix("v")]
    answer = _asked(CONFORM, *options, *locations, str(folder))
    for resource in answer["resources"]:
        title = f"{resource['kind']} {resource['name']}"
        yield Violation(
            f"{CONFORM}/{version}", "mandatory", title, f"is refused: {resource['msg']}"
        )


def pod_security(stack: Stack) -> Iterator[Violation]:
    """Yield what the level "restricted" forbids, by the API server's own code; raise ProgramError.

    An API server applies it to pods: it takes a Deployment, which then never gets any.
    """
    pods = stack.pods()
    templates = [{"metadata": {"annotations": pod.annotations}, "spec": pod.spec} for pod in pods]
    answer = _asked(POD_SECURITY, given=json.dumps(templates))
    for pod, reasons in zip(pods, answer, strict=True):
        for text in reasons:
            rule = f"{POD_SECURITY}/restricted"
            yield Violation(rule, "mandatory", pod.owner, f"is refused: {text}")


def _asked(name: str, *arguments: str, given: str = "") -> Any:
    """Return a checker's answer; its exit code says only that there are remarks."""
    answer = programs.run(programs.path_of(name), *arguments, given=given)
    try:
        return json.loads(answer)
    except ValueError as error:
        raise ProgramError(f"{name} failed: {answer}") from error


if __name__ == "__main__":
    sys.exit(main())
