"""Revisions of the repository, written out and rendered.

Each revision runs its own program with the tools of this clone (engine, provider, packages). A
throw-away state, a passphrase of its own and placeholders for every secret: no key is needed.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from infra.labels import PLACEHOLDER, PROJECT
from scripts import ROOT
from scripts.deploy.engine import Engine, EngineFailedError

GIT_TIMEOUT_S: Final = 60.0  # local work on a small repository
SHORT: Final = 10
ENCRYPTION: Final = ("encryptionsalt", "encryptedkey", "secretsprovider")
"""Keys of a stack's file that say how its secrets are encrypted."""
STACK_FILE: Final = re.compile(r"^Pulumi\.[a-z]+\.yaml$")
SECRET_VALUES: Final = f"{PROJECT}:secretValues"
TARGET: Final = f"{PROJECT}:target"


class RevisionError(Exception):
    """A revision could not be made; the message says which one and why."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A state of the repository: `tree` is a git object, `name` says what it is."""

    name: str
    tree: str
    commit: str
    dirty: bool = False

    def __str__(self) -> str:
        changes = " with uncommitted changes" if self.dirty else ""
        return f"{self.name} ({self.commit[:SHORT]}{changes})"


@dataclass(frozen=True, slots=True)
class Repository:
    """A clone, and the questions that are asked of its git."""

    root: Path = ROOT

    def revision(self, name: str) -> Revision:
        commit = self.git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        return Revision(name, commit, commit)

    def base(self, name: str, head: str) -> Revision:
        """Return where `head` left `name`: what came later there is not this change's doing."""
        commit = self.revision(name).commit
        with suppress(RevisionError):  # a shallow clone, or histories that never met: as it is
            commit = self.git("merge-base", commit, head)
        return Revision(name, commit, commit)

    def working_tree(self) -> Revision:
        commit = self.git("rev-parse", "HEAD")
        with tempfile.TemporaryDirectory() as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            self.git("read-tree", "HEAD", extra=index)
            # Documents are no part of a release, and a command that writes one makes none dirty.
            self.git("add", "--all", ".", ":(exclude)docs", extra=index)
            tree = self.git("write-tree", extra=index)
        dirty = tree != self.git("rev-parse", "HEAD^{tree}")
        return Revision("working tree", tree, commit, dirty=dirty)

    @contextmanager
    def exported(self, revision: Revision) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="coinslot-revision-") as folder:
            archive = Path(folder) / "revision.tar"
            self.git("archive", "--output", str(archive), revision.tree)
            root = Path(folder) / "tree"
            root.mkdir()
            command = ("tar", "-xf", str(archive), "-C", str(root))
            subprocess.run(command, check=True, timeout=GIT_TIMEOUT_S)
            # A language host that honors Pulumi.yaml's virtualenv looks for it here.
            (root / ".venv").symlink_to(ROOT / ".venv")
            yield root

    def git(self, *arguments: str, extra: dict[str, str] | None = None) -> str:
        try:
            done = subprocess.run(
                ("git", *arguments),
                cwd=self.root,
                env={**os.environ, **(extra or {})},
                capture_output=True,
                text=True,
                timeout=GIT_TIMEOUT_S,
                check=True,
            )
        except FileNotFoundError as error:
            raise RevisionError("git is not installed") from error
        except subprocess.CalledProcessError as error:
            message = error.stderr.strip() or f"no such commit: {arguments[-1].partition('^')[0]}"
            raise RevisionError(f"git {arguments[0]}: {message}") from error
        return done.stdout.strip()


@contextmanager
def detached(root: Path = ROOT) -> Iterator[Path]:
    """Give a folder that is the tree at `root`, with copies of the stacks' files to be changed."""
    with tempfile.TemporaryDirectory(prefix="coinslot-tree-") as folder:
        for entry in root.iterdir():
            if STACK_FILE.match(entry.name):
                shutil.copy(entry, folder)
            else:
                (Path(folder) / entry.name).symlink_to(entry)
        yield Path(folder)


def render(root: Path, stack: str, out: Path, name: str) -> None:
    """Render a stack into `out`/<stack>, with a state that is thrown away; raise RevisionError.

    Changes the stack's file below `root`: nobody needs a key, a passphrase or a cluster then.
    """
    with tempfile.TemporaryDirectory() as state, tempfile.TemporaryFile("w+") as log:
        keys = without_secrets(root / f"Pulumi.{stack}.yaml", name)
        engine = Engine(root=root, backend=Path(state), render_dir=out, output=log, throw_away=True)
        try:
            engine.set_secrets(stack, {f"{SECRET_VALUES}.{key}": PLACEHOLDER for key in keys})
            engine.run("up", stack)
        except EngineFailedError as error:
            log.seek(0)
            message = f"{error}\n{log.read().strip()}"
            raise RevisionError(f"{stack} of {name} does not render: {message}") from error


def settings(file: Path, name: str = "the working tree") -> dict[str, Any]:
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"in line {mark.line + 1}" if mark else type(error).__name__
        raise RevisionError(f"{file.name} of {name} can't be read: no YAML {where}") from None
    if not isinstance(document, dict) or not isinstance(document.get("config"), dict):
        raise RevisionError(f"{file.name} of {name} has no mapping `config`")
    return document


def without_secrets(file: Path, name: str = "the working tree") -> list[str]:
    """Take a stack's secrets out of its file, and the cluster; return the secrets' names.

    The file is a copy. What is left can be rendered by anybody. Raises RevisionError.
    """
    document = settings(file, name)
    for key in ENCRYPTION:
        document.pop(key, None)
    config = document["config"]
    config[TARGET] = "render"
    secret = list(config.pop(SECRET_VALUES, None) or {})
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    return secret
