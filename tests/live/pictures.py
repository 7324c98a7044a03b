"""Draw each dashboard as Grafana would show it, from a real Prometheus: `make pictures`.

Without --prometheus the service itself is started, under a small load and with faults, and watched.
Exit codes: 0 drawn, 1 something can't be drawn or started, 2 wrong arguments, 3 (--check) a picture
is missing or shows a dashboard that has changed since.
"""

import argparse
import asyncio
import hashlib
import json
import re
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import aiohttp
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from alerts import groups
from alerts.model import EVALUATION_INTERVAL
from scripts import console
from simulator.faults import Kind, Target
from tests.live.drawing import Line, Shown, draw
from tests.live.merchants import BROKEN
from tests.live.stack import FAILURES, live_platform
from tests.support.prometheus import ANSWER_S, Prometheus, PrometheusError

ROOT: Final = Path(__file__).parents[2]
SHIPPED: Final = ROOT / "dashboards" / "generated"
PICTURES: Final = ROOT / "docs" / "pictures"
WARM_UP_S: Final = 60.0  # until a rate over a minute is what it says
RATE_S: Final = 60  # what Grafana makes of $__rate_interval where each 15 s are scraped
POINTS: Final = 400
STALE: Final = 3
DIGEST: Final = "coinslot-dashboard"
"""The PNG text chunk with the digest of the dashboard's document."""
VARIABLES: Final = {"namespace": ".*", "job": ".+", "currency": "EUR", "__rate_interval": "60s"}
"""What a dashboard's variables stand at."""
FAULTS: Final[Sequence[tuple[float, str, Target, Kind, dict[str, Any]]]] = (
    (0.25, "the provider is slow", Target.CHARGE, Kind.DELAY, {"times": None, "delay_s": 2.5}),
    (0.40, "the provider fails", Target.CHARGE, Kind.STATUS, {"times": 40, "status": 500}),
    (0.50, "answers are lost", Target.CHARGE, Kind.TIMEOUT_AFTER, {"times": 8}),
    (0.53, "webhooks are forged", Target.WEBHOOK, Kind.WRONG_SIGNATURE, {"times": 10}),
    (0.60, "the Library is down", Target.GRANT, Kind.STATUS, {"times": None, "status": 500}),
)
"""From which share of the time on, and what goes wrong then instead of what did before."""
ROLLOUT: Final = 0.75


class PictureError(Exception):
    """A picture can't be drawn; the message says of what, and why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw, or check what was drawn; return the exit code."""
    options = _parser().parse_args(arguments)
    texts = shipped()
    if options.check:
        print(*(found := stale(texts, options.out)), sep="\n", end="\n" if found else "")
        return STALE if found else 0
    wanted = {uid: text for uid, text in texts.items() if uid in (options.only or texts)}
    try:
        asyncio.run(_draw(wanted, options.prometheus, options.minutes * 60, options.out))
    except (*FAILURES, PictureError, aiohttp.ClientError, TimeoutError) as error:
        console.complain("pictures", str(error) or type(error).__name__)
        return 1
    return 0


def shipped() -> dict[str, str]:
    """Return uid to document of every dashboard."""
    return {path.stem: path.read_text("utf-8") for path in sorted(SHIPPED.glob("*.json"))}


def stale(texts: Mapping[str, str], folder: Path) -> list[str]:
    """Return in words which pictures are missing, or show what a dashboard was before."""
    return [
        f"{uid}: its picture is missing or older than it; remedy: make pictures"
        for uid, text in texts.items()
        if not (path := folder / f"{uid}.png").exists()
        or Image.open(path).info.get(DIGEST) != _digest(text)
    ]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def _draw(texts: Mapping[str, str], url: str | None, seconds: float, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    async with _running(url) if url else _watched(seconds) as running:
        end = time.time()
        for uid, text in texts.items():
            figure = draw(await ask(json.loads(text), running, end - seconds, end))
            figure.savefig(drawn := BytesIO())
            said = PngInfo()
            said.add_text(DIGEST, _digest(text))
            small = Image.open(drawn).convert("RGB").quantize()  # a third of the bytes
            small.save(folder / f"{uid}.png", optimize=True, pnginfo=said)
            print(f"  ✓ drawn {uid}")


@asynccontextmanager
async def _running(url: str) -> AsyncIterator[Prometheus]:
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield Prometheus(url.rstrip("/"), session)


@asynccontextmanager
async def _watched(seconds: float) -> AsyncIterator[Prometheus]:
    """Run the service and its Prometheus for so long; recordings don't wait for minutes."""
    real = [{**group, "interval": EVALUATION_INTERVAL} for group in groups()]
    report = partial(console.done, console.make())
    with TemporaryDirectory(prefix="coinslot-pictures-") as folder:
        async with live_platform(Path(folder), groups=real, report=report) as live:
            await asyncio.sleep(WARM_UP_S)
            began = time.monotonic()
            for share, words, target, kind, options in FAULTS:
                await _until(began, share * seconds, words)
                await live.control.clear_faults()
                await live.control.fault(target, kind, **options)
            live.merchants.answers[BROKEN] = 500
            await _until(began, seconds * ROLLOUT, "all is well, a pod of the next version comes")
            await live.control.clear_faults()
            live.spawn("second", "api", {"VERSION": "next"})
            live.discover()
            await _until(began, seconds, "time is up")
            yield live.prometheus


async def _until(began: float, seconds: float, words: str) -> None:
    await asyncio.sleep(max(began + seconds - time.monotonic(), 0.0))
    print(f"  {seconds:4.0f} s  {words}", flush=True)


async def ask(document: Mapping[str, Any], running: Prometheus, start: float, end: float) -> Shown:
    """Ask for all that a dashboard shows; raise PictureError, which names the refused panel."""
    step_s = max(round((end - start) / POINTS), 1)
    known = VARIABLES | {"__range": f"{end - start:.0f}s", "__interval": f"{step_s}s"}
    known["__rate_interval"] = f"{max(RATE_S, 4 * step_s)}s"
    lines: dict[int, list[Line]] = {}
    for panel in document["panels"]:
        panel["title"] = _filled(panel["title"], known)
        found = lines.setdefault(panel["id"], [])
        for target in panel.get("targets", ()):
            try:
                expression = _filled(target["expr"], known)
                answer = await (
                    running.query(expression)
                    if panel["type"] == "table"
                    else running.query_range(expression, start, end, step_s)
                )
            except (PrometheusError, KeyError) as error:
                place = f"{document['uid']}, panel {panel['title']!r}"
                raise PictureError(f"{place}: {error}") from error
            legend = target["legendFormat"]
            found += [Line(_name(legend, one.labels), one.labels, one.points) for one in answer]
    return Shown(document, start, end, step_s, lines)


def _filled(text: str, known: Mapping[str, str]) -> str:
    return re.sub(r"\$\{?(\w+)(?::\w+)?\}?", lambda found: known[found[1]], text)


def _name(legend: str, labels: Mapping[str, str]) -> str:
    named = re.sub(r"\{\{ *(\w+) *\}\}", lambda found: labels.get(found[1], ""), legend).strip()
    return named or legend or " ".join(labels.values()) or "value"


def _parser() -> argparse.ArgumentParser:
    parser = console.parser("tests.live.pictures", __doc__)
    parser.add_argument("--prometheus", metavar="URL", help="draw what this one knows")
    parser.add_argument("--minutes", type=float, default=8.0, help="until now (%(default)g)")
    parser.add_argument("--only", nargs="+", choices=shipped(), metavar="UID", help="these")
    parser.add_argument("--out", type=Path, default=PICTURES, help="folder (docs/pictures)")
    parser.add_argument("--check", action="store_true", help="draw nothing, tell what is stale")
    return parser


if __name__ == "__main__":
    sys.exit(main())
