"""Measure payments a second against pgbench, a bare handler and two peers: `python -m bench`.

Exit codes: 0 every bar was reached (or --smoke, which judges none), 1 one was missed, 2 it could
not be measured, 130 interrupted.
"""

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
import psutil
import psycopg2

from bench import money, peers, report, wrk
from bench.ground import Ground, ground
from bench.measure import count, measure
from bench.progress import Progress
from bench.report import OURS, USUAL, Counted, Report, Round
from bench.sides import POOLS, SIDES, Side
from scripts import console
from scripts.platform.embedded import EmbeddedError
from scripts.platform.launcher import PlatformError
from scripts.platform.processes import ProcessDiedError

RESULTS: Final = Path(__file__).with_name("results")
SCRATCH: Final = Path("build") / "bench"
WARM_S: Final = 2
COUNT_S: Final = 2
SHOWN: Final = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers")
FAILURES: Final = (
    wrk.WrkError, peers.PeerError, EmbeddedError, PlatformError, ProcessDiedError, RuntimeError,
)  # fmt: skip
SMOKE: Final = {"rounds": 1, "seconds": 1, "connections": [1, 64], "history": 1_000}


@console.command("bench", usage=FAILURES, interrupted="interrupted; nothing is left running")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; print and write what it found."""
    options = _options(arguments)
    wrk.require()
    _build_peers(options.sides)
    found = _run(options)
    written = msgspec.json.format(msgspec.json.encode(found)) + b"\n"
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_bytes(written)
    print(written.decode() if options.json else report.table(found))
    print(f"bench: {options.out}", file=sys.stderr)
    return 0 if found.passed or options.smoke else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog="sides:\n" + "\n".join(f"  {s.name:<24} {s.about}" for s in SIDES.values()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--rounds", type=_positive, default=5, help="(%(default)s)")
    add("--seconds", type=_positive, default=10, help="of each turn of a side (%(default)s)")
    add("--connections", type=_positive, nargs="+", default=[1, 64, 1_000], metavar="N")
    add("--sides", nargs="+", choices=list(SIDES), default=list(SIDES), metavar="SIDE")
    add("--processes", type=_positive, default=2, help="of a Python server (%(default)s)")
    add("--pool", type=_positive, help="connections of a peer's process to PostgreSQL")
    add("--history", type=int, default=20_000, help="payments that are there (%(default)s)")
    add("--out", type=Path, help="where the JSON goes (bench/results/<UTC time>.json)")
    add("--json", action="store_true", help="print the JSON instead of a table")
    add(
        "--smoke",
        action="store_true",
        help="one round of a second, unless you say more; no bar is judged",
    )
    options = parser.parse_args(arguments)
    if options.smoke:
        parser.set_defaults(**SMOKE)
        options = parser.parse_args(arguments)
    if options.out is None:
        name = f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%SZ}.json"
        options.out = SCRATCH / "smoke.json" if options.smoke else RESULTS / name
    return options


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("give a number above 0")
    return number


def _build_peers(sides: Sequence[str]) -> None:
    if any(name.startswith("go_") for name in sides):
        peers.go_program()
    if any(name.startswith("fastapi_") for name in sides):
        peers.fastapi_python()


def _run(options: argparse.Namespace) -> Report:
    load = os.getloadavg()[0]
    with (
        tempfile.TemporaryDirectory(dir=_scratch()) as folder,
        ground(
            Path(folder),
            processes=options.processes,
            past=options.history,
            pool=options.pool,
        ) as under,
    ):
        before = money.violations(under.url)
        sides = [SIDES[name] for name in SIDES if name in options.sides]
        turns = [
            [
                (side, connections)
                for side in sides
                if connections in (side.levels or (connections,))
            ]
            for connections in options.connections
        ]
        to_count = _to_count(turns)
        progress = Progress(len(to_count) + options.rounds * sum(map(len, turns)))
        counted = [_counted(under, *turn, progress) for turn in to_count]
        rounds = []
        for number in range(options.rounds):
            rounds.append(_round(under, options, turns, number, progress))
            progress.say(f"round {number + 1} of {options.rounds}: {_ratios(rounds[-1])}")
        money.check(under.url, before)
        conditions = _conditions(under, options, sides, load)
    titles = {side.name: side.title for side in sides}
    return report.build(conditions, titles, rounds, counted)


def _round(
    under: Ground,
    options: argparse.Namespace,
    turns: Sequence[Sequence[tuple[Side, int]]],
    number: int,
    progress: Progress,
) -> Round:
    """Give every side its turn, at one number of connections after the other.

    The sides begin with another one in each round, and go the other way in every second.
    """
    measured = []
    for level in turns:
        order = [level[(number + at) % len(level)] for at in range(len(level))]
        for side, connections in reversed(order) if number % 2 else order:
            what = f"{side.title}, {connections:,} conn."
            progress.begin(what)
            turn = measure(under, side, connections, options.seconds, WARM_S)
            measured.append(turn)
            progress.end(f"{what}: {turn.rate:,.0f} payments/s")
    return Round(measured)


def _to_count(turns: Sequence[Sequence[tuple[Side, int]]]) -> list[tuple[Side, int]]:
    """Return a turn of each side, at 64 if it has one, and all of ours, whose batches grow."""
    flat = [turn for level in turns for turn in level if turn[0].pays]
    usual = {side.name: (side, connections) for side, connections in flat}
    usual |= {side.name: (side, connections) for side, connections in flat if connections == USUAL}
    others = [turn for name, turn in usual.items() if name != OURS]
    return others + [turn for turn in flat if turn[0].name == OURS]


def _counted(under: Ground, side: Side, connections: int, progress: Progress) -> Counted:
    what = f"{side.title}, {connections:,} conn."
    progress.begin(f"counting, {what}")
    found = count(under, side, connections, COUNT_S)
    progress.end(f"{what}: {found.round_trips:.2f} round trips a payment")
    return found


def _ratios(done: Round) -> str:
    ratios = report.ratios([done])
    return ", ".join(f"{name} {spread.median:.2f}" for name, spread in ratios.items())


def _scratch() -> Path:
    """Return a folder on a real disk: /tmp may be memory, where fsync costs nothing."""
    folder = SCRATCH.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _conditions(
    under: Ground, options: argparse.Namespace, sides: Sequence[Side], load: float
) -> dict[str, str]:
    with closing(psycopg2.connect(under.url)) as connection:
        with connection.cursor() as cursor:
            shown = []
            for name in SHOWN:
                cursor.execute(f"SHOW {name}")
                shown.append(f"{name} {(cursor.fetchone() or ('?',))[0]}")
        server = connection.server_version // 10_000
    memory = psutil.virtual_memory().total // 2**30
    return {
        "machine": f"{os.cpu_count()} CPUs, {memory} GiB, {platform.system()}; all parts on it",
        "load before": f"{load:.1f}",
        "PostgreSQL": f"{server}: {', '.join(shown)}",
        "Python": f"{platform.python_version()}, aiohttp {version('aiohttp')}",
        "rounds": f"{options.rounds} of {options.seconds} s a turn, after {WARM_S} s unmeasured;"
        " alternating sides, each started for its turn",
        "history": f"{options.history:,} payments before the first round",
        "load generator": "wrk, 2 processes of a thread (1 for 1 connection), an order a payment",
        "provider": "a stub over HTTP that accepts at once; pgbench calls none",
        "workers": "none on any side: grants are not delivered",
        "peers": "connections of a process to PostgreSQL: "
        + ", ".join(f"{name} {options.pool or size}" for name, size in POOLS.items()),
        "WAL": "after a checkpoint: it holds full page images",
        "memory": "server's peak resident + PostgreSQL's private",
        **{side.name: side.about for side in sides},
        OURS: f"{options.processes} API processes; logs, metrics, rate limits, tokens on",
    }


if __name__ == "__main__":
    sys.exit(main())
