"""A platform of our own to load: imported only when no --url is given.

It runs where PostgreSQL's and Valkey's wheels do, on Linux and macOS; loading a service elsewhere
by its URL needs none of this and works on Windows too.
"""

import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from loadtest.money import SetUpError
from loadtest.resources import processes
from loadtest.run import Target, TargetDiedError
from scripts.platform.embedded import EmbeddedError
from scripts.platform.launcher import Platform, PlatformError, Start, platform, start_role
from scripts.platform.processes import ProcessDiedError

SETTINGS: Final = {"RECONCILIATION_GRACE_S": "5"}
"""Reconciliation leaves out what is fresher, as it may be in flight: nothing is, after the load."""


Report = Callable[[str, float, str], None]


@asynccontextmanager
async def own_platform(folder: Path, report: Report) -> AsyncIterator[Target]:
    """Run a platform as `running_platform` does, and give it as a target."""
    async with running_platform(folder, report) as running:
        yield target_of(running)


@asynccontextmanager
async def running_platform(
    folder: Path, report: Report, start: Start = start_role
) -> AsyncIterator[Platform]:
    """Run PostgreSQL, Valkey, the simulator, the API and a worker; raise SetUpError.

    Their logs stay in `folder`, their data goes. `report` gets each part's name, the seconds that
    it took to start, and where it is.
    """
    shutil.rmtree(folder, ignore_errors=True)
    environ = SETTINGS | os.environ
    try:
        async with platform(folder, report=report, environ=environ, start=start) as running:
            yield running
    except (PlatformError, EmbeddedError, ProcessDiedError) as error:
        raise SetUpError(str(error)) from error
    finally:
        _keep_only(folder, "logs")


def _keep_only(folder: Path, name: str) -> None:
    """Remove everything else in `folder`: data, and the secret that signed the tokens."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and path.name != name:
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_file():
            path.unlink()


def target_of(running: Platform) -> Target:
    """Return a platform as what is loaded."""

    async def died() -> TargetDiedError:
        return TargetDiedError(str(await running.first_death()))

    sources = {part: processes(child.pid) for part, child in running.children.items()}
    return Target(running.api_url, running.environ["JWT_SECRET"], died, sources)
