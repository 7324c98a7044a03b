"""Draw each dashboard as Grafana would show it, from a real Prometheus: `make pictures`.

Without --prometheus the service itself is started, under a small load and with faults, and watched
for some minutes. Exit codes: 0 drawn, 1 something can't be drawn or started, 2 wrong arguments,
3 (--check) a picture is missing or shows a dashboard that has changed since.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from rich.console import Console

from alerts import groups
from alerts.model import EVALUATION_INTERVAL
from scripts import console
from scripts.embedded import EmbeddedError
from scripts.live.stack import Live, live_platform
from scripts.pictures import png
from scripts.pictures.answers import ask
from scripts.pictures.boards import Board, PictureError, shipped
from scripts.pictures.drawing import draw
from scripts.pictures.scene import play
from scripts.pictures.variables import Span, scraped_s
from scripts.platform import PlatformError
from scripts.processes import ProcessDiedError
from scripts.prometheus import ANSWER_S, Prometheus, PrometheusError
from simulator.client import ControlError

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "docs" / "pictures"
MINUTES: Final = 30.0
SCENE_MINUTES: Final = 8.0  # enough to tell one fault from the next at a rate over a minute
MINUTE_S: Final = 60.0
KILO: Final = 1000
WARM_UP_S: Final = 60.0  # until a rate over a minute is what it says
STALE: Final = 3
REMEDY: Final = "make pictures"
FAILURES: Final = (
    *(PictureError, PrometheusError, PlatformError, EmbeddedError, ProcessDiedError),
    *(aiohttp.ClientError, ControlError, TimeoutError),
)

Source = AbstractAsyncContextManager[tuple[Prometheus, Span]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw, or check what was drawn; return the exit code."""
    options = _parser().parse_args(arguments)
    screen = console.make()
    if options.check:
        found = stale(shipped(), options.out)
        for words in found:
            screen.print(f"{words}; remedy: {REMEDY}", soft_wrap=True)
        return STALE if found else 0
    try:
        source = (
            elsewhere(options.prometheus, options.minutes or MINUTES)
            if options.prometheus
            else here(options.minutes or SCENE_MINUTES, screen)
        )
        asyncio.run(_draw(wanted(options.only), source, options.out, screen))
    except FAILURES as error:
        console.complain("pictures", str(error) or type(error).__name__)
        return 1
    return 0


def stale(boards: Sequence[Board], folder: Path) -> list[str]:
    """Return in words which pictures are missing, or show what a dashboard was before."""
    return [
        f"{board.uid}: {'it has changed since its picture' if path.exists() else 'no picture'}"
        for board in boards
        if not (path := picture(folder, board.uid)).exists() or png.digest(path) != board.digest
    ]


def picture(folder: Path, uid: str) -> Path:
    """Return where a dashboard's picture is."""
    return folder / f"{uid}.png"


async def draw_all(
    boards: Sequence[Board], running: Prometheus, span: Span, folder: Path, screen: Console
) -> None:
    """Draw these dashboards into a folder, a line each; raise PictureError."""
    for board in boards:
        began = time.monotonic()
        shown = await ask(board, running, span)
        size = png.write(draw(shown), picture(folder, board.uid), board.digest)
        empty = sum(not lines for lines in shown.lines.values())
        words = f"{board.uid}: {len(shown.lines)} panels, {empty} without data, {size // KILO} kB"
        console.done(screen, "drawn", time.monotonic() - began, words)


async def _draw(boards: Sequence[Board], source: Source, folder: Path, screen: Console) -> None:
    async with source as (running, span):
        await draw_all(boards, running, span, folder, screen)


@asynccontextmanager
async def elsewhere(url: str, minutes: float) -> AsyncIterator[tuple[Prometheus, Span]]:
    """Give a Prometheus that runs already, and the last minutes."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        running = Prometheus(url.rstrip("/"), session)
        yield running, await _until_now(running, time.time() - minutes * MINUTE_S)


@asynccontextmanager
async def here(minutes: float, screen: Console) -> AsyncIterator[tuple[Prometheus, Span]]:
    """Start the service and a Prometheus that watches it; give both after so many minutes.

    The rules are the real ones, in real time: budgets are not healed within the minute. But what
    is recorded every few minutes is recorded as often as the rest: nobody waits for it here.
    """
    with TemporaryDirectory(prefix="coinslot-pictures-") as folder:
        async with live_platform(
            Path(folder),
            groups=[{**group, "interval": EVALUATION_INTERVAL} for group in groups()],
            report=partial(console.done, screen),
        ) as live:
            await asyncio.sleep(WARM_UP_S)
            await play(live, minutes, lambda words: _tell(screen, live, words))
            yield live.prometheus, await _until_now(live.prometheus, live.started + WARM_UP_S)


async def _until_now(running: Prometheus, start: float) -> Span:
    return Span(start, time.time(), await scraped_s(running))


def _tell(screen: Console, live: Live, words: str) -> None:
    console.done(screen, "scene", time.time() - live.started, words)


def wanted(only: Sequence[str]) -> list[Board]:
    """Return the dashboards of these uids, all if there are none; raise PictureError."""
    boards = shipped()
    if unknown := set(only) - {board.uid for board in boards}:
        raise PictureError(f"no dashboard is called {', '.join(sorted(unknown))}")
    return [board for board in boards if not only or board.uid in only]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.pictures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--prometheus", type=_url, metavar="URL", help="draw what this one knows")
    parser.add_argument(
        "--minutes",
        type=_minutes,
        help=f"until now (default: {MINUTES:g} of a given Prometheus, or {SCENE_MINUTES:g})",
    )
    parser.add_argument("--only", nargs="+", default=(), metavar="UID", help="these dashboards")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder (default: docs/pictures)")
    parser.add_argument("--check", action="store_true", help="draw nothing, tell what is stale")
    return parser


def _url(raw: str) -> str:
    parts = urlsplit(raw)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise argparse.ArgumentTypeError(f"{raw!r} is no URL like http://127.0.0.1:9090")
    return raw


def _minutes(raw: str) -> float:
    try:
        minutes = float(raw)
    except ValueError:
        minutes = 0.0
    if not 1 <= minutes <= 60 * 24 * 60:
        raise argparse.ArgumentTypeError(
            f"{raw!r} is no number of minutes from 1 to {60 * 24 * 60}"
        )
    return minutes


if __name__ == "__main__":
    sys.exit(main())
