"""Go back to a recorded release: its program and its settings, with today's secrets.

The database stays as it is, so the release must be able to live with every migration that came
since: they may add (expand), and nothing that it uses may be gone (contract).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import yaml

from infra.stacks import IMAGE_VARIABLE
from scripts.deploy.engine import SUCCEEDED
from scripts.deploy.releases import MIGRATIONS, UNKNOWN, Release, ReleaseError
from scripts.deploy.revisions import ENCRYPTION, SECRET_VALUES, SHORT, Repository, RevisionError
from scripts.migrations import contractions

Checker = Callable[[str, str], Sequence[str]]
"""Takes a migration's name and its SQL; returns what in it a release before it may miss."""

RENDERED: Final = Path("infra") / "rendered"


@dataclass(frozen=True, slots=True)
class Rollback:
    """A release that can be gone back to, and the migrations that stay although it is older."""

    to: Release
    record: Release
    kept: Sequence[str]


def plan(
    repository: Repository,
    releases: Sequence[Release],
    to: Release,
    who: str,
    check: Checker = contractions,
) -> Rollback:
    """Return the rollback; raise ReleaseError with everything that stands against it."""
    _refuse_unusable(repository, to)
    own = _migrations(repository, to)
    later: dict[str, str] = {}
    for release in releases:
        if release.number > to.number:
            found = _brought(repository, release)
            later |= {name: text for name, text in found.items() if name not in own}
    against = [
        f"{name}: {problem}" for name in sorted(later) for problem in check(name, later[name])
    ]
    if against:
        raise ReleaseError(
            f"release {to.number} ({to.commit[:SHORT]}) can't run on today's database: migrations "
            "since then take away what it may use:\n  " + "\n  ".join(against) + "\n"
            "go forward instead: revert the change in a new commit, and `make up` that"
        )
    record = replace(to, who=who, back_to=to.number, number=0, when="", result="")
    return Rollback(to, record, sorted(later))


def with_image(environ: Mapping[str, str], to: Release, *, committed: bool) -> dict[str, str]:
    """Return an environment in which the release's image is deployed, and not today's.

    `committed` settings name it, unless whoever released had chosen another one. A settings file
    from elsewhere has no history: it is used as it is today, with the image of then.
    """
    rest = {key: value for key, value in environ.items() if key != IMAGE_VARIABLE}
    if committed and "@" not in to.image:
        return rest
    if UNKNOWN in to.image:
        raise ReleaseError(f"nobody noted the image of release {to.number}: choose another one")
    return {**rest, IMAGE_VARIABLE: to.image}


@contextmanager
def tree(repository: Repository, rollback: Rollback, stack: str) -> Iterator[Path]:
    """Give a folder with the release's program and its committed settings, and today's secrets."""
    revision = repository.revision(rollback.to.commit)
    with repository.exported(revision) as root:
        name = f"Pulumi.{stack}.yaml"
        then = yaml.safe_load((root / name).read_text(encoding="utf-8"))
        now = yaml.safe_load((repository.root / name).read_text(encoding="utf-8"))
        (root / name).write_text(yaml.safe_dump(with_secrets(then, now)), encoding="utf-8")
        _link_rendered(root, repository.root)
        yield root


def with_secrets(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return a release's settings with the encryption and the secret values of today.

    A password that was changed since then must not come back, and its key may be another one.
    """
    kept = {key: value for key, value in then.items() if key not in ENCRYPTION}
    kept |= {key: now[key] for key in ENCRYPTION if key in now}
    config = {k: v for k, v in (then.get("config") or {}).items() if k != SECRET_VALUES}
    if secrets := (now.get("config") or {}).get(SECRET_VALUES):
        config[SECRET_VALUES] = secrets
    return {**kept, "config": config}


def _link_rendered(root: Path, clone: Path) -> None:
    target = clone / RENDERED
    target.mkdir(parents=True, exist_ok=True)
    if (root / RENDERED).exists():
        (root / RENDERED).rename(root / "rendered-then")
    (root / RENDERED).symlink_to(target)


def _refuse_unusable(repository: Repository, to: Release) -> None:
    if to.dirty:
        raise ReleaseError(
            f"release {to.number} was made from uncommitted changes on {to.commit[:SHORT]}: "
            "nobody can make it again; choose another one (make releases)"
        )
    if to.result != SUCCEEDED:
        raise ReleaseError(f"release {to.number} has {to.result}; choose one that succeeded")
    try:
        repository.revision(to.commit)
    except RevisionError as error:
        raise ReleaseError(
            f"commit {to.commit[:SHORT]} of release {to.number} is not in this clone: git fetch"
        ) from error


def _brought(repository: Repository, release: Release) -> dict[str, str]:
    """Return the migrations that a release may have applied, also one that failed.

    One that was made from uncommitted changes is asked for in the working tree, too.
    """
    try:
        found = _migrations(repository, release)
    except RevisionError as error:
        raise ReleaseError(
            f"commit {release.commit[:SHORT]} of release {release.number} is not in this clone, "
            f"and nobody knows its migrations without it: git fetch ({error})"
        ) from error
    if release.dirty:
        folder = repository.root / MIGRATIONS
        found |= {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.sql")}
    last = release.migrations
    if release.dirty and last and last not in found:
        raise ReleaseError(
            f"release {release.number} was made from uncommitted changes and brought {last}, "
            "which is nowhere to be read; go forward instead"
        )
    return found


def _migrations(repository: Repository, release: Release) -> dict[str, str]:
    where = f"{release.commit}:{MIGRATIONS}"
    files = repository.git("ls-tree", "--name-only", where).splitlines()
    return {
        name.removesuffix(".sql"): repository.git("show", f"{where}/{name}")
        for name in files
        if name.endswith(".sql")
    }
