"""`python -m service admin …`: what it takes, how it ends.

It works on the database directly, so that it can repair what keeps the API from running; its
settings are the service's environment variables.

Exit codes: 0 done; 1 refused or not possible; 2 wrong arguments or settings; 3 done, and it found
what should not be (a broken invariant, a difference, a changed audit trail).
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TextIO

import msgspec

from service import logs
from service.admin import audit, commands
from service.admin.output import Output, plain
from service.admin.reconcile import DEFAULT_WAIT_S, run_reconciliation
from service.app import parts
from service.clock import DatabaseClock
from service.errors import ServiceError, StoreUnavailableError
from service.ids import new_id
from service.metrics import Metrics
from service.settings import Settings, SettingsError, load
from service.store.database import ReadOnlyError
from service.store.schema import SchemaMissingError, require_schema, server_time

USAGE: Final = 2
INTERRUPTED: Final = 130


def main(
    arguments: Sequence[str],
    environ: Mapping[str, str] = os.environ,
    stdout: TextIO | None = None,
) -> int:
    """Run one command; return its exit code."""
    chosen = parser().parse_args(arguments)
    out = Output(stdout or sys.stdout, as_json=chosen.json)
    try:
        # In the pod of a worker, and with what that one holds.
        settings = load(environ, "worker")
        # Logs go to stderr, and only what the output doesn't contain.
        logs.configure("error", sys.stderr.buffer)
        return asyncio.run(_run(settings, chosen, out))
    except (SettingsError, msgspec.ValidationError) as error:
        return _complain(str(error), USAGE)
    except (SchemaMissingError, ServiceError) as error:
        return _complain(_sentence(error), commands.FAILED)
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader has seen enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123  or the exit flushes into the pipe
        return commands.OK


async def _run(settings: Settings, chosen: argparse.Namespace, out: Output) -> int:
    # Nobody scrapes a command; its metrics take the role that does the same work.
    metrics = Metrics(version=settings.version, role="worker")
    with logs.bind_correlation(new_id().hex):
        clock = DatabaseClock()
        async with parts(settings, metrics, clock) as ctx:
            await require_schema(ctx.db)
            await clock.measure(partial(server_time, ctx.db))
            code: int = await chosen.command(ctx, chosen, out)
            return code


def parser() -> argparse.ArgumentParser:
    """Return the parser; each command's function is in `command`."""
    top = argparse.ArgumentParser(
        prog="python -m service admin",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    every = argparse.ArgumentParser(add_help=False)
    every.add_argument("--json", action="store_true", help="print JSON")
    acting = argparse.ArgumentParser(add_help=False)
    acting.add_argument("--as", dest="actor", type=_name, required=True, metavar="NAME",
                        help="who you are, for the audit trail")  # fmt: skip
    add = top.add_subparsers(title="commands", required=True, metavar="COMMAND").add_parser
    commands.add_commands(add, every, acting)

    run = add("reconcile", parents=[every, acting], help="Run a reconciliation now")
    run.add_argument("--note", required=True, help="Why; the audit trail keeps it")
    run.add_argument("--wait", type=float, default=DEFAULT_WAIT_S, metavar="SECONDS",
                       help="for the end of the run (%(default)g)")  # fmt: skip
    run.set_defaults(command=run_reconciliation)

    verify = add("verify-audit", parents=[every], help="Check the audit trails against their seals")
    verify.add_argument("--since", type=audit.moment, metavar="TIME",
                        help="leave out what was sealed before (ISO 8601, UTC)")  # fmt: skip
    verify.add_argument("--anchors", type=Path, metavar="FILE",
                        help="a worker's log: its seals must be those of the database")  # fmt: skip
    verify.set_defaults(command=audit.verify)
    return top


def _name(text: str) -> str:
    if not 1 <= len(text) <= 128 or not text.isprintable():  # noqa: PLR2004  as user ids
        raise argparse.ArgumentTypeError("give a name of 1 to 128 printable characters")
    return text


def _sentence(error: ServiceError | SchemaMissingError) -> str:
    if isinstance(error, SchemaMissingError):
        return str(error)
    if isinstance(error, ReadOnlyError):
        return (
            f"{error.detail}: it is a standby, or default_transaction_read_only is on;"
            " try again later"
        )
    if isinstance(error, StoreUnavailableError):
        return f"{error.detail}; see whether DATABASE_URL is right and the role migrate has run"
    fields = "; ".join(f"{field.field}: {field.detail}" for field in error.fields)
    return f"{error.detail}{': ' if fields else ''}{fields}"


def _complain(sentence: str, code: int) -> int:
    lines = "\n".join(plain(line) for line in sentence.splitlines())
    sys.stderr.write(f"service admin: {lines}\n")
    return code
