"""Fixtures of every test: real servers, started once a session (and xdist worker)."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from scripts.deploy.home import without_logs
from scripts.platform import embedded
from scripts.platform.embedded import Postgres, Valkey
from scripts.platform.launcher import start_simulator, until_ready
from simulator.client import Control
from tests.support import kubernetes
from tests.support.databases import Databases, Urls, databases_on
from tests.support.kubernetes import Cluster
from tests.support.services import SIMULATOR_SECRETS, Services, services, settings

# A shell's background job ignores SIGINT, and so would every process that a test starts and
# interrupts: what is ignored stays so over an exec, what is handled does not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Nothing that is forked here speaks gRPC, but its handlers would write to a child's stderr.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

RESILIENCE = "resilience"
"""Name of the property in which a resilience test says how far it went."""

# How long inputs take says how busy the machine is, and nothing of the code under test.
hypothesis_settings.register_profile("shared machine", suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("shared machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options here, as pytest reads those of no deeper file."""
    parser.addoption(
        "--resilience",
        choices=("short", "long"),
        default="short",
        help="how far tests/resilience goes: a minute, or until every corner was seen",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests that may take longest begin first, so that no process ends long before another.

    What a test may take is its timeout; those of a group run together where its first one stands.
    """
    longest: dict[str, float] = {}
    for item in items:
        longest[_group(item)] = max(longest.get(_group(item), 0.0), _may_take_s(item))
    items.sort(key=lambda item: -longest[_group(item)])


def _group(item: pytest.Item) -> str:
    marker = item.get_closest_marker("xdist_group")
    return str(marker.args[0]) if marker else item.nodeid


def _may_take_s(item: pytest.Item) -> float:
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker else float(item.config.getini("timeout"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the resilience tests went through, also when they ran in other processes."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            if name == RESILIENCE and report.when == "call":
                terminalreporter.write_line(f"{RESILIENCE}: {value}")


@pytest.fixture(scope="session", autouse=True)
def _pulumi_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let no engine of a test fill the home of whoever runs the tests with its logs."""
    home = without_logs(tmp_path_factory.mktemp("pulumi") / "home", os.environ)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PULUMI_HOME", str(home))
        yield


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """Run a PostgreSQL server; DATABASE_URL chooses one that runs already."""
    with embedded.postgres(tmp_path_factory.mktemp("postgres"), durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def databases(postgres: Postgres) -> Iterator[Databases]:
    with databases_on(postgres) as databases:
        yield databases


@pytest.fixture
def database(databases: Databases) -> Iterator[Urls]:
    """Give a migrated database without rows, of this test alone."""
    with databases.fresh() as urls:
        yield urls


@pytest.fixture
def database_url(request: pytest.FixtureRequest, database: Urls) -> str:
    """Give the database of this test as the service enters it: as a role that owns nothing.

    A test of what must hold even against the owner is marked `as_owner`.
    """
    as_owner = request.node.get_closest_marker("as_owner") is not None
    return database.owner if as_owner else database.service


@pytest.fixture
def owner_url(database: Urls) -> str:
    """Give the same database as its owner enters it."""
    return database.owner


@pytest.fixture(scope="module")
def module_database_url(databases: Databases) -> Iterator[str]:
    """Give a migrated database that the tests of a module share."""
    with databases.fresh() as urls:
        yield urls.service


@pytest.fixture
def empty_database_url(databases: Databases) -> Iterator[str]:
    """Give a database without a schema."""
    with databases.empty() as url:
        yield url


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """Run a Valkey server; REDIS_URL chooses one that runs already. Tests use their own keys."""
    with embedded.valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run a Kubernetes control plane and a node that kwok simulates.

    Tests that use it are of the xdist group "kubernetes", so that one process runs them all.
    """
    with kubernetes.cluster(tmp_path_factory.mktemp("kubernetes")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def simulator_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a simulator process."""
    url = f"http://{embedded.LOOPBACK}:{embedded.free_port()}"
    log = tmp_path_factory.mktemp("simulator") / "simulator.log"
    child = start_simulator(url, SIMULATOR_SECRETS, log)
    try:
        asyncio.run(until_ready(child, url))
        yield url
    finally:
        child.stop()


@pytest.fixture
async def simulator(simulator_url: str) -> Control:
    """Give the simulator's fault control; it has no records and no faults."""
    control = Control(simulator_url, library_token=SIMULATOR_SECRETS["LIBRARY_TOKEN"])
    await control.reset()
    return control


@pytest.fixture
async def start_service(
    database_url: str, valkey: Valkey, simulator: Control, tmp_path: Path
) -> AsyncIterator[Services]:
    """Give a starter of `api` and `worker` processes on a database of their own."""
    environ = settings(database_url=database_url, redis_url=valkey.url, simulator_url=simulator.url)
    async with services(tmp_path, environ) as starter:
        yield starter
