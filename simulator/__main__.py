"""Run the simulator: `python -m simulator --port 8090`.

SIMULATOR_WEBHOOK_URL is where its webhooks go, signed with the first of SIMULATOR_WEBHOOK_SECRETS.
"""

import argparse
import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from simulator.app import Config, make_app
from simulator.records import DEFAULT_MAX_RECORDS
from simulator.webhooks import Hook

DRAIN_S: Final = 2.0  # scripted waits end at once at shutdown; the rest answers in milliseconds


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C; return the exit code."""
    options = _parser().parse_args(argv)
    try:
        config = _config(os.environ, options.max_records)
    except KeyError as missing:
        return _complain(f"{missing.args[0]} is not set; give the secret that callers show", 2)
    try:
        asyncio.run(_serve(config, options.host, options.port))
    except OSError as error:
        where = f"{options.host}:{options.port}"
        return _complain(f"cannot listen on {where}: {error.strerror}; choose another --port", 1)
    return 0


def _complain(sentence: str, code: int) -> int:
    sys.stderr.write(f"simulator: {sentence}\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8090, help="0 takes a free one (%(default)s)")
    parser.add_argument(
        "--max-records",
        type=int,
        default=DEFAULT_MAX_RECORDS,
        help="charges, refunds and grants to keep, of each (%(default)s)",
    )
    return parser


def _config(environ: Mapping[str, str], max_records: int) -> Config:
    return Config(
        # Without one nobody is to be charged here, and nobody guesses it.
        api_key=environ.get("SIMULATOR_API_KEY") or secrets.token_urlsafe(),
        library_token=environ["LIBRARY_TOKEN"],
        max_records=max_records,
        hook=Hook(
            url=environ.get("SIMULATOR_WEBHOOK_URL", ""),
            secret=environ.get("SIMULATOR_WEBHOOK_SECRETS", "").split(",")[0].strip(),
        ),
    )


async def _serve(config: Config, host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(make_app(config), access_log=None, shutdown_timeout=DRAIN_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        address = runner.addresses[0]
        sys.stdout.write(f"simulator: http://{address[0]}:{address[1]}\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    sys.exit(main())
