"""Draw each dashboard as Grafana would show it, from a real Prometheus: `make pictures`.

Without --prometheus the service itself is started, under a small load and with faults, and watched.
Exit codes: 0 drawn, 1 something can't be drawn or started, 2 wrong arguments, 3 (--check) a picture
is missing or shows a dashboard that has changed since.
"""

import asyncio
import json
import math
import re
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import aiohttp
import numpy as np
from matplotlib import dates, rc_context, ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from alerts import groups
from alerts.model import EVALUATION_INTERVAL
from scripts import ROOT, console
from scripts.platform.launcher import PlatformError
from simulator.faults import Kind, Target
from tests.live.merchants import BROKEN
from tests.live.stack import FAILURES, live_platform
from tests.support.prometheus import ANSWER_S, Prometheus, PrometheusError

SHIPPED: Final = ROOT / "dashboards" / "generated"
PICTURES: Final = ROOT / "docs" / "pictures"
WARM_UP_S: Final = 60.0  # until a rate over a minute is what it says
RATE_S: Final = 60  # what Grafana makes of $__rate_interval where each 15 s are scraped
POINTS: Final = 400
STALE: Final = 3
DIGEST: Final = "coinslot-dashboard"  # the PNG text with the digest of the dashboard's document
VARIABLES: Final = {"namespace": ".*", "job": ".+", "currency": "EUR"}
"""What a dashboard's variables stand at."""
FAULTS: Final[Sequence[tuple[float, str, Target, Kind, dict[str, Any]]]] = (
    (0.25, "the provider is slow", Target.CHARGE, Kind.DELAY, {"times": None, "delay_s": 2.5}),
    (0.40, "the provider fails", Target.CHARGE, Kind.STATUS, {"times": 40, "status": 500}),
    (0.50, "answers are lost", Target.CHARGE, Kind.TIMEOUT_AFTER, {"times": 8}),
    (0.53, "webhooks are forged", Target.WEBHOOK, Kind.WRONG_SIGNATURE, {"times": 10}),
    (0.60, "the Library is down", Target.GRANT, Kind.STATUS, {"times": None, "status": 500}),
)
"""From which share of the time on, and what goes wrong then instead of what did before."""
WIDTH: Final = 1600  # pixels; so are all lengths here
DPI: Final = 100
COLUMN: Final = WIDTH / 24  # of Grafana's grid
ROW: Final = 38
HEAD: Final = 60
TITLE: Final = 30
AXIS: Final = 24  # labels of the times
LEGEND: Final = 17
DAY_S: Final = 86_400
DURATIONS: Final = ((86_400, "days"), (3_600, "hours"), (60, "mins"))
NAMES: Final = {"short": "", "ops": "ops/s", "bytes": "B"}
STYLE: Final[dict[Any, Any]] = {
    "font.size": 8,
    "text.parse_math": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "legend.frameon": False,
}


@dataclass(frozen=True, slots=True)
class Line:
    """A series with the name that its legend gives it; `points` are (Unix time, value)."""

    name: str
    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]

    def known(self) -> list[float]:
        """Return the values that are numbers; one NaN if there are none."""
        return [value for _, value in self.points if math.isfinite(value)] or [math.nan]


@dataclass(frozen=True, slots=True)
class Shown:
    """A dashboard's document, the time that it shows, and the lines of its panels by their ids."""

    document: Mapping[str, Any]
    start: float
    end: float
    step_s: float
    lines: Mapping[int, Sequence[Line]]

    def times(self) -> Any:
        """Return the times of all points, as matplotlib counts: in days."""
        return np.arange(self.start, self.end, self.step_s) / DAY_S

    def values(self, line: Line) -> Any:
        """Return a line's values at these times: NaN where it has none, so that gaps are seen."""
        found = {round((at - self.start) / self.step_s): value for at, value in line.points}
        return np.array([found.get(n, math.nan) for n in range(len(self.times()))])


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw, or check what was drawn; return the exit code."""
    texts = shipped()
    parser = console.parser("tests.live.pictures", __doc__)
    add = parser.add_argument
    add("--prometheus", metavar="URL", help="draw what this one knows")
    add("--minutes", type=float, default=8.0, help="until now (%(default)g)")
    add("--only", nargs="+", choices=texts, default=texts, metavar="UID", help="these")
    add("--out", type=Path, default=PICTURES, help="folder (docs/pictures)")
    add("--check", action="store_true", help="draw nothing, list what is stale")
    options = parser.parse_args(arguments)
    if options.check:
        print(*(found := stale(texts, options.out)), sep="\n", end="\n" if found else "")
        return STALE if found else 0
    wanted = {uid: texts[uid] for uid in options.only}
    try:
        asyncio.run(_draw(wanted, options.prometheus, options.minutes * 60, options.out))
    except (*FAILURES, aiohttp.ClientError, TimeoutError) as error:
        console.error("pictures", str(error) or type(error).__name__)
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
        or Image.open(path).info.get(DIGEST) != sha256(text.encode()).hexdigest()
    ]


async def _draw(texts: Mapping[str, str], url: str | None, seconds: float, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    async with _running(url) if url else _watched(seconds) as running:
        end = time.time()
        for uid, text in texts.items():
            figure = draw(await ask(json.loads(text), running, end - seconds, end))
            figure.savefig(drawn := BytesIO())
            about = PngInfo()
            about.add_text(DIGEST, sha256(text.encode()).hexdigest())
            small = Image.open(drawn).convert("RGB").quantize()  # a third of the bytes
            small.save(folder / f"{uid}.png", optimize=True, pnginfo=about)
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
            for share, detail, target, kind, options in FAULTS:
                await _until(began, share * seconds, detail)
                await live.control.clear_faults()
                await live.control.fault(target, kind, **options)
            live.merchants.answers[BROKEN] = 500
            await _until(began, seconds * 0.75, "all is well, a pod of the next version comes")
            await live.control.clear_faults()
            live.spawn("second", "api", {"VERSION": "next"})
            live.discover()
            await _until(began, seconds, "time is up")
            yield live.prometheus


async def _until(began: float, seconds: float, detail: str) -> None:
    await asyncio.sleep(max(began + seconds - time.monotonic(), 0.0))
    print(f"  {seconds:4.0f} s  {detail}", flush=True)


async def ask(document: Mapping[str, Any], running: Prometheus, start: float, end: float) -> Shown:
    """Ask for all that a dashboard shows; raise PlatformError, which names the refused panel."""
    step_s = max(round((end - start) / POINTS), 1)
    rate_s = max(RATE_S, 4 * step_s)
    known = VARIABLES | {"__range": f"{end - start:.0f}s", "__rate_interval": f"{rate_s}s"}
    lines: dict[int, list[Line]] = {}
    for panel in document["panels"]:
        panel["title"] = _replaced(panel["title"], known)
        found = lines.setdefault(panel["id"], [])
        for target in panel.get("targets", ()):
            try:
                expression = _replaced(target["expr"], known)
                answer = await (
                    running.query(expression)
                    if panel["type"] == "table"
                    else running.query_range(expression, start, end, step_s)
                )
            except (PrometheusError, KeyError) as error:
                place = f"{document['uid']}, panel {panel['title']!r}"
                raise PlatformError(f"{place}: {error}") from error
            legend = target["legendFormat"]
            found += [Line(_name(legend, one.labels), one.labels, one.points) for one in answer]
    return Shown(document, start, end, step_s, lines)


def _replaced(text: str, known: Mapping[str, str]) -> str:
    return re.sub(r"\$\{?(\w+)(?::\w+)?\}?", lambda found: known[found[1]], text)


def _name(legend: str, labels: Mapping[str, str]) -> str:
    named = re.sub(r"\{\{ *(\w+) *\}\}", lambda found: labels.get(found[1], ""), legend).strip()
    return named or legend or " ".join(labels.values()) or "value"


def text(value: float, unit: str) -> str:
    """Return a value as Grafana writes it in a unit."""
    if not math.isfinite(value):
        return "?"
    if unit == "percentunit":
        return f"{value * 100:.3g}%"
    if unit == "s" and abs(value) >= DURATIONS[-1][0]:
        size, name = next(one for one in DURATIONS if abs(value) >= one[0])
        return f"{value / size:.3g} {name}"
    name, short = NAMES.get(unit, unit.removeprefix("suffix:")), float(f"{value:.3g}")
    if abs(value) >= 1000 or unit == "s":
        return ticker.EngFormatter(name)(short).strip()
    return f"{short:g} {name}".strip()


def draw(shown: Shown) -> Figure:
    """Return a dashboard's picture."""
    panels, title = shown.document["panels"], shown.document["title"]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    tall = HEAD + rows * ROW + 8
    minutes, until = (shown.end - shown.start) / 60, datetime.fromtimestamp(shown.end, UTC)
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH / DPI, tall / DPI), dpi=DPI)
        title += f", {minutes:.0f} min until {until:%Y-%m-%d %H:%M} UTC"
        figure.text(0.01, 1 - 18 / tall, title, size=13, weight="bold", va="center")
        figure.text(0.01, 1 - 42 / tall, shown.document["description"], va="center")
        for panel in panels:
            lines = shown.lines[panel["id"]]
            if panel["type"] in ("row", "stat", "table") or not lines:
                _text(_axes(figure, panel), panel, lines)
            elif panel["type"] == "heatmap":
                _heatmap(_axes(figure, panel, 66, AXIS), panel, shown, lines)
            else:
                _timeseries(figure, panel, shown, lines)
        return figure


def _axes(figure: Figure, panel: Any, left: float = 12, below: float = 8) -> Axes:
    """Return axes at the panel's place, with these margins beside its title."""
    place, tall = panel["gridPos"], figure.get_figheight() * DPI
    x, bottom = place["x"] * COLUMN + left, HEAD + (place["y"] + place["h"]) * ROW - below
    width, height = place["w"] * COLUMN - left - 14, max(place["h"] * ROW - TITLE - below, 1)
    axes = figure.add_axes((x / WIDTH, 1 - bottom / tall, width / WIDTH, height / tall))
    axes.set_title(panel["title"])
    return axes


def _text(axes: Axes, panel: Any, lines: Sequence[Line]) -> None:
    """Write a stat's value, or of a table a line for each series."""
    axes.set_axis_off()
    fields = panel.get("fieldConfig", {}).get("defaults", {})
    unit = fields.get("unit", "short")
    if panel["type"] == "table" and lines:
        rows = [f"{line.name}   {text(line.known()[-1], unit)}" for line in lines]
        axes.text(0, 1, "\n".join(rows), va="top", linespacing=1.6)
    elif panel["type"] != "row":
        value = lines[0].known()[-1] if lines else math.nan
        steps = fields.get("thresholds", {}).get("steps", [{"value": None, "color": "gray"}])
        color = [s for s in steps if s["value"] is None or value >= s["value"]][-1]["color"]
        detail = fields.get("noValue", "No data") if math.isnan(value) else text(value, unit)
        axes.text(0.5, 0.5, detail, color=color, size=13, weight="bold", ha="center", va="center")


def _timeseries(figure: Figure, panel: Any, shown: Shown, lines: Sequence[Line]) -> None:
    fields, height = panel["fieldConfig"]["defaults"], panel["gridPos"]["h"] * ROW
    room = max(int(height * 0.4 / LEGEND), 1)
    below = AXIS + min(len(lines), room) * LEGEND
    axes = _axes(figure, panel, 66, below)
    axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M"))
    axes.set_xlim(shown.start / DAY_S, shown.end / DAY_S)
    axes.grid()
    unit, custom = fields.get("unit", "short"), fields["custom"]
    values = [shown.values(line) for line in lines]
    if stacked := custom.get("stacking", {}).get("mode") == "normal":
        values = list(np.cumsum(np.nan_to_num(values), axis=0))
    handles = []
    for n, each in enumerate(values):
        handles += axes.plot(shown.times(), each, linewidth=1.2, marker=".", markersize=2.5)
        if stacked:
            axes.fill_between(shown.times(), values[n - 1] if n else 0, each, alpha=0.35)
    known = np.concatenate([[0.0], *(each[np.isfinite(each)] for each in values)]) * 1.08
    low, high = fields.get("min", known.min()), max(known.max(), custom.get("axisSoftMax") or 0)
    axes.set_ylim(low, high if high > low else low + 1.0)
    axes.yaxis.set_major_locator(ticker.MaxNLocator(5, integer=unit == "short" and high >= 1))
    axes.yaxis.set_major_formatter(lambda value, _: text(value, unit))
    if custom.get("thresholdsStyle", {}).get("mode", "off") != "off":
        for step in fields["thresholds"]["steps"]:
            if step["value"] is not None and step["value"] <= high:
                axes.axhline(step["value"], color=step["color"], linestyle="--", linewidth=1)
    ranked = sorted(zip(lines, handles, strict=True), key=lambda one: -max(one[0].known()))[:room]
    names = [
        f"{line.name}   last {text(line.known()[-1], unit)}, max {text(max(line.known()), unit)}"
        for line, _ in ranked
    ]
    anchor = (0, -AXIS / max(height - TITLE - below, 1))
    axes.legend([handle for _, handle in ranked], names, loc="upper left", bbox_to_anchor=anchor)


def _heatmap(axes: Axes, panel: Any, shown: Shown, lines: Sequence[Line]) -> None:
    buckets = sorted(lines, key=lambda line: float(line.labels["le"]))
    counts = np.nan_to_num([shown.values(line) for line in buckets])  # all below their bounds
    axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M"))
    seen = np.ma.masked_less_equal(np.diff(counts, axis=0, prepend=0), 1e-9)
    middles = np.arange(len(buckets)) + 0.5
    axes.pcolormesh(shown.times(), middles, seen, cmap="Oranges", vmin=0, shading="nearest")
    unit = panel["options"]["yAxis"]["unit"]
    axes.set_yticks(middles + 0.5, [text(float(one.labels["le"]), unit) for one in buckets])


if __name__ == "__main__":
    sys.exit(main())
