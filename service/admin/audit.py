"""`admin verify-audit`: whether the audit trails are as they were sealed."""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from service.admin.commands import FAILED, FOUND, OK
from service.admin.output import Output
from service.store.audit_seals import list_seals
from service.store.audit_trail import Anchor, Fault
from service.usecases import audit
from service.usecases.audit import Checked
from service.usecases.context import Context

SHOWN: Final = 1_000
"""Faults that are printed; the rest is counted."""

ANCHOR: Final = "audit_sealed"
"""The log event that anchors a seal."""


class AnchorsError(Exception):
    """The file of anchors can't be used; the message gives the reason."""


class Verification(msgspec.Struct):
    """What a verification has gone through and found; of very many faults some are not counted."""

    seals: int = 0
    entries: int = 0
    unsealed_entries: int = 0
    anchors: int = 0
    faults_found: int = 0
    faults: list[Fault] = []

    def add(self, checked: Checked) -> None:
        """Count a step in."""
        self.seals += checked.seals
        self.entries += checked.entries
        self.unsealed_entries += checked.unsealed
        self.anchors += checked.anchors
        self.faults_found += len(checked.faults)
        self.faults += checked.faults[: SHOWN - len(self.faults)]


async def verify(ctx: Context, arguments: argparse.Namespace, out: Output) -> int:
    """Check the audit trails; FOUND if they are not as they were sealed."""
    try:
        anchors = read_anchors(arguments.anchors) if arguments.anchors else []
    except AnchorsError as error:
        sys.stderr.write(f"service admin: {error}\n")
        return FAILED
    newest = (await list_seals(ctx.db, cursor=None, limit=1)).items
    verification = Verification()
    with _progress(newest[0].id if newest else 0, quiet=arguments.json) as show:
        async for checked in audit.verify(ctx, since=arguments.since, anchors=anchors):
            verification.add(checked)
            show(checked)
    if not out.document(verification):
        _print(verification, out)
    return FOUND if verification.faults_found else OK


def read_anchors(path: Path) -> list[Anchor]:
    """Return the anchors in a file of the service's log lines; raise AnchorsError.

    Other lines are passed over: a log file has many, and not all of them JSON.
    """
    try:
        with path.open("rb") as file:
            anchors = [anchor for line in file if (anchor := _anchor(line))]
    except OSError as error:
        raise AnchorsError(f"{path} can't be read: {error.strerror}") from error
    if not anchors:
        raise AnchorsError(f"{path} has no line of the event {ANCHOR}; give a worker's log")
    return anchors


def moment(text: str) -> datetime:
    """Return a time that was given as ISO 8601; without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time; give one such as 2026-11-25 or 2026-11-25T22:00:00+01:00"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _anchor(line: bytes) -> Anchor | None:
    if ANCHOR.encode() not in line:
        return None
    try:
        record: Any = msgspec.json.decode(line)
        return msgspec.convert(record, Anchor) if record["event"] == ANCHOR else None
    except (msgspec.DecodeError, KeyError, TypeError):
        return None


@contextmanager
def _progress(last: int, *, quiet: bool) -> Iterator[Any]:
    """Show on a terminal how far it is; stdout is for the result."""
    console = Console(stderr=True)
    columns = (TextColumn("seals"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=console, disable=quiet or not console.is_terminal, transient=True
    ) as bar:
        task = bar.add_task("seals", total=last)
        yield lambda checked: bar.advance(task, checked.seals)


def _print(verification: Verification, out: Output) -> None:
    out.text(
        f"checked {verification.entries} entries under {verification.seals} seals,"
        f" {verification.unsealed_entries} entries without one, {verification.anchors} anchors"
    )
    if not verification.faults_found:
        out.text("all as it was")
        return
    names = ("fault", "seal", "chain", "seq")
    rows = [[getattr(fault, name) for name in names] for fault in verification.faults]
    out.table("Faults", names, rows)
    kinds = Counter(fault.fault for fault in verification.faults)
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    beyond = verification.faults_found - len(verification.faults)
    others = f", and at least {beyond} more" if beyond else ""
    out.text(f"{counts}{others}; docs/operate/admin.md explains each")
