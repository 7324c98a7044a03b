"""The record of what was released to a stack, kept in the stack's own history.

The engine writes a history entry with every `up`, beside the state and wherever that is kept. Its
message holds our record: a line for people and a line of JSON. An `up` that was run without the
targets has no record; what the engine itself notes about git then has to do.
"""

import getpass
import hashlib
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from infra.labels import PROJECT
from infra.stacks import IMAGE_VARIABLE
from scripts.deploy.engine import FAILED, REFUTED, SUCCEEDED
from scripts.deploy.revisions import (
    ENCRYPTION,
    SECRET_VALUES,
    SHORT,
    Repository,
    RevisionError,
    settings,
)

MIGRATIONS: Final = "service/store/migrations"
HASH_DIGITS: Final = 12
UNKNOWN: Final = "unknown"
PREFIX_LENGTH: Final = 7
"""From so many digits on a text is taken for the beginning of a commit, below for a number."""


class ReleaseError(Exception):
    """There is no such release, or it can't be gone back to; the message says why."""


@dataclass(frozen=True, slots=True)
class Release:
    """One `up`: what of the repository it was, and how it went.

    `config` is a hash of the stack's settings without secrets, `migrations` the one that it applies
    last. `number` counts the stack's releases from 1; `back_to` is the number of the release
    that a rollback repeats.
    """

    commit: str
    dirty: bool
    image: str
    config: str
    migrations: str
    who: str
    back_to: int | None = None
    number: int = 0
    when: str = ""
    result: str = ""

    @property
    def is_usable(self) -> bool:
        """Return whether it can be gone back to, as far as the record tells."""
        return self.result == SUCCEEDED and not self.dirty

    @property
    def message(self) -> str:
        changes = " with uncommitted changes" if self.dirty else ""
        title = f"{self.commit[:SHORT]}{changes}, {self.image}, by {self.who}"
        record = {k: v for k, v in asdict(self).items() if k not in ("number", "when", "result")}
        what = f"rollback to release {self.back_to}: " if self.back_to else "release "
        return f"{what}{title}\n{json.dumps(record)}"


def of_tree(file: Path, repository: Repository) -> Release:
    """Return the record of what the clone holds now, with the stack's settings in `file`.

    Without git the commit is `unknown`.
    """
    # Not above: the migrations' library and the driver come with it, and no preview needs them.
    from service.store.migrate import newest  # noqa: PLC0415

    document = settings(file)
    try:
        revision = repository.working_tree()
        commit, dirty = revision.commit, revision.dirty
    except RevisionError:
        commit, dirty = UNKNOWN, True
    return Release(
        commit=commit,
        dirty=dirty,
        image=os.environ.get(IMAGE_VARIABLE) or _image(document.get("config") or {}),
        config=config_hash(document),
        migrations=newest(repository.root / MIGRATIONS),
        who=_who(repository),
    )


def config_hash(document: Mapping[str, Any]) -> str:
    config = {k: v for k, v in (document.get("config") or {}).items() if k != SECRET_VALUES}
    rest = {k: v for k, v in document.items() if k not in (*ENCRYPTION, "config")}
    text = json.dumps([config, rest], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]


def recorded(history: Sequence[Mapping[str, Any]]) -> list[Release]:
    """Return the releases in a history, whose newest entry is the first; the oldest first."""
    found: list[Release] = []
    for entry in reversed(history):
        if entry.get("kind") == "update":
            when, result = entry.get("startTime", ""), entry.get("result", UNKNOWN)
            number = len(found) + 1
            made = replace(_record(entry), number=number, when=str(when), result=str(result))
            found.append(made)
        elif found and str(entry.get("message", "")).startswith(REFUTED):
            found[-1] = replace(found[-1], result=FAILED)
    return found


def find(releases: Sequence[Release], wanted: str) -> Release:
    """Return a release by its number, or the newest by the beginning of its commit.

    Of one commit a release that can be gone back to goes before one that can't.
    """
    if wanted.isdigit() and len(wanted) < PREFIX_LENGTH:
        fitting = [release for release in releases if release.number == int(wanted)]
    else:
        fitting = [
            release
            for release in releases
            if len(wanted) >= PREFIX_LENGTH and release.commit.startswith(wanted)
        ]
    if not fitting:
        known = ", ".join(f"{each.number} ({each.commit[:SHORT]})" for each in releases) or "none"
        raise ReleaseError(f"there is no release {wanted!r}; releases: {known}")
    usable = [each for each in fitting if each.is_usable]
    return (usable or fitting)[-1]


def _record(entry: Mapping[str, Any]) -> Release:
    """Return the record in an entry's message, else what the engine has noted itself."""
    lines = str(entry.get("message", "")).splitlines()
    try:
        return msgspec.json.decode(lines[1], type=Release)
    except (IndexError, msgspec.DecodeError):
        noted = entry.get("environment") or {}
        config = entry.get("config") or {}
        values = {key: value.get("objectValue") for key, value in config.items()}
        return Release(
            commit=noted.get("git.head", UNKNOWN),
            dirty=noted.get("git.dirty", "true") == "true",
            image=_image(values),
            config=UNKNOWN,
            migrations=UNKNOWN,
            who=noted.get("git.author", UNKNOWN),
        )


def _image(config: Mapping[str, Any]) -> str:
    image = config.get(f"{PROJECT}:image") or {}
    digest = f"@{image['digest']}" if image.get("digest") else ""
    return f"{image.get('repository', UNKNOWN)}:{image.get('tag', UNKNOWN)}{digest}"


def _who(repository: Repository) -> str:
    """Return who releases: by git's settings, else who set the workflow off, else the system's."""
    try:
        return f"{repository.git('config', 'user.name')} <{repository.git('config', 'user.email')}>"
    except (RevisionError, subprocess.SubprocessError):
        return os.environ.get("GITHUB_ACTOR") or _system_user()


def _system_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name; from 3.13 an OSError
        return f"uid {os.getuid()}"
