"""Find the knee of the load curve, and see what the service does past it.

Buyers arrive by a schedule (an open model); the rate rises by steps until the service can't keep
up, goes to 1.5 and 2 times the knee, and back to half of it. Past the knee the service should
refuse what is too much, with 503 and Retry-After, answer the rest, and be as before within seconds.

Without --url the whole platform is started for the run, on free ports of this machine. With --url
the service there is loaded; tokens are signed with JWT_SECRET, or with the secret of `make dev`.

Exit codes: 0 passed, 1 failed, 2 no verdict (it could not be run, or the load generator was the
limit), 130 interrupted.
"""

import asyncio
import sys
from argparse import ArgumentTypeError
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from loadtest import archive, command
from loadtest.arrivals import Arrival, Outcome, Stage
from loadtest.course import Runner
from loadtest.generator import MAX_IN_FLIGHT, PROCESSES, Generators, generators
from loadtest.knee import SMOKE, STANDARD, Course
from loadtest.money import check_ready
from loadtest.progress import MovingLine
from loadtest.report import Origin
from loadtest.run import Target
from loadtest.stress_report import StressReport
from loadtest.stress_verdict import StressResults, evaluate

PROGRAM: Final = "python -m loadtest.stress"
OUT: Final = Path("build") / "load" / "stress"
LONGEST_S: Final = 3_600.0
MOST_PROCESSES: Final = 64


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for."""

    course: Course
    url: str | None
    processes: int
    out: Path
    archive: Path
    json: bool


def main(arguments: list[str] | None = None) -> int:
    """Run the stress test that the command line asks for; return the exit code."""
    return command.run("stress", _run(_options(arguments)))


async def _run(options: Options) -> int:
    name = "stress" if options.course is STANDARD else "stress-smoke"
    before = archive.newest(name, options.archive)
    options.out.mkdir(parents=True, exist_ok=True)
    async with command.target(options.out / "platform", options.url) as target:
        admin_token = command.make_token(target, "stress-verdict", command.ADMIN_SCOPES, LONGEST_S)
        await check_ready(target.url, admin_token)
        started_at = datetime.now(UTC)
        command.log(f"stress: the arrival rate rises from {options.course.first_rate:.0f}/s")
        results = await command.unless_it_dies(_stress(options, target), target)
        money = await command.money_after(target, admin_token)
        report = StressReport(
            course=options.course,
            url=target.url,
            processes=options.processes,
            started_at=started_at,
            results=results,
            money=money,
            verdict=None if results.late else evaluate(results, money),
            origin=Origin(),
        )
    return command.present("stress", report, before, options)


async def _stress(options: Options, target: Target) -> StressResults:
    arrivals: list[Arrival] = []
    line = MovingLine()
    series = uuid4().hex[:8]
    tokens = [
        command.make_token(target, f"stress-{series}-{n}", command.SCOPES, LONGEST_S)
        for n in range(MAX_IN_FLIGHT)  # one for each flow in flight
    ]
    async with generators(
        target.url, tokens, options.out, arrivals.extend, processes=options.processes
    ) as running:

        def show(stage: Stage, label: str) -> None:
            line.show(_progress(stage, label, arrivals, running))

        async with asyncio.timeout(LONGEST_S):
            results = await Runner(options.course, running, arrivals, show).run()
        line.end()
        await running.finish()
    return results


def _progress(stage: Stage, label: str, arrivals: list[Arrival], running: Generators) -> str:
    ended = [arrival for arrival in arrivals[-100_000:] if arrival.stage == stage.number]
    counts = ", ".join(
        f"{count} {outcome}"
        for outcome in Outcome
        if (count := sum(one.outcome is outcome for one in ended))
    )
    return f"{label}: {counts or 'begins'}, {running.in_flight} in flight"


def _options(arguments: list[str] | None) -> Options:
    parser = command.parser(PROGRAM, __doc__)
    parser.add_argument("--url", help="a running service, such as http://127.0.0.1:8080")
    parser.add_argument(
        "--processes",
        type=_processes,
        default=PROCESSES,
        help=f"load generators, each of which can use a core ({PROCESSES})",
    )
    parser.add_argument("--smoke", action="store_true", help="a short form: does it work?")
    given = parser.parse_args(arguments)
    return Options(
        course=SMOKE if given.smoke else STANDARD,
        url=given.url,
        processes=given.processes,
        out=given.out or OUT,
        archive=given.archive or archive.ARCHIVE,
        json=given.json,
    )


def _processes(text: str) -> int:
    count = int(text)
    if not 1 <= count <= MOST_PROCESSES:
        raise ArgumentTypeError(f"{count} is not from 1 to {MOST_PROCESSES}")
    return count


if __name__ == "__main__":
    sys.exit(main())
