"""What time it is at the database."""

from datetime import datetime

from service.store.database import Database


async def server_time(db: Database) -> datetime:
    """Return the database's time, read while the statement runs. Raises StoreUnavailableError."""
    rows = await db.fetch("SELECT clock_timestamp()")
    at: datetime = rows[0][0]
    return at
