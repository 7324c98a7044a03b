"""Run a load test and check its results.

Without --url the whole platform is started for the run: PostgreSQL, Valkey, the simulator, the API
and a worker, on free ports of this machine. With --url the service there is loaded; tokens are
signed with JWT_SECRET, or with the secret that `make dev` has made.

Exit codes: 0 passed, 1 failed, 2 the run could not be made, 130 interrupted.
"""

import argparse
import json
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from loadtest import archive, command
from loadtest import report as reporting
from loadtest.archive import Archived
from loadtest.command import FAILED, PASSED
from loadtest.money import check_ready
from loadtest.plan import Plan
from loadtest.profile import PROFILES, Profile
from loadtest.progress import ProgressLine
from loadtest.report import Origin, Report
from loadtest.report_page import report_page
from loadtest.resources import Sampler
from loadtest.results import Results
from loadtest.run import IDENTITIES_A_USER, Target, drive
from loadtest.verdict import evaluate

OUT: Final = Path("build") / "load"
MOST_WORKERS: Final = 64


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
    return command.run("loadtest", _run(_options(arguments)))


async def _run(options: Options) -> int:
    profile, folder = options.profile, options.out
    before = archive.newest(profile.name, options.archive)
    folder.mkdir(parents=True, exist_ok=True)
    async with command.target(folder / "platform", options.url, options.ops_url) as target:
        admin_token = command.make_token(
            target, "load-verdict", command.ADMIN_SCOPES, profile.duration_s
        )
        await check_ready(target.url, admin_token)
        command.log(f"{profile.name}: {profile.description}")
        command.log(
            f"  {profile.duration_s} s, at most {profile.peak_users} users, on {target.url}"
        )
        started_at = datetime.now(UTC)
        sampler = Sampler(target.sources)
        plan = _plan(profile, target, options.workers)
        results = await command.unless_it_dies(_drive(plan, target.url, folder, sampler), target)
        money = await command.money_after(target, admin_token)
        report = Report(
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
    _present(report, before, options)
    return PASSED if report.verdict.passed else FAILED


async def _drive(plan: Plan, url: str, folder: Path, sampler: Sampler) -> Results:
    """Apply the load, while the parts are sampled and the progress is shown."""
    shown = ProgressLine(plan.profile)
    async with command.sidelined(sampler.run):
        try:
            return await drive(plan, url, folder, shown.show, sampler)
        finally:
            shown.end()


def _plan(profile: Profile, target: Target, workers: int) -> Plan:
    """Return a plan with people whom the service has never seen."""
    run = uuid4().hex[:8]
    names = (f"load-{run}-{n}" for n in range(profile.peak_users * IDENTITIES_A_USER))
    tokens = tuple(
        command.make_token(target, name, command.SCOPES, profile.duration_s) for name in names
    )
    return Plan(profile, tokens, workers)


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
    parser = command.parser("python -m loadtest", __doc__)
    parser.epilog = f"profiles:\n{described}"
    parser.add_argument("--profile", choices=sorted(PROFILES), default="smoke")
    parser.add_argument("--url", help="a running service, such as http://127.0.0.1:8080")
    parser.add_argument("--ops-url", help="with --url: its operations port, for CPU and memory")
    parser.add_argument(
        "--workers", type=_count, default=1, help="processes that apply the load (1)"
    )
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to {MOST_WORKERS}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
