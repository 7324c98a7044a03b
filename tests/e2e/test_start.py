"""A process that cannot start says why in one sentence, and how to go on."""

import json
import os
import socket
import subprocess
import sys

import pytest

from scripts.platform.embedded import LOOPBACK, free_port
from tests.support.services import settings

TIMEOUT_S = 30
ROLES = ["api", "worker", "migrate"]


def run(role: str, environ: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    path = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        [sys.executable, "-m", "service", role],
        env=path | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )


def good(database_url: str = "postgresql://u@127.0.0.1:1/x") -> dict[str, str]:
    return settings(database_url=database_url, redis_url="", simulator_url="http://127.0.0.1:1")


@pytest.mark.parametrize("role", ROLES)
def test_a_missing_database_url_is_named_with_its_remedy(role: str) -> None:
    done = run(role, {k: v for k, v in good().items() if k != "DATABASE_URL"})
    assert done.returncode == 2
    assert "DATABASE_URL is not set; give a URL such as postgresql://" in done.stderr
    assert "make dev" in done.stderr
    assert "Traceback" not in done.stderr


def test_everything_that_is_wrong_is_said_at_once_and_no_secret() -> None:
    wrong = good() | {"PORT": "http", "JWT_SECRET": "short-secret", "LOG_LEVEL": "loud"}
    done = run("api", wrong)
    assert done.returncode == 2
    assert all(name in done.stderr for name in ("PORT", "JWT_SECRET", "LOG_LEVEL"))
    assert "short-secret" not in done.stderr


@pytest.mark.parametrize(
    ("role", "setting"), [("api", "PORT"), ("api", "OPS_PORT"), ("worker", "OPS_PORT")]
)
def test_a_port_in_use_is_named_with_its_remedy(role: str, setting: str, database_url: str) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        listens = {"PORT": str(free_port()), "OPS_PORT": str(free_port()), setting: str(port)}
        done = run(role, good(database_url) | listens)
    assert done.returncode == 1
    said = [json.loads(line) for line in done.stdout.splitlines()]
    (record,) = (line for line in said if line["event"] == "port_in_use")
    assert f"port {port} on {LOOPBACK} is in use" in record["error"]
    assert record["error"].endswith(f"choose another one with {setting}")
    assert "Traceback" not in done.stdout + done.stderr


def test_an_unknown_role_is_refused() -> None:
    done = run("juggler", good())
    assert done.returncode == 2
    assert "choose from" in done.stderr
