"""A git clone of the files as they are now, to change, commit and run commands in."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
LINKED: Final = (".venv", ".tools")
"""Tools that the clone shares; everything else of it is its own."""
LEFT_OUT: Final = (*LINKED, ".git", ".state", ".cache", ".*_cache", "__pycache__", "build")
GIT_TIMEOUT_S: Final = 60
COMMAND_TIMEOUT_S: Final = 300
"""Two renderings by the engine, on a machine that is busy with other tests."""


@dataclass(frozen=True)
class Done:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Clone:
    """A clone below a test's folder. Its author is `Ada <ada@example.test>`."""

    root: Path
    environ: Mapping[str, str] = field(default_factory=dict)

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ("git", *arguments),
            cwd=self.root,
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def edit(self, file: str, before: str, after: str) -> None:
        """Replace a text that must be in the file."""
        path = self.root / file
        text = path.read_text()
        assert before in text, f"{file} no longer holds {before!r}: plant this another way"
        path.write_text(text.replace(before, after))

    def commit(self, message: str) -> str:
        """Commit everything; return the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def run(self, module: str, *arguments: str) -> Done:
        """Run one of the clone's own commands."""
        done = subprocess.run(
            (sys.executable, "-m", module, *arguments),
            cwd=self.root,
            env={**os.environ, "NO_COLOR": "1", **self.environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)


def clone(folder: Path, environ: Mapping[str, str] | None = None) -> Clone:
    """Make a clone below `folder`, with one commit on the branch `main`."""
    root = folder / "clone"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)
    made = Clone(root, environ or {})
    made.git("init", "--quiet", "--initial-branch", "main")
    made.git("config", "user.name", "Ada")
    made.git("config", "user.email", "ada@example.test")
    made.git("config", "commit.gpgsign", "false")
    for name in LINKED:
        (root / name).symlink_to(ROOT / name)
    # .gitignore speaks of folders, and here they are links.
    (root / ".git" / "info" / "exclude").write_text("\n".join(LINKED))
    made.commit("Start")
    return made


def home_with_logs(folder: Path) -> Path:
    """Make a Pulumi home in which the engine logs everything that it does."""
    home = folder / "home"
    home.mkdir()
    (home / "plugins").symlink_to(Path(os.environ["PULUMI_HOME"]) / "plugins")
    return home
