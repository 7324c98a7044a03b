"""Test alerts and dashboards: cause each alert's fault under a real Prometheus and see it fire.

Prints alert, fault, and after how many seconds it fired; writes report.json. Exit codes: 0 as
expected, 1 an alert did not fire by its fault, a panel or a recording had no data, or something
fired while all was well; 2 the platform or Prometheus could not be run.
"""

import argparse
import asyncio
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from scripts import console
from tests.live.alert_run import Report, run_alerts
from tests.live.fault_context import FaultError
from tests.live.scale import FACTOR
from tests.live.stack import FAILURES, live_platform

FOLDER: Final = Path("build") / "live"
UNPROVED: Final = 1
NOT_RUN: Final = 2
STOPPED: Final = 130  # as a shell says of Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Prove, print; return the exit code."""
    options = _parser().parse_args(arguments)
    screen = console.make(quiet=options.json)
    try:
        report = asyncio.run(_run(options.folder, screen))
    except (*FAILURES, FaultError) as error:
        console.error("live", error)
        return NOT_RUN
    except KeyboardInterrupt:
        console.error("live", "stopped; nothing runs any more")
        return STOPPED
    document = json.dumps(answer(report), ensure_ascii=False, indent=2)
    (options.folder / "report.json").write_text(f"{document}\n", encoding="utf-8")
    if options.json:
        print(document)
    show(report, screen)
    return UNPROVED if any(report.problems()) else 0


def answer(report: Report) -> dict[str, Any]:
    """Return the report as JSON."""
    return {**asdict(report), "factor": FACTOR, "problems": list(report.problems())}


def show(report: Report, screen: Console) -> None:
    """Print the table of alerts, what was counted, and what is wrong."""
    table = Table(box=box.SIMPLE_HEAD)
    for title in ("Alert", "Fault", "Fired after"):
        table.add_column(title, overflow="fold")
    for row in report.alerts:
        style = "red" if row.problem else "" if row.fired_after_s is not None else "dim"
        table.add_row(row.alert, row.fault, row.summary, style=style)
    screen.print(table)
    fired = sum(row.fired_after_s is not None and not row.problem for row in report.alerts)
    screen.print(
        f"{fired} of {len(report.alerts)} alerts fired by their fault; "
        f"{report.panels - len(report.empty_panels)} of {report.panels} queries of panels and "
        f"{report.recordings - len(report.empty_recordings)} of {report.recordings} recordings "
        f"had data; {report.seconds:.0f} s, windows divided by {FACTOR}",
        soft_wrap=True,
    )
    for problem in report.problems():
        screen.print(Text(f"  ! {problem}", style="bold red"), soft_wrap=True)


async def _run(folder: Path, screen: Console) -> Report:
    run = folder / "run"  # stays for those who want to read the logs
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(parents=True)
    async with live_platform(run, report=partial(console.done, screen)) as live:
        return await run_alerts(live, partial(screen.print, highlight=False, markup=False))


def _parser() -> argparse.ArgumentParser:
    parser = console.parser("tests.live", __doc__)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--folder", type=Path, default=FOLDER, help="where report.json goes (%(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
