"""`make dev` from outside: it says what is wrong, stops cleanly, and leaves nothing behind."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg2
import pytest

from scripts.platform.client import Client
from scripts.platform.embedded import LOOPBACK, Valkey, free_port
from service.store import migrate

STARTED_S = 60
STOPPED_S = 40


@dataclass
class Dev:
    """A running `make dev`."""

    process: asyncio.subprocess.Process
    folder: Path
    url: str

    async def until_started(self) -> list["psutil.Process"]:
        """Wait until it says how to stop it; return its descendants."""
        seen = ""
        async with asyncio.timeout(STARTED_S):
            while "Ctrl-C stops it" not in seen:
                line = await self._stdout().readline()
                assert line, f"it ended: {seen}"
                seen += line.decode()
        return list(psutil.Process(self.process.pid).children(recursive=True))

    async def ended(self) -> tuple[int, str, str]:
        """Wait for its end; return its exit code and the rest of its output."""
        out, err = await asyncio.wait_for(self.process.communicate(), STOPPED_S)
        return self.process.returncode or 0, out.decode(), err.decode()

    def _stdout(self) -> asyncio.StreamReader:
        assert self.process.stdout is not None
        return self.process.stdout


@asynccontextmanager
async def dev(folder: Path, environ: Mapping[str, str]) -> AsyncIterator[Dev]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "scripts.platform.dev", "--folder", str(folder)),
        env={**os.environ, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Dev(process, folder, f"http://{LOOPBACK}:{environ['PORT']}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
def environ(empty_database_url: str, valkey: Valkey) -> dict[str, str]:
    return {
        "DATABASE_URL": empty_database_url,
        "REDIS_URL": valkey.url,
        "PORT": str(free_port()),
        "OPS_PORT": str(free_port()),
        "SIMULATOR_PORT": str(free_port()),
    }


def gone(processes: list["psutil.Process"]) -> bool:
    return not psutil.wait_procs(processes, timeout=STOPPED_S)[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_pays_and_stops_cleanly(
    tmp_path: Path, environ: dict[str, str], number: signal.Signals
) -> None:
    async with dev(tmp_path / "dev", environ) as running:
        children = await running.until_started()
        async with Client(running.url, printed_token(tmp_path / "dev")) as ada:
            order = await ada.order(["game-1"])
            assert (await ada.pay(order["id"])).expect(201).body["status"] == "succeeded"
            await ada.until_status(f"/v1/orders/{order['id']}", "fulfilled")
        running.process.send_signal(number)
        code, out, err = await running.ended()
        assert (code, err) == (0, "")
        assert out.rstrip().endswith("stopped")
        assert gone(children)


async def test_a_part_that_dies_stops_everything(tmp_path: Path, environ: dict[str, str]) -> None:
    async with dev(tmp_path, environ) as running:
        children = await running.until_started()
        worker = next(child for child in children if child.cmdline()[-1:] == ["worker"])
        worker.kill()
        code, _, err = await running.ended()
        assert code == 1
        assert "worker ended with exit code -9; its last lines" in err
        assert '"event":"started"' in err
        assert gone(children)


async def test_a_killed_parent_leaves_no_process(tmp_path: Path, environ: dict[str, str]) -> None:
    async with dev(tmp_path, environ) as running:
        children = await running.until_started()
        running.process.kill()
        await running.ended()
        assert gone(children)


@pytest.mark.parametrize("variable", ["PORT", "OPS_PORT", "SIMULATOR_PORT"])
async def test_a_port_in_use_is_named_in_one_sentence(
    tmp_path: Path, environ: dict[str, str], variable: str
) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        async with dev(tmp_path, {**environ, variable: str(port)}) as running:
            code, _, err = await running.ended()
    assert code == 1
    assert err == (
        f"dev: port {port} on {LOOPBACK} is in use; stop what listens there, "
        f"or choose another one with {variable}\n"
    )


async def test_a_port_that_is_none_is_refused(tmp_path: Path, environ: dict[str, str]) -> None:
    async with dev(tmp_path, {**environ, "PORT": "http"}) as running:
        code, _, err = await running.ended()
    assert (code, err) == (1, "dev: PORT is 'http'; give a port from 1 to 65535\n")


async def test_a_database_that_does_not_answer_is_said(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    nowhere = f"postgresql://nobody:pw@{LOOPBACK}:{free_port()}/nothing"
    async with dev(tmp_path, {**environ, "DATABASE_URL": nowhere}) as running:
        code, _, err = await running.ended()
    assert code == 1
    assert "migrate ended with exit code 1" in err
    assert "onnection refused" in err


async def test_it_starts_on_what_a_killed_migration_has_left(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    with closing(psycopg2.connect(environ["DATABASE_URL"])) as connection:
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE yoyo_lock (locked int, ctime timestamp, pid int)")
            cursor.execute("INSERT INTO yoyo_lock VALUES (1, now(), 4711)")
        connection.commit()
    async with dev(tmp_path, environ) as running:
        await running.until_started()


async def test_it_says_whom_a_migration_waits_for(tmp_path: Path, environ: dict[str, str]) -> None:
    url = environ["DATABASE_URL"]
    with closing(psycopg2.connect(url, application_name="psql of Ada")) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", (migrate.MIGRATORS_LOCK,))
        connection.commit()
        async with dev(tmp_path, environ) as running:
            assert running.process.stderr is not None
            said = await asyncio.wait_for(running.process.stderr.readline(), STARTED_S)
            assert said.startswith(b"schema: the lock of migrations waits, ")
            assert f"pid {connection.info.backend_pid} (psql of Ada".encode() in said
            connection.close()
            await running.until_started()


def printed_token(folder: Path) -> str:
    command = [
        sys.executable,
        "-m",
        "scripts.platform.token",
        "--user",
        "ada",
        "--folder",
        str(folder),
    ]
    environ = {name: value for name, value in os.environ.items() if name != "JWT_SECRET"}
    return subprocess.run(
        command, env=environ, capture_output=True, text=True, check=True, timeout=30
    ).stdout.strip()


async def test_the_secret_is_made_once_and_for_its_owner_only(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    async with dev(tmp_path, environ) as running:
        await running.until_started()
        secret = tmp_path / "jwt-secret"
        assert secret.stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "env").stat().st_mode & 0o777 == 0o600
        assert len(secret.read_text().strip()) >= 32
        async with Client(running.url, "nonsense") as eve:
            assert (await eve.call("GET", "/v1/orders")).status == 401
