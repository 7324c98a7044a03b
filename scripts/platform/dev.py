"""Run the whole platform in the foreground, until Ctrl-C or SIGTERM: `make dev`.

PORT (8080) is the API's port, OPS_PORT (9464, or a free one if that is taken) has its metrics, and
SIMULATOR_PORT (8090) is the simulator's; DATABASE_URL and REDIS_URL choose servers that run
already. Data is kept in .state/dev.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console

from scripts import console
from scripts.platform.embedded import EmbeddedError
from scripts.platform.launcher import Platform, PlatformError, Ports, is_free, platform
from scripts.platform.processes import ProcessDiedError
from scripts.platform.token import DEV_FOLDER

DEFAULT_PORT: Final = 8080
DEFAULT_OPS_PORT: Final = 9464
DEFAULT_SIMULATOR_PORT: Final = 8090
MAX_PORT: Final = 65_535
SETTINGS_FILE: Final = "env"


@console.command("dev", failed=(PlatformError, EmbeddedError, ProcessDiedError))
def main(argv: list[str] | None = None) -> int:
    parser = console.parser("scripts.platform.dev", __doc__)
    about = "keeps data, logs and secrets (%(default)s)"
    parser.add_argument("--folder", type=Path, default=DEV_FOLDER, help=about)
    options = parser.parse_args(argv)
    ports = Ports(
        api=_port(os.environ, "PORT", DEFAULT_PORT),
        ops=_ops_port(os.environ),
        simulator=_port(os.environ, "SIMULATOR_PORT", DEFAULT_SIMULATOR_PORT),
    )
    return asyncio.run(_run(options.folder, ports))


async def _run(folder: Path, ports: Ports) -> int:
    screen = console.make()
    running = asyncio.create_task(_until_a_part_dies(folder, ports, screen))

    def stop() -> None:
        if not running.cancelling():  # a second one must not cut the draining off
            screen.print("\nstopping: the API answers what it has begun …")
            running.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        error = await running
    except asyncio.CancelledError:
        screen.print("stopped")
        return 0
    raise error


async def _until_a_part_dies(folder: Path, ports: Ports, screen: Console) -> ProcessDiedError:
    screen.print("coinslot, on this machine only")
    async with platform(folder, ports=ports, report=partial(console.done, screen)) as running:
        _write_settings(running)
        screen.print(_hints(running), markup=False, soft_wrap=True)
        return await running.first_death()


def _port(environ: Mapping[str, str], variable: str, default: int) -> int:
    raw = environ.get(variable, "").strip() or str(default)
    if not raw.isdecimal() or not 1 <= int(raw) <= MAX_PORT:
        raise PlatformError(f"{variable} is {raw!r}; give a port from 1 to {MAX_PORT}")
    return int(raw)


def _ops_port(environ: Mapping[str, str]) -> int:
    """Return OPS_PORT, or 0 for a free one: a second `make dev` need not choose."""
    chosen = _port(environ, "OPS_PORT", DEFAULT_OPS_PORT)
    return chosen if environ.get("OPS_PORT", "").strip() or is_free(chosen) else 0


def _write_settings(running: Platform) -> None:
    names = (
        *("DATABASE_URL", "MIGRATION_DATABASE_URL", "REDIS_URL"),
        *("SIMULATOR_URL", "SIMULATOR_API_KEY", "LIBRARY_TOKEN"),
    )
    given = {name: running.environ[name] for name in names if name in running.environ}
    lines = [f"export {name}='{value}'\n" for name, value in given.items()]
    path = running.folder / SETTINGS_FILE
    path.touch(mode=0o600)
    path.write_text("".join(lines))


def _hints(running: Platform) -> str:
    folder = os.path.relpath(running.folder)
    return f"""
  logs       tail -f {folder}/logs/*.log
  settings   . {folder}/{SETTINGS_FILE}    (DATABASE_URL and the other secrets of this run)
  metrics    curl -s {running.ops_url}/metrics    (the worker's: {running.worker_url}/metrics)
  token      TOKEN=$(python -m scripts.platform.token --user u1)
  an order   curl -s {running.api_url}/v1/orders -H "Authorization: Bearer $TOKEN" \\
               -H 'Content-Type: application/json' \\
               -d '{{"currency": "EUR", "items": [{{"game_id": "game-1", "quantity": 1}}]}}'

Ctrl-C stops it."""


if __name__ == "__main__":
    sys.exit(main())
