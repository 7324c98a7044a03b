"""What the database is: its schema, whether it takes writes, our rights in it, its time."""

import asyncio
from datetime import datetime

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


async def owns_tables(db: Database) -> bool:
    """Return whether our login may change the schema and switch its guards off."""
    rows = await db.read(
        "SELECT pg_has_role(c.relowner, 'USAGE') FROM pg_class c"
        " WHERE c.oid = 'public.payments'::regclass"
    )
    return bool(rows[0][0])


async def server_time(db: Database) -> datetime:
    """Return the database's time, read while the statement runs. Raises StoreUnavailableError."""
    rows = await db.fetch("SELECT clock_timestamp()")
    at: datetime = rows[0][0]
    return at
