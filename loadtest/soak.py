"""Load the service evenly for a while, and see whether anything rises that should be level.

Memory, descriptors and tasks of the API and the worker, database connections, bytes of tables and
indexes by payment, and response times: each has a slope with a confidence bound, and the verdict
goes by it. Buyers arrive by a schedule, by default at 70 % of the knee that `python -m
loadtest.stress` found last. The whole platform is started for the run, on free ports.

Exit codes: 0 passed, 1 failed, 2 no verdict (it could not be run, or the load generator was the
limit), 130 interrupted.
"""

import asyncio
import sys
from argparse import ArgumentTypeError
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from yarl import URL

from loadtest import archive, command
from loadtest.arrivals import Stage
from loadtest.flow_windows import WINDOWS, FlowWindows
from loadtest.generator import PROCESSES, Generators, generators, now
from loadtest.money import SetUpError, check_ready
from loadtest.own import running_platform, target_of
from loadtest.progress import MovingLine
from loadtest.report import Origin
from loadtest.samples import ROLES, Sample, Source, source
from loadtest.soak_report import SoakReport
from loadtest.soak_verdict import evaluate, measures
from scripts.platform.launcher import Platform, Start, start_role

PROGRAM: Final = "python -m loadtest.soak"
OUT: Final = Path("build") / "load" / "soak"
SHARE: Final = 0.7
"""Of the knee: as busy as a service should be that has room for a bad minute."""

MINUTES: Final = 30.0
SMOKE_MINUTES: Final = 1.5
SMOKE_RATE: Final = 20.0
MOST_MINUTES: Final = 7 * 24 * 60.0
MOST_SAMPLES: Final = 240
LEAST_INTERVAL_S: Final = 1.0
MOST_INTERVAL_S: Final = 10.0
GAMES_OF_A_USER: Final = 250  # of the 500 that there are, so that none runs out
LEAST_USERS: Final = 500  # more than flows are in flight below the knee
LEAD_S: Final = 0.5
DRAIN_S: Final = 30.0
LATE_WINDOWS: Final = 10
"""Of 40: fewer move the slope of the P95 little, and the other measures not at all."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for; `start` starts the platform's roles."""

    name: str
    rate: float
    seconds: float
    out: Path
    archive: Path
    json: bool
    start: Start = start_role


def main(arguments: Sequence[str] | None = None, start: Start = start_role) -> int:
    """Run the endurance test that the command line asks for; return the exit code."""
    return command.run("soak", _run(_given(arguments), start))


async def _run(given: "Given", start: Start) -> int:
    options = _options(given, start)
    before = archive.newest(options.name, options.archive)
    report = await soak(options)
    return command.present("soak", report, before, options)


async def soak(options: Options) -> SoakReport:
    """Make the run, and judge it."""
    options.out.mkdir(parents=True, exist_ok=True)
    folder = options.out / "platform"
    async with running_platform(folder, command.report_part, options.start) as running:
        target = target_of(running)
        admin = command.make_token(target, "soak-verdict", command.ADMIN_SCOPES, options.seconds)
        await check_ready(target.url, admin)
        command.log(f"soak: {options.rate:.0f}/s for {options.seconds / 60:g} minutes")
        started_at = datetime.now(UTC)
        flows, samples = await command.unless_it_dies(_load(options, running), target)
        money = await command.money_after(target, admin)
        found = measures(samples, flows)
        refusal = _refusal(flows)
        return SoakReport(
            name=options.name,
            processes=PROCESSES,
            started_at=started_at,
            flows=flows,
            measures=found,
            money=money,
            verdict=evaluate(found, flows, money, late=bool(refusal)),
            refusal=refusal,
            origin=Origin(),
        )


async def _load(options: Options, running: Platform) -> tuple[FlowWindows, list[Sample]]:
    flows = FlowWindows(Stage(1, 0.0, options.rate, options.seconds))
    samples: list[Sample] = []
    target = target_of(running)
    users = max(LEAST_USERS, int(options.rate * options.seconds / GAMES_OF_A_USER))
    series = uuid4().hex[:8]
    tokens = [
        command.make_token(target, f"soak-{series}-{n}", command.SCOPES, options.seconds)
        for n in range(users)
    ]
    ops_urls = {"api": running.ops_url, "worker": running.worker_url}
    database_url = running.environ.get("MIGRATION_DATABASE_URL") or running.environ["DATABASE_URL"]
    pids = {role: running.children[role].pid for role in ROLES}
    async with AsyncExitStack() as stack:
        generator = await stack.enter_async_context(
            generators(target.url, tokens, options.out, flows.add, in_flight=users)
        )
        sample = await stack.enter_async_context(
            source(pids, ops_urls, database_url, URL(running.api_url).port or 80)
        )
        flows.stage = replace(flows.stage, starts_at=now() + LEAD_S)  # none has come yet
        await generator.follow(flows.stage)
        await _sample(flows, sample, samples, generator)
        await generator.until_idle(DRAIN_S)
        await generator.finish()
    flows.close()
    return flows, samples


async def _sample(
    flows: FlowWindows, sample: Source, samples: list[Sample], generator: Generators
) -> None:
    """Sample evenly until the stage ends, and show how it goes."""
    line, stage = MovingLine(), flows.stage
    interval_s = min(MOST_INTERVAL_S, max(LEAST_INTERVAL_S, stage.seconds / MOST_SAMPLES))
    due = stage.starts_at
    while due < stage.ends_at:
        await asyncio.sleep(max(0.0, due - now()))
        samples.append(await sample())
        line.show(
            f"{now() - stage.starts_at:.0f} of {stage.seconds:.0f} s, {flows.count} flows, "
            f"{generator.in_flight} in flight, "
            + ", ".join(f"{role} {rss:.0f} MiB" for role, rss in samples[-1].rss_mib.items())
        )
        due += interval_s * max(1, int((now() - due) // interval_s) + 1)  # never two at once
    line.end()


def _refusal(flows: FlowWindows) -> str:
    late = flows.late_windows()
    if late <= LATE_WINDOWS:
        return ""
    return (
        f"the load generator was the limit in {late} of {WINDOWS} windows: P95 of its lag up to "
        f"{flows.lag_p95_s() * 1000:.0f} ms"
    )


@dataclass(frozen=True, slots=True)
class Given:
    """The command line."""

    minutes: float | None
    rate: float | None
    smoke: bool
    out: Path
    archive: Path
    json: bool


def _options(given: Given, start: Start) -> Options:
    minutes = given.minutes or (SMOKE_MINUTES if given.smoke else MINUTES)
    rate = given.rate or (SMOKE_RATE if given.smoke else _share_of_knee(given.archive))
    return Options(
        name="soak-smoke" if given.smoke else "soak",
        rate=rate,
        seconds=minutes * 60,
        out=given.out,
        archive=given.archive,
        json=given.json,
        start=start,
    )


def _share_of_knee(folder: Path) -> float:
    """Return 70 % of the knee that the last stress run found; raise SetUpError."""
    last = archive.newest("stress", folder)
    figures = last.summary["figures"] if last else []
    knee = next((one["value"] for one in figures if one["name"] == "knee"), None)
    if knee is None:
        raise SetUpError(f"{folder} has no knee; run `make stress` first, or give --rate")
    return SHARE * float(knee)


def _given(arguments: Sequence[str] | None) -> Given:
    parser = command.parser(PROGRAM, __doc__)
    parser.add_argument("--minutes", type=_minutes, help=f"length of the load ({MINUTES:g})")
    parser.add_argument("--rate", type=_rate, help="flows a second (70 %% of the last knee)")
    parser.add_argument("--smoke", action="store_true", help="a short form: does it work?")
    given = parser.parse_args(arguments)
    return Given(
        minutes=given.minutes,
        rate=given.rate,
        smoke=given.smoke,
        out=given.out or OUT,
        archive=given.archive or archive.ARCHIVE,
        json=given.json,
    )


def _minutes(text: str) -> float:
    minutes = float(text)
    if not 0.5 <= minutes <= MOST_MINUTES:  # noqa: PLR2004  fewer samples tell no slope
        raise ArgumentTypeError(f"{text} is not from 0.5 to {MOST_MINUTES:g}")
    return minutes


def _rate(text: str) -> float:
    rate = float(text)
    if not 1 <= rate <= 10_000:  # noqa: PLR2004
        raise ArgumentTypeError(f"{text} is not from 1 to 10000")
    return rate


if __name__ == "__main__":
    sys.exit(main())
