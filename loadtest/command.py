"""What the commands that load a service have in common: targets, signals, exit codes, progress."""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from loadtest import archive
from loadtest.archive import Archived, ArchiveError
from loadtest.money import Money, SetUpError, check_money
from loadtest.report import table
from loadtest.resources import metrics
from loadtest.run import Target, TargetDiedError
from loadtest.verdict import Verdict
from scripts.platform import token

PASSED, FAILED, NOT_RUN, INTERRUPTED = 0, 1, 2, 130

SCOPES: Final = "payments:read payments:write"
ADMIN_SCOPES: Final = "payments:admin"
TOKEN_MARGIN_S: Final = 3_600  # beyond the run: the start, the end, and the money's checks

Result = TypeVar("Result")


def run(program: str, work: Coroutine[Any, Any, int]) -> int:
    """Run a command to its exit code; SIGTERM unwinds it as Ctrl-C does."""
    try:
        return asyncio.run(_canceled_by_sigterm(work))
    except TargetDiedError as error:
        return _complain(program, error, FAILED)
    except (SetUpError, ArchiveError, token.TokenError) as error:
        return _complain(program, error, NOT_RUN)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return _complain(program, "interrupted; there is no verdict", INTERRUPTED)


def target(
    folder: Path, url: str | None = None, ops_url: str | None = None
) -> AbstractAsyncContextManager[Target]:
    """Give the service at a URL, or one of our own whose logs stay in `folder`."""
    if url is not None:
        return _existing(url.rstrip("/"), ops_url)
    from loadtest.own import own_platform  # noqa: PLC0415  what it needs, Windows hasn't got

    return own_platform(folder, report_part)


async def unless_it_dies(work: Coroutine[Any, Any, Result], target: Target) -> Result:
    """Return the result of `work`; raise TargetDiedError as soon as a part of the target dies."""
    if target.died is None:
        return await work
    working, dying = asyncio.create_task(work), asyncio.create_task(target.died())
    try:
        await asyncio.wait({working, dying}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise dying.result()
    finally:
        for task in (working, dying):
            task.cancel()
        await asyncio.gather(working, dying, return_exceptions=True)


async def money_after(target: Target, admin_token: str) -> Money:
    """Return what a service says of its money after a load; raise SetUpError, TargetDiedError."""
    log("  load applied; waiting until nothing is pending, then reconciling")
    checking = check_money(target.url, admin_token, lambda line: log(f"  {line}"))
    return await unless_it_dies(checking, target)


def make_token(target: Target, user: str, scopes: str, run_s: float) -> str:
    """Return a token that outlives a run of so many seconds."""
    return token.make(target.secret, user, scopes, ttl_s=int(run_s) + TOKEN_MARGIN_S)


def log(line: str) -> None:
    """Print progress; stdout is for the result."""
    print(line, file=sys.stderr)


def parser(program: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that all of them have."""
    made = argparse.ArgumentParser(
        prog=program, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--out", type=Path, help="folder of the report (below build/load)")
    made.add_argument("--archive", type=Path, help="folder of finished runs (loadtest/results)")
    made.add_argument("--json", action="store_true", help="print the report as JSON")
    return made


class Report(Protocol):
    """What is known about a run of an open model; `refused` if it has no verdict to go by."""

    @property
    def verdict(self) -> Verdict | None: ...
    @property
    def passed(self) -> bool: ...
    @property
    def refused(self) -> bool: ...
    @property
    def refusal(self) -> str: ...
    def page(self, before: Archived | None) -> str: ...
    def document(self) -> dict[str, Any]: ...
    def summary(self) -> dict[str, Any]: ...


class Places(Protocol):
    """Where a report goes, and whether it is printed as JSON."""

    @property
    def out(self) -> Path: ...
    @property
    def archive(self) -> Path: ...
    @property
    def json(self) -> bool: ...


def present(program: str, report: Report, before: Archived | None, places: Places) -> int:
    """Write and print a report, keep it in the archive if it is judged, return the exit code."""
    html_file, json_file = places.out / "report.html", places.out / "report.json"
    html_file.write_text(report.page(before), encoding="utf-8")
    document = json.dumps(report.document(), indent=2, allow_nan=False)
    json_file.write_text(document + "\n", encoding="utf-8")
    if places.json:
        print(document)
    elif report.verdict is not None:
        color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        print(table(report.verdict, color=color))
        print(f"  {html_file}\n  {json_file}")
    if report.refused:
        log(f"{program}: no verdict: {report.refusal}; {html_file} has what was measured")
        return NOT_RUN
    log(f"  {archive.keep(report.summary(), places.archive)}")
    return PASSED if report.passed else FAILED


@asynccontextmanager
async def sidelined(work: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Let endless `work` run meanwhile."""
    task = asyncio.create_task(work())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def _existing(url: str, ops_url: str | None) -> AsyncIterator[Target]:
    sources = {"api": metrics(ops_url.rstrip("/"))} if ops_url else {}
    yield Target(url, token.find_secret(os.environ, token.DEV_FOLDER), sources=sources)


async def _canceled_by_sigterm(work: Coroutine[Any, Any, int]) -> int:
    task = asyncio.ensure_future(work)
    with suppress(NotImplementedError):  # there are no signals on Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def report_part(part: str, seconds: float, where: str) -> None:
    """Print that a part of the platform has started."""
    log(f"  {part:<12}{seconds:6.2f} s  {where}")


def _complain(program: str, error: object, code: int) -> int:
    log(f"{program}: {error}")
    return code
