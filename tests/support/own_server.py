"""A PostgreSQL that a test may make read-only, or a standby: not the one that others share."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from psycopg2 import sql
from yarl import URL

from scripts.platform import embedded
from scripts.platform.embedded import Postgres
from scripts.platform.processes import Child
from service.store.database import Database
from tests.support.databases import databases_on
from tests.support.waiting import eventually

SWITCH: Final = "ALTER SYSTEM SET default_transaction_read_only = {}"


@dataclass
class OwnServer:
    """A PostgreSQL of a few tests alone, with a database on it."""

    postgres: Postgres
    folder: Path
    child: Child
    url: str
    owner: str

    async def read_only(self, state: str) -> None:
        """Have every session take no writes from now on (`on`), or take them again (`off`)."""
        self.postgres.execute(sql.SQL(SWITCH).format(sql.SQL(state)))
        self.postgres.execute(sql.SQL("SELECT pg_reload_conf()"))

        async def setting() -> list[tuple[str]]:
            return await look.fetch("SHOW default_transaction_read_only")

        look = await Database.open(self.url, size=1, timeout_s=5.0, prepared={})
        try:
            await eventually(setting, lambda seen: seen == [(state,)])
        finally:
            await look.close()

    def restart_as_standby(self) -> None:
        """Come back on the same port as a standby that follows nobody."""
        self.child.stop_signal = signal.SIGINT
        self.child.stop()
        (self.folder / "data" / "standby.signal").touch()
        port = URL(self.postgres.default_url).port or 0
        self.child = embedded._start_postgres(self.folder, port, durable=True)

    def promote(self) -> None:
        """Take writes again, as the standby that took over."""
        self.postgres.execute(sql.SQL("SELECT pg_promote()"))


@contextmanager
def own_server_in(folder: Path) -> Iterator[OwnServer]:
    """Run a server with a migrated database."""
    with embedded.postgres(folder, durable=True, environ={}) as postgres:
        assert postgres.child is not None
        with databases_on(postgres) as databases, databases.fresh() as urls:
            server = OwnServer(postgres, folder, postgres.child, urls.service, urls.owner)
            yield server
        server.child.stop()
