"""Run a load test and check its results.

Without --url the whole platform is started for the run: PostgreSQL, Valkey, the simulator, the API
and a worker, on free ports of this machine. With --url the service there is loaded; tokens are
signed with JWT_SECRET, or with the secret that `make dev` has made.

Exit codes: 0 passed, 1 failed, 2 the run could not be made, 130 interrupted.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import uuid4

from loadtest import archive
from loadtest import report as reporting
from loadtest.archive import Archived, ArchiveError
from loadtest.money import Money, SetUpError, check_money, check_ready
from loadtest.plan import Plan
from loadtest.profile import PROFILES, Profile
from loadtest.progress import ProgressLine
from loadtest.report import Origin, Report
from loadtest.report_page import report_page
from loadtest.resources import Sampler, metrics
from loadtest.results import Results
from loadtest.run import IDENTITIES_A_USER, Target, TargetDiedError, drive
from loadtest.verdict import evaluate
from scripts.platform import token

PASSED, FAILED, NOT_RUN, INTERRUPTED = 0, 1, 2, 130

OUT: Final = Path("build") / "load"
SCOPES: Final = "payments:read payments:write"
ADMIN_SCOPES: Final = "payments:admin"
TOKEN_MARGIN_S: Final = 3_600  # beyond the run: the start, the end, and the money's checks
MOST_WORKERS: Final = 64

Done = TypeVar("Done")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for."""

    profile: Profile
    url: str | None
    ops_url: str | None
    workers: int
    out: Path
    archive: Path
    json: bool


def main(arguments: list[str] | None = None) -> int:
    """Run the load test that the command line asks for; return the exit code."""
    options = _options(arguments)
    try:
        before = archive.newest(options.profile.name, options.archive)
        report = asyncio.run(_canceled_by_sigterm(_run(options)))
    except TargetDiedError as error:
        return _complain(error, FAILED)
    except (SetUpError, ArchiveError, token.TokenError) as error:
        return _complain(error, NOT_RUN)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return _complain("interrupted; there is no verdict", INTERRUPTED)
    _present(report, before, options)
    return PASSED if report.verdict.passed else FAILED


async def _run(options: Options) -> Report:
    profile, folder = options.profile, options.out
    folder.mkdir(parents=True, exist_ok=True)
    async with _target(options, folder / "platform") as target:
        admin_token = _token(profile, target, "load-verdict", ADMIN_SCOPES)
        await check_ready(target.url, admin_token)
        _log(f"{profile.name}: {profile.description}")
        _log(f"  {profile.duration_s} s, at most {profile.peak_users} users, on {target.url}")
        started_at = datetime.now(UTC)
        sampler = Sampler(target.sources)
        plan = _plan(profile, target, options.workers)
        results, money = await _unless_it_dies(
            _load_and_check(plan, target.url, admin_token, folder, sampler), target
        )
        return Report(
            profile=profile,
            url=target.url,
            workers=options.workers,
            started_at=started_at,
            results=results,
            samples=tuple(s for s in sampler.samples if s.at >= results.started_at),
            money=money,
            verdict=evaluate(profile, results, money, options.workers),
            origin=Origin(),
        )


async def _load_and_check(
    plan: Plan, url: str, admin_token: str, folder: Path, sampler: Sampler
) -> tuple[Results, Money]:
    """Apply the load, then look at the money."""
    results = await _drive(plan, url, folder, sampler)
    _log("  load applied; waiting until nothing is pending, then reconciling")
    return results, await check_money(url, admin_token, lambda line: _log(f"  {line}"))


async def _drive(plan: Plan, url: str, folder: Path, sampler: Sampler) -> Results:
    """Apply the load, while the parts are sampled and the progress is shown."""
    shown = ProgressLine(plan.profile)
    sampling = asyncio.create_task(sampler.run())
    try:
        return await drive(plan, url, folder, shown.show, sampler)
    finally:
        shown.end()
        sampling.cancel()
        with suppress(asyncio.CancelledError):
            await sampling


def _target(options: Options, folder: Path) -> AbstractAsyncContextManager[Target]:
    """Give the service at a URL, or one of our own whose logs stay in `folder`."""
    if options.url is not None:
        return _existing(options.url.rstrip("/"), options.ops_url)
    from loadtest.own import own_platform  # noqa: PLC0415  what it needs, Windows hasn't got

    return own_platform(folder, _report_part)


@asynccontextmanager
async def _existing(url: str, ops_url: str | None) -> AsyncIterator[Target]:
    sources = {"api": metrics(ops_url.rstrip("/"))} if ops_url else {}
    secret = token.find_secret(os.environ, token.DEV_FOLDER)
    yield Target(url, secret, sources=sources)


async def _unless_it_dies(work: Coroutine[Any, Any, Done], target: Target) -> Done:
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


async def _canceled_by_sigterm(work: Coroutine[Any, Any, Report]) -> Report:
    """Let SIGTERM unwind the run as Ctrl-C does, so that no process is left behind."""
    task = asyncio.ensure_future(work)
    with suppress(NotImplementedError):  # there are no signals on Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def _plan(profile: Profile, target: Target, workers: int) -> Plan:
    """Return a plan with people whom the service has never seen."""
    run = uuid4().hex[:8]
    names = (f"load-{run}-{n}" for n in range(profile.peak_users * IDENTITIES_A_USER))
    tokens = tuple(_token(profile, target, name, SCOPES) for name in names)
    return Plan(profile, tokens, workers)


def _token(profile: Profile, target: Target, user: str, scopes: str) -> str:
    return token.make(target.secret, user, scopes, ttl_s=profile.duration_s + TOKEN_MARGIN_S)


def _present(report: Report, before: Archived | None, options: Options) -> None:
    html_file = options.out / "report.html"
    html_file.write_text(report_page(report, before), encoding="utf-8")
    json_file = report.write_json(options.out)
    kept = archive.keep(report.summary(), options.archive)
    if options.json:
        print(json.dumps(report.document(), indent=2))
        return
    color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    print(reporting.table(report.verdict, color=color))
    print(f"  {report.results.total.count} requests, {report.results.throughput:.1f} a second")
    for line in _changes(report, before):
        print(f"  {line}")
    print(f"  {html_file}\n  {json_file}\n  {kept}")


def _changes(report: Report, before: Archived | None) -> list[str]:
    """Return how the main figures differ from the last run's, which the page shows in full."""
    if before is None:
        return [f"the archive has no earlier run of {report.profile.name}"]
    found = archive.changes(before.summary, report.summary())
    return [
        f"compared with {before.title}:",
        *(f"  {change.name}: {change.delta}" for change in found if change.name in archive.OVERALL),
    ]


def _report_part(part: str, seconds: float, where: str) -> None:
    _log(f"  {part:<12}{seconds:6.2f} s  {where}")


def _log(line: str) -> None:
    """Print progress; stdout is for the result."""
    print(line, file=sys.stderr)


def _complain(error: object, code: int) -> int:
    _log(f"loadtest: {error}")
    return code


def _options(arguments: list[str] | None) -> Options:
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.ops_url and not given.url:
        parser.error("--ops-url goes with --url: a platform of its own is measured anyway")
    profile = PROFILES[given.profile]
    return Options(
        profile=profile,
        url=given.url,
        ops_url=given.ops_url,
        workers=given.workers,
        out=given.out or OUT / profile.name,
        archive=given.archive or archive.ARCHIVE,
        json=given.json,
    )


def _parser() -> argparse.ArgumentParser:
    described = "\n".join(f"  {one.name:<10}{one.description}" for one in PROFILES.values())
    parser = argparse.ArgumentParser(
        prog="python -m loadtest",
        description=__doc__,
        epilog=f"profiles:\n{described}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--profile", choices=sorted(PROFILES), default="smoke")
    parser.add_argument("--url", help="a running service, such as http://127.0.0.1:8080")
    parser.add_argument("--ops-url", help="with --url: its operations port, for CPU and memory")
    parser.add_argument(
        "--workers", type=_count, default=1, help="processes that apply the load (1)"
    )
    parser.add_argument("--out", type=Path, help=f"folder of the report ({OUT}/<profile>)")
    parser.add_argument("--archive", type=Path, help="folder of finished runs (loadtest/results)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to {MOST_WORKERS}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
