"""List every difference between staging and prod: settings, and fields of rendered objects.

A difference that `infra/parity.py` does not declare with a reason fails, and so does a declaration
that nothing needs any more. Exit codes: 0 every difference has its reason, 1 one has none or a
reason has no difference, 2 a stack's file is wrong or its manifests are missing.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from infra import config
from infra.labels import PLACEHOLDER, PROJECT
from infra.parity import Difference, compare
from infra.policy.objects import ManifestError, Stack, load
from infra.sections import StackConfig
from scripts import ROOT, console
from scripts.deploy.revisions import SECRET_VALUES, RevisionError, settings
from scripts.render import RENDERED

DIFFERENT: Final = 1
StackState = tuple[StackConfig, Stack]


@console.command("parity", usage=(config.StackConfigError, ManifestError, OSError, RevisionError))
def main(arguments: Sequence[str] | None = None) -> int:
    parser = console.parser("scripts.parity", __doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--root", type=Path, default=ROOT, metavar="FOLDER", help="another clone (this one)"
    )
    options = parser.parse_args(arguments)
    found, unused = compare(read(options.root, "staging"), read(options.root, "prod"))
    if options.json:
        print(msgspec.json.encode({"differences": found, "unused": unused}).decode())
    else:
        console.show(lines(found, unused))
    return DIFFERENT if unused or any(not one.reason for one in found) else 0


def read(root: Path, stack: str) -> StackState:
    """Return a stack's settings and its rendered objects.

    Nobody needs a key for that: secrets are compared by their names alone. Raises StackConfigError,
    RevisionError, ManifestError or OSError.
    """
    given = settings(root / f"Pulumi.{stack}.yaml")["config"]
    if isinstance(secrets := given.get(SECRET_VALUES), dict):
        given[SECRET_VALUES] = dict.fromkeys(secrets, PLACEHOLDER)
    raw = {
        key.removeprefix(f"{PROJECT}:"): value if isinstance(value, str) else json.dumps(value)
        for key, value in given.items()
    }
    return config.load(stack, raw, ("secretValues",)), load(root / RENDERED / stack)


def lines(found: Sequence[Difference], unused: Sequence[str]) -> Iterator[tuple[str, str]]:
    undeclared = [one for one in found if not one.reason]
    reasons = dict.fromkeys(one.reason for one in found if one.reason)
    yield (
        f"staging → prod: {len(found)} differences, {len(undeclared)} without a reason",
        "bold",
    )
    for reason in reasons:
        yield f"  {reason}", "green"
        for one in found:
            if one.reason == reason:
                yield f"    {one}", ""
    if undeclared:
        yield "  No reason: make them the same, or declare why not in infra/parity.py", "bold red"
    for one in undeclared:
        yield f"    {one}", "red"
    for reason in unused:
        yield f"  A reason without a difference; remove it from infra/parity.py: {reason}", "red"


if __name__ == "__main__":
    sys.exit(main())
