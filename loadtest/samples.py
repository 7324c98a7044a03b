"""What a soak test samples of a platform of ours: its processes, its metrics, its database."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from math import nan
from typing import Any, Final

import aiohttp
import psutil
import psycopg2

from loadtest.generator import now
from service.metric_catalog import EVENT_LOOP_TASKS

ROLES: Final = ("api", "worker")
MIB: Final = 2**20
SCRAPE_TIMEOUT_S: Final = 5.0
STATEMENT_TIMEOUT_MS: Final = 5_000

_TASKS: Final = re.compile(rf"^{EVENT_LOOP_TASKS.name} (\S+)", re.MULTILINE)
_SQL: Final = """
SELECT
    (SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()
         AND backend_type = 'client backend'),
    sum(pg_table_size(relid)),
    sum(pg_indexes_size(relid)),
    max(n_tup_ins) FILTER (WHERE relname = 'payments')
FROM pg_stat_user_tables
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """The platform at a time, by the monotonic clock. By role; NaN is what could not be read."""

    at: float
    rss_mib: Mapping[str, float]
    descriptors: Mapping[str, float]
    tasks: Mapping[str, float]
    connections: float
    table_bytes: float
    index_bytes: float
    payments: float


Source = Callable[[], Awaitable[Sample]]


@asynccontextmanager
async def source(
    pids: Mapping[str, int], ops_urls: Mapping[str, str], database_url: str, port: int
) -> AsyncIterator[Source]:
    """Give a function that samples; `pids` and `ops_urls` are of the roles, `port` the API's."""
    timeout = aiohttp.ClientTimeout(total=SCRAPE_TIMEOUT_S)
    processes = {role: psutil.Process(pid) for role, pid in pids.items()}
    options = f"-c statement_timeout={STATEMENT_TIMEOUT_MS}"
    with closing(
        psycopg2.connect(database_url, application_name="soak", options=options)
    ) as connection:
        connection.autocommit = True
        async with aiohttp.ClientSession(timeout=timeout) as session:

            async def sample() -> Sample:
                at = now()
                figures, tasks = await asyncio.gather(
                    asyncio.to_thread(_figures, connection),
                    asyncio.gather(*(_tasks(session, ops_urls[role]) for role in ROLES)),
                )
                return Sample(
                    at,
                    {role: processes[role].memory_info().rss / MIB for role in ROLES},
                    {role: _descriptors(processes[role], port) for role in ROLES},
                    dict(zip(ROLES, tasks, strict=True)),
                    *figures,
                )

            yield sample


def _descriptors(process: psutil.Process, port: int) -> float:
    """Return the open descriptors, without the connections that clients of `port` keep open.

    The load generator opens one more in each burst and closes none.
    """
    kept = sum(
        1
        for one in process.net_connections("tcp")
        if one.laddr.port == port and one.status == psutil.CONN_ESTABLISHED
    )
    return float(process.num_fds() - kept)


async def _tasks(session: aiohttp.ClientSession, ops_url: str) -> float:
    try:
        async with session.get(f"{ops_url}/metrics") as answer:
            found = _TASKS.search(await answer.text())
    except (aiohttp.ClientError, TimeoutError):
        return nan
    return float(found[1]) if found else nan


def _figures(connection: Any) -> tuple[float, float, float, float]:
    try:
        with connection.cursor() as cursor:
            cursor.execute(_SQL)
            connections, tables, indexes, payments = map(float, cursor.fetchone())
    except psycopg2.OperationalError:
        return nan, nan, nan, nan
    return connections, tables, indexes, payments
