"""A home for the engine in which it keeps no log of its runs.

It logs megabytes of every run, half of its own time, and has no setting against it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

VARIABLE: Final = "PULUMI_HOME"
LOGS: Final = "logs"
PLUGINS: Final = "plugins"


def without_logs(folder: Path, environ: Mapping[str, str]) -> Path:
    """Make a home, unless it is there, with the plugins of the present one and nothing else."""
    if not folder.exists():
        folder.mkdir(parents=True)
        _link(folder, [present for present in _entries(environ) if present.name == PLUGINS])
    return folder.resolve()


@contextmanager
def like_present(environ: Mapping[str, str]) -> Iterator[Path]:
    """Give a home with all that the present one has, logins included, but for the logs."""
    with TemporaryDirectory(prefix="coinslot-home-") as folder:
        _link(Path(folder), _entries(environ))
        yield Path(folder)


def _entries(environ: Mapping[str, str]) -> list[Path]:
    present = Path(environ.get(VARIABLE) or Path.home() / ".pulumi")
    return list(present.resolve().iterdir()) if present.is_dir() else []


def _link(folder: Path, entries: list[Path]) -> None:
    (folder / LOGS).touch()  # no folder: the engine goes without
    for entry in entries:
        if entry.name != LOGS:
            (folder / entry.name).symlink_to(entry)
