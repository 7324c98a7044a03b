"""Whether the database has the schema that this release needs."""

import asyncio

from service.store.database import Database
from service.store.migrate import newest


class SchemaMissingError(Exception):
    """The database is behind this release; `python -m service migrate` brings it up to date."""


async def require_schema(db: Database) -> None:
    """Raise SchemaMissingError if this release's last migration was not applied."""
    last = await asyncio.to_thread(newest)  # the first time it reads every migration
    rows = await db.read("SELECT 1 FROM _yoyo_migration WHERE migration_id = %s", (last,))
    if not rows:
        raise SchemaMissingError(f"migration {last} is missing; run the role `migrate`")


async def require_writable(db: Database) -> None:
    """Raise ReadOnlyError if the server takes no writes now.

    It writes to a sequence: 8 bytes that nobody reads, on disk at every 33rd time.
    """
    await db.read("SELECT nextval('public.write_probe')")
