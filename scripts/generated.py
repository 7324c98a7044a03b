"""Fails when a generated file is not what the sources generate; run it by `make fresh`."""

import difflib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDERS: Final = ("alerts/generated", "dashboards/generated", "infra/rendered")
RENDER: Final = (sys.executable, "-m", "scripts.render")
RENDER_TIMEOUT_S: Final = 600.0  # three previews of a minute each on a busy machine
SHOWN_LINES: Final = 40  # enough to see what differs; `git diff` has the rest


def snapshot(root: Path, folders: Sequence[str]) -> dict[str, str]:
    """Return the text of every file in the folders, by its path from `root`."""
    files = (path for folder in folders for path in (root / folder).rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_text() for path in sorted(files)}


def differences(before: dict[str, str], after: dict[str, str]) -> Iterator[str]:
    """Yield the lines of a unified diff; none when nothing differs."""
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name, ""), after.get(name, "")
        if old == new and (name in before) == (name in after):
            continue
        yield f"{name}: {_verdict(name, before, after)}"
        lines = difflib.unified_diff(
            old.splitlines(), new.splitlines(), "committed", "generated", lineterm="", n=1
        )
        yield from lines


def _verdict(name: str, before: dict[str, str], after: dict[str, str]) -> str:
    if name not in before:
        return "is generated and not there"
    return "is stale" if name in after else "is there and no longer generated"


def check(root: Path, folders: Sequence[str], render: Sequence[str]) -> int:
    """Render, and return 1 when that changed anything, 2 when it failed, else 0."""
    before = snapshot(root, folders)
    if not before:
        print(f"generated: no file in {', '.join(folders)}: run `make render`", file=sys.stderr)
        return 1
    done = subprocess.run(render, cwd=root, check=False, timeout=RENDER_TIMEOUT_S)
    if done.returncode:
        print("generated: rendering failed, see above", file=sys.stderr)
        return 2
    lines = list(differences(before, snapshot(root, folders)))
    if not lines:
        print(f"generated: {len(before)} files are fresh")
        return 0
    print(*lines[:SHOWN_LINES], sep="\n", file=sys.stderr)
    print("generated: refreshed just now; look at `git diff`, then commit", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(check(ROOT, FOLDERS, RENDER))
