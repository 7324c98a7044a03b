"""Judge the rendered manifests: our own rules, kube-score, kubeconform; with what is waived.

Exit codes: 0 nothing to mend, 1 something is violated, 2 wrong usage or a missing tool.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.text import Text

from infra import policy
from infra.config import STACKS
from infra.policy.objects import ManifestError, load
from infra.policy.rules import Violation
from scripts import ROOT, checkers, console
from scripts.render import RENDERED

VIOLATED: Final = 1
USAGE: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge, print; return the exit code."""
    options = _parser().parse_args(arguments)
    stacks = STACKS if options.stack == "all" else (options.stack,)
    try:
        judged = {stack: judge(stack, options.manifests / stack) for stack in stacks}
    except (checkers.CheckerError, FileNotFoundError, ManifestError) as error:
        console.complain("policy", error)
        return USAGE
    if options.json:
        documents = [document(stack, found) for stack, found in judged.items()]
        print(json.dumps({"stacks": documents}, ensure_ascii=False))
    else:
        screen = console.make()
        for stack, found in judged.items():
            for text, style in lines(stack, found):
                screen.print(Text(text, style=style), soft_wrap=True)
    return VIOLATED if any(v.waiver is None for f in judged.values() for v in f) else 0


def judge(stack: str, folder: Path) -> list[Violation]:
    """Return everything that is found in a stack's folder, waived findings included."""
    return [*policy.review(load(folder)), *checkers.violations(stack, folder)]


def lines(stack: str, found: Sequence[Violation]) -> list[tuple[str, str]]:
    """Return what is said about a stack, each line with its style."""
    wrong = [violation for violation in found if violation.waiver is None]
    waived = [violation for violation in found if violation.waiver is not None]
    said = [(f"{stack}: {len(wrong)} violated, {len(waived)} waived", "bold")]
    said += [(f"  {violation.severity:<9} {violation}", "red") for violation in wrong]
    said += [(f"  waived    {violation} ({_until(violation)})", "dim") for violation in waived]
    return said


def _until(violation: Violation) -> str:
    return f"until {violation.waiver.expires}" if violation.waiver else ""


def document(stack: str, found: Sequence[Violation]) -> dict[str, Any]:
    """Return what is found as JSON."""
    return {
        "stack": stack,
        "violations": [
            {
                "rule": violation.rule,
                "severity": violation.severity,
                "object": violation.object,
                "message": violation.message,
                "waiver": violation.waiver
                and {
                    "reason": violation.waiver.reason,
                    "expires": violation.waiver.expires.isoformat(),
                },
            }
            for violation in found
        ],
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.policy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stack", choices=(*STACKS, "all"), nargs="?", default="all")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--manifests",
        type=Path,
        default=ROOT / RENDERED,
        metavar="FOLDER",
        help="the parent of the stacks' manifests (infra/rendered)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
