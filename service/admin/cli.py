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
from typing import Any, Final, TextIO
from uuid import UUID

import msgspec

from service import logs
from service.admin import audit, commands, disputes, merchant_webhooks
from service.admin.output import Output, plain
from service.app import parts
from service.clock import DatabaseClock
from service.domain.reconciliation import DifferenceKind
from service.errors import ServiceError, StoreUnavailableError
from service.ids import new_id
from service.metrics import Metrics
from service.settings import Settings, SettingsError, load
from service.store.database import ReadOnlyError
from service.store.schema import SchemaMissingError, require_schema, server_time

USAGE: Final = 2
INTERRUPTED: Final = 130
DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 1_000
DEFAULT_WAIT_S: Final = 3_600.0
"""The longest that a reconciliation run takes."""

_FIRST_MESSAGE: Final = 0


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
        # Logs go where they don't mix with the output, and only what the output doesn't say.
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
    paged = argparse.ArgumentParser(add_help=False)
    paged.add_argument("--limit", type=_limit, default=DEFAULT_LIMIT, help="rows (%(default)s)")
    acting = argparse.ArgumentParser(add_help=False)
    acting.add_argument("--as", dest="actor", type=_name, required=True, metavar="NAME",
                        help="who you are, for the audit trail")  # fmt: skip
    acting.add_argument("--note", required=True, help="why, for the audit trail")
    add = top.add_subparsers(title="commands", required=True, metavar="COMMAND").add_parser
    _add_looking(add, [every, paged], [every])
    _add_audit(add, [every, paged], [every])
    _add_acting(add, [every, acting])
    disputes.add_looking(add, [every, paged])
    disputes.add_acting(add, [every, acting])
    merchant_webhooks.add_looking(add, [every, paged], [every])
    merchant_webhooks.add_acting(add, [every, acting])
    return top


def _add_looking(add: Any, paged: list[Any], plain_: list[Any]) -> None:
    review = add("review", parents=paged, help="list what waits for a person")
    review.add_argument("--after", type=UUID, metavar="ID", help="the last id of the page before")
    review.set_defaults(command=commands.show_review)

    orphans = add("orphans", parents=plain_, help="list charges that pay nothing")
    orphans.set_defaults(command=commands.show_orphans)

    parked = add("parked", parents=plain_, help="list events that found no payment")
    parked.set_defaults(command=commands.show_parked)

    outbox = add("outbox", parents=paged, help="list messages to the Library")
    states = ("stuck", "pending", "delivered", "given_up")
    outbox.add_argument("--state", choices=states, default="stuck")
    outbox.add_argument("--after", type=int, metavar="ID", default=_FIRST_MESSAGE,
                        help="the last id of the page before")  # fmt: skip
    outbox.set_defaults(command=commands.show_outbox)

    differences = add("differences", parents=paged, help="list what reconciliation has found")
    differences.add_argument("--state", choices=("open", "resolved", "all"), default="open")
    differences.add_argument("--kind", choices=[kind.value for kind in DifferenceKind])
    differences.add_argument("--after", type=UUID, metavar="ID",
                             help="the last id of the page before")  # fmt: skip
    differences.set_defaults(command=commands.show_differences)

    invariants = add("invariants", parents=plain_, help="check that the money is right")
    invariants.set_defaults(command=commands.show_invariants)

    payment = add("payment", parents=plain_, help="show all that is known of a payment")
    payment.add_argument("id", type=UUID)
    payment.set_defaults(command=commands.show_payment)


def _add_audit(add: Any, paged: list[Any], plain_: list[Any]) -> None:
    top = add("audit", help="check the audit trails against their seals")
    add = top.add_subparsers(title="commands", required=True, metavar="COMMAND").add_parser
    seals = add("seals", parents=paged, help="list the seals, newest first")
    seals.add_argument("--before", type=int, metavar="ID", help="the last id of the page before")
    seals.set_defaults(command=audit.show_seals)

    verify = add("verify", parents=plain_, help="check that the trails are as they were sealed")
    verify.add_argument("--since", type=audit.moment, metavar="TIME",
                        help="leave out what was sealed before (ISO 8601, UTC)")  # fmt: skip
    verify.add_argument("--anchors", type=Path, metavar="FILE",
                        help="a worker's log: its seals must be those of the database")  # fmt: skip
    verify.set_defaults(command=audit.verify)


def _add_acting(add: Any, parents: list[Any]) -> None:
    resolve = add("resolve", parents=parents, help="decide on a payment or refund in review")
    resolve.add_argument("kind", choices=("payment", "refund"))
    resolve.add_argument("id", type=UUID)
    resolve.add_argument("outcome", choices=("succeeded", "failed", "canceled"))
    resolve.add_argument("--provider-ref", help="the charge's or refund's id at the provider")
    resolve.add_argument("--amount", type=int, metavar="MINOR",
                         help="what the provider took, in minor units")  # fmt: skip
    resolve.add_argument("--key", help="an idempotency key, to repeat the command safely")
    resolve.set_defaults(command=commands.resolve)

    _add_manual_refunds(add, parents)

    replay = add("replay", parents=parents, help="send a message of the outbox once more")
    replay.add_argument("message", type=int)
    replay.set_defaults(command=commands.replay)

    reconcile = add("reconcile", parents=parents, help="compare the books now")
    reconcile.add_argument("--wait", type=float, default=DEFAULT_WAIT_S, metavar="SECONDS",
                           help="for the end of the run (%(default)g)")  # fmt: skip
    reconcile.set_defaults(command=commands.run_reconciliation)


def _add_manual_refunds(add: Any, parents: list[Any]) -> None:
    kind_help = "an orphan capture in review, or a refund that failed for good or came back"
    retry = add("retry", parents=parents, help="have a refund tried again")
    record = add("record", parents=parents, help="book a refund that was made otherwise")
    record.add_argument("--provider-ref", required=True, metavar="REF",
                        help="the refund's id at the provider, or the transfer's")  # fmt: skip
    record.add_argument("--amount", type=int, metavar="MINOR",
                        help="what was given back, in minor units")  # fmt: skip
    dismiss = add("dismiss", parents=parents, help="decide that nothing replaces a refund")
    for verb, command in (("retry", retry), ("record", record), ("dismiss", dismiss)):
        kinds = ("refund",) if verb == "dismiss" else ("orphan", "refund")
        command.add_argument("kind", choices=kinds, help=kind_help)
        command.add_argument("id", type=UUID)
        command.add_argument("--key", help="an idempotency key, to repeat the command safely")
        command.set_defaults(command=commands.give_back, verb=verb)

    again = add("replay-event", parents=parents, help="have a parked event looked at once more")
    end = add("dismiss-event", parents=parents, help="dismiss a parked event for good")
    for command, is_again in ((again, True), (end, False)):
        command.add_argument("provider")
        command.add_argument("event", help="the event's id")
        command.set_defaults(command=commands.end_parked, again=is_again)

    every = add("dismiss-events", parents=parents, help="dismiss parked events in bulk")
    every.add_argument("provider")
    every.add_argument("--type", help="only events of this type")
    every.add_argument("--before", type=audit.moment, metavar="TIME",
                       help="only those parked before (ISO 8601, UTC)")  # fmt: skip
    every.add_argument("--named", action="store_true",
                       help="also those that name a payment or a refund of ours")  # fmt: skip
    every.set_defaults(command=commands.dismiss_parked)


def _limit(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MAX_LIMIT:
        raise argparse.ArgumentTypeError(f"give 1 to {MAX_LIMIT}")
    return number


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
