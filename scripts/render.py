"""Regenerate every generated file: alert rules, dashboards, reference pages, stacks' manifests.

With --check nothing in the clone is touched: everything is rendered into a temporary folder, and
the exit code is 1, with a diff, when what is committed is something else. 2 means that rendering
itself failed.
"""

import difflib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from infra.stacks import STACKS
from scripts import ROOT, console
from scripts.deploy import revisions
from scripts.deploy.revisions import RevisionError
from scripts.programs import ProgramError

GENERATOR: Final = "scripts.generated"
GENERATED: Final = ("alerts/generated", "dashboards/generated", "docs/reference")
"""What the generator writes; to name it without importing all that it is made from."""
RENDERED: Final = "infra/rendered"
GENERATOR_TIMEOUT_S: Final = 60.0  # a second of work; a minute is for a machine that is swamped
SHOWN_LINES: Final = 60

Files = dict[str, str]


@console.command("render", usage=(RevisionError, ProgramError))
def main(arguments: Sequence[str] | None = None) -> int:
    parser = console.parser("scripts.render", __doc__)
    parser.add_argument("--check", action="store_true", help="compare only; change nothing")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="coinslot-render-") as folder:
        render(Path(folder))
        wanted = files_below(Path(folder), folders())
    return finish("render", folders(), wanted, check=options.check)


def finish(target: str, names: Sequence[str], wanted: Files, *, check: bool) -> int:
    committed = files_below(ROOT, names)
    if check:
        return report(list(differences(committed, wanted)), len(wanted), f"make {target}")
    changed = write(ROOT, committed, wanted)
    print(f"{target}: {len(wanted)} files, {changed} changed")
    return 0


def folders() -> tuple[str, ...]:
    return (*GENERATED, RENDERED)


def render(root: Path) -> None:
    """Render everything below `root`, side by side: an engine waits for its plugins by turns."""
    with ThreadPoolExecutor(max_workers=len(STACKS) + 1) as pool:
        generating = pool.submit(generate, root)
        rendering = [pool.submit(render_stack, stack, root / RENDERED) for stack in STACKS]
        for each in (generating, *rendering):
            each.result()


def generate(root: Path) -> None:
    done = subprocess.run(
        (sys.executable, "-m", GENERATOR, "--out", str(root)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=GENERATOR_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise ProgramError(f"python -m {GENERATOR} failed:\n{done.stderr.strip()}")


def render_stack(stack: str, directory: Path) -> None:
    """Render one stack into `directory`/<stack>; its secrets and their keys are not needed."""
    with revisions.detached() as root:
        revisions.render(root, stack, directory, "the working tree")


def files_below(root: Path, names: Sequence[str]) -> Files:
    """Return path to text of every file in the folders, relative to `root`, in order."""
    paths = sorted(path for name in names for path in (root / name).rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in paths}


def write(root: Path, committed: Files, wanted: Files) -> int:
    stale = [name for name in committed if name not in wanted]
    for name in stale:
        (root / name).unlink()
    fresh = {name: text for name, text in wanted.items() if committed.get(name) != text}
    for name, text in fresh.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return len(stale) + len(fresh)


def differences(committed: Files, wanted: Files) -> Iterator[str]:
    for name in sorted(committed.keys() | wanted.keys()):
        yield from difflib.unified_diff(
            committed.get(name, "").splitlines(),
            wanted.get(name, "").splitlines(),
            f"{name} ({'committed' if name in committed else 'missing'})",
            f"{name} ({'generated' if name in wanted else 'no longer generated'})",
            lineterm="",
            n=2,
        )


def report(diff: Sequence[str], count: int, remedy: str) -> int:
    if not diff:
        print(f"render: {count} generated files are fresh")
        return 0
    print(*diff[:SHOWN_LINES], sep="\n", file=sys.stderr)
    if len(diff) > SHOWN_LINES:
        print(f"… and {len(diff) - SHOWN_LINES} lines more", file=sys.stderr)
    print(f"render: generated files are stale: run `{remedy}` and commit", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
