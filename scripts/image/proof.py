"""Proves an image: its three roles, as containers, take a real payment and stop in order."""

import asyncio
import os
import secrets
import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import psutil

from scripts.image.engines import Container
from scripts.platform import embedded, launcher, token
from scripts.platform.client import Client, UnexpectedAnswerError
from scripts.platform.embedded import LOOPBACK, free_port
from scripts.platform.processes import Child, spawn
from simulator.client import Control

GAMES: Final = ("game-7",)
MIGRATE_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 30.0  # nothing is in flight: well under a second, but containers are slow
PYTHON: Final = ("python3", "-m", "service")


Image = Callable[[], AbstractContextManager[Container]]
"""Makes a new container of the image."""


class ProofError(Exception):
    """The image does not do what it must; the message says what."""


@dataclass(frozen=True)
class Proof:
    """What a container of the image has shown."""

    payment: str
    order: str
    games: int


def prove(image: Image, folder: Path, report: Callable[[str], None]) -> Proof:
    """Start migrate, worker and api in containers, pay one payment and stop them.

    Raises ProofError, PlatformError or ProcessDiedError.
    """
    with ExitStack() as stack:
        environ = _servers(stack, folder)
        report("PostgreSQL, Valkey and the simulator run")
        return asyncio.run(_pay(image, folder, environ, report))


def _servers(stack: ExitStack, folder: Path) -> dict[str, str]:
    """Start what the service needs; return its settings."""
    url = f"http://{LOOPBACK}:{free_port()}"
    environ = {
        "HOST": LOOPBACK,
        "JWT_SECRET": secrets.token_hex(32),
        "SIMULATOR_API_KEY": secrets.token_urlsafe(24),
        "LIBRARY_TOKEN": secrets.token_urlsafe(24),
        **dict.fromkeys(("SIMULATOR_URL", "LIBRARY_URL", "GAME_CATALOG_URL"), url),
    }
    environ["DATABASE_URL"] = stack.enter_context(
        embedded.postgres(folder / "postgres", durable=False)
    ).url()
    environ["REDIS_URL"] = stack.enter_context(embedded.valkey(folder / "valkey")).url
    log = folder / "logs" / "simulator.log"
    stack.callback(launcher.start_simulator(url, {**os.environ, **environ}, log).stop)
    return environ


async def _pay(
    image: Image, folder: Path, environ: Mapping[str, str], report: Callable[[str], None]
) -> Proof:
    ports, ops_port = {role: free_port() for role in ("worker", "api")}, free_port()
    with ExitStack() as stack:

        def start(role: str) -> Child:
            container = stack.enter_context(image())
            url, ops_url = (
                f"http://{LOOPBACK}:{port}" for port in (ports.get(role, ops_port), ops_port)
            )
            settings = {**environ, **launcher.listens(role, url, ops_url)}
            command = container.command((*PYTHON, role), settings)
            child = spawn(role, command, log=folder / "logs" / f"{role}.log")
            stack.callback(child.stop)
            return child

        migrate = start("migrate")
        if migrate.wait(MIGRATE_TIMEOUT_S) != 0:
            raise migrate.died()
        report("role migrate has made the schema")
        children = {role: start(role) for role in ports}
        for role, child in children.items():
            await launcher.until_ready(child, f"http://{LOOPBACK}:{ports[role]}")
            report(f"role {role} is ready")
        try:
            proof = await _one_sale(f"http://{LOOPBACK}:{ports['api']}", environ)
        except (UnexpectedAnswerError, aiohttp.ClientError, TimeoutError) as error:
            lines = "\n".join(child.tail() for child in children.values())
            raise ProofError(f"the sale failed: {error}; the last lines:\n{lines}") from error
        report(f"payment {proof.payment} succeeded, {proof.games} game granted")
        for role, child in children.items():
            _stop(child)
            report(f"role {role} stopped by SIGTERM with exit code 0")
    return proof


async def _one_sale(url: str, environ: Mapping[str, str]) -> Proof:
    bearer = token.make(environ["JWT_SECRET"], "ada", token.DEFAULT_SCOPES, environ=environ)
    async with Client(url, bearer) as ada:
        order = await ada.order(GAMES)
        payment = (await ada.pay(order["id"])).expect(201, 202).body
        payment = await ada.until_status(f"/v1/payments/{payment['id']}", "succeeded")
        await ada.until_status(f"/v1/orders/{order['id']}", "fulfilled")
    library = Control(environ["LIBRARY_URL"], library_token=environ["LIBRARY_TOKEN"])
    shelf = await library.shelf("ada")
    if len(shelf) != len(GAMES):
        raise ProofError(f"{len(GAMES)} game at the Library, not {len(shelf)}")
    return Proof(payment["id"], order["id"], len(shelf))


def _stop(child: Child) -> None:
    """Send SIGTERM to the process inside, as a kubelet does, and expect a clean end."""
    inside = psutil.Process(child.pid).children(recursive=True)
    os.kill(inside[-1].pid if inside else child.pid, signal.SIGTERM)
    code = child.wait(STOP_TIMEOUT_S)
    if code != 0:
        raise ProofError(f"{child.name} ended with {code} after SIGTERM:\n{child.tail()}")
