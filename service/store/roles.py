"""The database role that the API and the workers act as; migration 0015 says what it may do."""

from typing import Final

from service.store.database import Database

SERVICE_ROLE: Final = "coinslot_service"
"""A group without a login. Logins of the service are members of it."""


async def owns_tables(db: Database) -> bool:
    """Return whether our login may change the schema and switch its guards off."""
    rows = await db.read(
        "SELECT pg_has_role(c.relowner, 'USAGE') FROM pg_class c"
        " WHERE c.oid = 'public.payments'::regclass"
    )
    return bool(rows[0][0])
