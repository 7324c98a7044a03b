"""Run a load test and check its results.

Without --url the whole platform is started for the run: PostgreSQL, Valkey, the simulator, the API
and a worker, on free ports of this machine. With --url the service there is loaded; tokens are
signed with JWT_SECRET, or with the secret that `make dev` has made.

Exit codes: 0 passed, 1 failed, 2 the run could not be made.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from loadtest import report as reporting
from loadtest.plan import Plan
from loadtest.profile import PROFILES, Profile, users_at
from loadtest.report import Report
from loadtest.results import Results
from loadtest.run import (
    IDENTITIES_A_USER,
    SetUpError,
    Target,
    TargetDiedError,
    check_ready,
    drive,
    wait_until_idle,
)
from loadtest.verdict import evaluate
from scripts.platform import token

PASSED, FAILED, NOT_RUN, INTERRUPTED = 0, 1, 2, 130

OUT: Final = Path("build") / "load"
SCOPES: Final = "payments:read payments:write"
ADMIN_SCOPES: Final = "payments:admin"
TOKEN_MARGIN_S: Final = 900  # beyond the run: the start, the end, and waiting until idle


def main(arguments: list[str] | None = None) -> int:
    """Run the load test that the command line asks for; return the exit code."""
    options = _parser().parse_args(arguments)
    profile = PROFILES[options.profile]
    folder = options.out or OUT / profile.name
    try:
        report = asyncio.run(_canceled_by_sigterm(_run(profile, options.url, folder)))
    except TargetDiedError as error:
        return _complain(error, FAILED)
    except (SetUpError, token.TokenError) as error:
        return _complain(error, NOT_RUN)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return _complain("interrupted; there is no verdict", INTERRUPTED)
    _present(report, folder, as_json=options.json)
    return PASSED if report.verdict.passed else FAILED


async def _run(profile: Profile, url: str | None, folder: Path) -> Report:
    folder.mkdir(parents=True, exist_ok=True)
    async with _target(url, folder / "platform") as target:
        admin_token = _token(profile, target, "load-verdict", ADMIN_SCOPES)
        await check_ready(target.url, admin_token)
        _log(f"{profile.name}: {profile.description}")
        _log(f"  {profile.duration_s} s, at most {profile.peak_users} users, on {target.url}")
        started_at = datetime.now(UTC)
        results = await _unless_it_dies(
            drive(_plan(profile, target), target.url, folder, _ticker(profile)), target
        )
        money = await wait_until_idle(target.url, admin_token)
        verdict = evaluate(profile, results, money)
        return Report(profile, target.url, started_at, results, money, verdict)


def _target(url: str | None, folder: Path) -> AbstractAsyncContextManager[Target]:
    """Give the service at `url`, or one of our own whose logs stay in `folder`."""
    if url is not None:
        return _existing(url.rstrip("/"))
    from loadtest.own import own_platform  # noqa: PLC0415  what it needs, Windows hasn't got

    return own_platform(folder, _report_part)


@asynccontextmanager
async def _existing(url: str) -> AsyncIterator[Target]:
    yield Target(url, token.find_secret(os.environ, token.DEV_FOLDER))


async def _unless_it_dies(work: Coroutine[Any, Any, Results], target: Target) -> Results:
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


def _plan(profile: Profile, target: Target) -> Plan:
    """Return a plan with people whom the service has never seen."""
    run = uuid4().hex[:8]
    names = (f"load-{run}-{n}" for n in range(profile.peak_users * IDENTITIES_A_USER))
    return Plan(profile, tuple(_token(profile, target, name, SCOPES) for name in names))


def _token(profile: Profile, target: Target, user: str, scopes: str) -> str:
    return token.make(target.secret, user, scopes, ttl_s=profile.duration_s + TOKEN_MARGIN_S)


def _ticker(profile: Profile) -> Callable[[float], None]:
    """Return a progress line for a terminal, and silence for everything else."""
    if not sys.stderr.isatty():
        return lambda _: None

    def tick(elapsed_s: float) -> None:
        users = users_at(profile, elapsed_s)
        doing = f"{users[0]} users" if users else "finishing"
        sys.stderr.write(f"\r  {elapsed_s:4.0f} of {profile.duration_s} s, {doing}      ")
        sys.stderr.write("\n" if users is None else "")
        sys.stderr.flush()

    return tick


def _present(report: Report, folder: Path, *, as_json: bool) -> None:
    html_file, json_file = report.write(folder)
    if as_json:
        print(json.dumps(report.document(), indent=2))
        return
    color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    print(reporting.table(report.verdict, color=color))
    print(f"  {report.results.total.count} requests, {report.results.throughput:.1f} a second")
    print(f"  {html_file}\n  {json_file}")


def _report_part(part: str, seconds: float, where: str) -> None:
    _log(f"  {part:<12}{seconds:6.2f} s  {where}")


def _log(line: str) -> None:
    """Print progress; stdout is for the result."""
    print(line, file=sys.stderr)


def _complain(error: object, code: int) -> int:
    _log(f"loadtest: {error}")
    return code


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
    parser.add_argument("--out", type=Path, help=f"folder of the report ({OUT}/<profile>)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
