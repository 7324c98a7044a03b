"""What the resilience tests share: forked processes on a clock that a test moves."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from yarl import URL

from scripts.platform.embedded import Valkey
from simulator.client import Control
from tests.integration.api.conftest import clock, start_api  # noqa: F401  fixtures
from tests.support.exchange_proxy import Gate, http_proxy, postgres_proxy
from tests.support.forks import Forks, SharedClock
from tests.support.services import settings

Say = Callable[[str], None]


@pytest.fixture
def say(record_property: Callable[[str, object], None]) -> Say:
    """Give a function that adds a line to the run's summary."""
    return lambda words: record_property("resilience", words)


@pytest.fixture(scope="session")
def depth(request: pytest.FixtureRequest) -> str:
    """Give "short" or "long": the option `--resilience`."""
    return str(request.config.getoption("--resilience"))


@pytest.fixture
def shared_clock() -> SharedClock:
    return SharedClock()


@pytest.fixture
def forks(
    database_url: str,
    valkey: Valkey,
    simulator: Control,
    shared_clock: SharedClock,
    tmp_path: Path,
) -> Iterator[Forks]:
    """Give a starter of processes on a database of their own."""
    environ = settings(database_url=database_url, redis_url=valkey.url, simulator_url=simulator.url)
    starter = Forks(tmp_path, environ, shared_clock)
    yield starter
    starter.close()


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def proxied(forks: Forks, gate: Gate) -> AsyncIterator[dict[str, str]]:
    """Give settings that lead a process to its servers through exchange proxies."""
    database, provider = URL(forks.environ["DATABASE_URL"]), URL(forks.environ["SIMULATOR_URL"])
    async with (
        postgres_proxy(gate, str(database.host), database.port or 0).opened() as statements,
        http_proxy(gate, str(provider.host), provider.port or 0).opened() as calls,
    ):
        plain = database.with_port(statements.listens_at) % {"sslmode": "disable"}
        yield {
            "DATABASE_URL": str(plain.update_query(gssencmode="disable")),
            "SIMULATOR_URL": str(provider.with_port(calls.listens_at)).rstrip("/"),
        }
