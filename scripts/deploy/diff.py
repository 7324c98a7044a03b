"""Say what a change does to the cluster: objects, fields, risks, violated policies.

Both revisions are rendered from git with the real engine. The base is where the change left BASE;
the head is the working tree, uncommitted files included, or --head.

Exit codes: 0 it is printed, 1 a revision does not render, 2 wrong usage or a missing tool, 3 with
--fail-on: there is a risk at least so severe, or a newly violated policy; 130 after Ctrl-C.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Final

from infra.policy.objects import ManifestError, Stack, load
from infra.review import Review, compare, report
from infra.review.risks import SEVERITIES
from infra.stacks import STACKS
from scripts import console, policy
from scripts.deploy.revisions import Repository, Revision, RevisionError, render
from scripts.programs import ProgramError

RISKY: Final = 3
ENGINES: Final = 2  # more would fight for the cores of a small machine


@console.command("diff", failed=(RevisionError, TimeoutExpired), usage=(ProgramError,))
def main(arguments: Sequence[str] | None = None) -> int:
    parser = console.parser("scripts.deploy.diff", __doc__)
    parser.add_argument("stacks", nargs="+", choices=(*STACKS, "all"), metavar="STACK")
    parser.add_argument("--base", default="main", metavar="REF", help="default: main")
    parser.add_argument("--head", metavar="REF", help="default: the working tree")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        action="append",
        default=[],
        help="write a comment for a pull request; may be given more than once",
    )
    parser.add_argument("--fail-on", choices=SEVERITIES, help="exit with 3 if there is such a risk")
    options = parser.parse_args(arguments)
    repository = Repository()
    if lacking := [file.parent for file in options.markdown if not file.parent.is_dir()]:
        console.error("diff", f"there is no folder {lacking[0]}")
        return console.USAGE
    head = repository.revision(options.head) if options.head else repository.working_tree()
    base = repository.base(options.base, head.commit)
    stacks = STACKS if "all" in options.stacks else tuple(dict.fromkeys(options.stacks))
    reviews = _reviews(repository, base, head, stacks)
    _write(reviews, f"{base} → {head}", options)
    risky = options.fail_on and any(review.reaches(options.fail_on) for review in reviews)
    return RISKY if risky else 0


def _reviews(
    repository: Repository, base: Revision, head: Revision, stacks: Sequence[str]
) -> list[Review]:
    with (
        repository.exported(base) as old,
        repository.exported(head) as new,
        ThreadPoolExecutor(ENGINES) as pool,
    ):
        befores = [pool.submit(_base, old, stack, base) for stack in stacks]
        afters = [pool.submit(rendered, new, stack, str(head)) for stack in stacks]
        found = []
        for stack, before, after in zip(stacks, befores, afters, strict=True):
            console.note(f"diff: rendering {stack} of {base} and of {head}")
            found.append(compare(stack, before.result(), after.result(), policy.objections))
        return found


def rendered(root: Path, stack: str, name: str) -> Stack:
    """Return the objects of a stack, rendered by the program below `root`; raise RevisionError."""
    if not (root / f"Pulumi.{stack}.yaml").is_file():
        return Stack([])
    with tempfile.TemporaryDirectory() as folder:
        render(root, stack, Path(folder), name)
        try:
            return load(Path(folder) / stack)
        except (ManifestError, FileNotFoundError) as error:
            raise RevisionError(f"{stack} of {name}: {error}") from error


def _base(root: Path, stack: str, revision: Revision) -> Stack:
    """Return the base's objects; from its committed manifests if it no longer renders.

    A change may take away a package that the base's program needs, and it must be reviewable.
    """
    committed = root / "infra" / "rendered" / stack
    try:
        return rendered(root, stack, str(revision))
    except RevisionError as error:
        if not committed.is_dir():
            raise
        console.note(
            f"diff: {revision} does not render with this tree's tools; its committed manifests of "
            f"{stack} are used, which may be stale:\n{error}"
        )
        return load(committed)


def _write(reviews: Sequence[Review], revisions: str, options: argparse.Namespace) -> None:
    for file in options.markdown:
        file.write_text(report.markdown(reviews, revisions), encoding="utf-8")
    if options.json:
        documents = [report.document(review) for review in reviews]
        print(json.dumps({"sides": revisions, "stacks": documents}, ensure_ascii=False))
        return
    lines = (line for review in reviews for line in report.lines(review, revisions))
    console.show((line.text, line.style) for line in lines)


if __name__ == "__main__":
    sys.exit(main())
