"""Bring a database to this release's schema; the only import of yoyo.

Each file runs in a transaction of its own, under yoyo's lock, so that two runs at once are safe.
Migrations only go forward: expand in one release, contract in a later one.
"""

import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from yoyo import get_backend, read_migrations
from yoyo.exceptions import LockTimeout
from yoyo.migrations import topological_sort

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_TIMEOUT_S = 60  # another run's migrations take seconds; a minute means it is stuck


class MigrationError(Exception):
    """The schema could not be brought up to date; the message names the cause."""


def apply(database_url: str) -> Sequence[str]:
    """Apply what is missing and return its names, in order; raise MigrationError."""
    logging.getLogger("yoyo").setLevel(logging.WARNING)  # a line a statement; we name the files
    backend = get_backend(database_url)
    try:
        with backend.lock(timeout=LOCK_TIMEOUT_S):
            missing = backend.to_apply(read_migrations(str(MIGRATIONS)))
            names = [migration.id for migration in missing]
            backend.apply_migrations(missing)
    except LockTimeout as error:
        raise MigrationError(f"another migration holds the lock: {error}") from error
    except backend.DatabaseError as error:
        raise MigrationError(str(error).strip()) from error
    finally:
        backend.connection.close()
    return names


@cache  # every probe of readiness asks
def newest(folder: Path = MIGRATIONS) -> str:
    """Return which migration of a release is applied last; its number need not be highest."""
    *_, last = topological_sort(read_migrations(str(folder)))
    return str(last.id)
