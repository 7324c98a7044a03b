"""A real Prometheus as a process; `tools/bootstrap prometheus` gets it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import yaml

from scripts.platform.embedded import LOOPBACK, free_port
from scripts.platform.processes import Child, spawn
from tests.support.waiting import eventually

PROGRAM: Final = Path(__file__).parents[2] / ".venv" / "bin" / "prometheus"
READY_S: Final = 60.0  # a second when idle; it opens its database before it answers
READY_POLL_S: Final = 0.05
ANSWER_S: Final = 30.0  # a query over minutes of one service takes milliseconds
PATIENCE_S: Final = 60.0
"""Some scrapes and evaluations of a second each, on a machine that others swamp."""

Group = Mapping[str, Any]


class PrometheusError(Exception):
    """Prometheus is missing, did not start, or refused a query; the message says why."""


@dataclass(frozen=True)
class Target:
    """What to scrape: `url` without a path; `labels` are added to every series."""

    job: str
    url: str
    labels: Mapping[str, str] = field(default_factory=dict)
    honor_labels: bool = False
    """Whether labels that the target itself gives win over those of the target."""

    def scraped(self) -> dict[str, Any]:
        """Return the entry of `scrape_configs`."""
        parts = urlsplit(self.url)
        return {
            "job_name": self.job,
            "scheme": parts.scheme,
            "honor_labels": self.honor_labels,
            "static_configs": [{"targets": [parts.netloc], "labels": dict(self.labels)}],
        }


@dataclass(frozen=True)
class Discovery:
    """Targets that come and go, as pods do: Prometheus reads the file when it changes."""

    path: Path

    def publish(self, targets: Sequence[Target]) -> None:
        """Replace the targets; Prometheus takes up to five seconds to follow. Scheme http only."""
        found = [
            {
                "targets": [urlsplit(target.url).netloc],
                "labels": {"job": target.job, **target.labels},
            }
            for target in targets
        ]
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps(found), encoding="utf-8")
        fresh.rename(self.path)

    def scraped(self) -> dict[str, Any]:
        """Return the entry of `scrape_configs`."""
        files = {"files": [str(self.path)], "refresh_interval": "1s"}
        return {"job_name": "discovered", "file_sd_configs": [files]}


@dataclass(frozen=True)
class Series:
    """One series of an answer: its labels, and (Unix time, value) in order of time."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]

    @property
    def value(self) -> float:
        """The newest value."""
        return self.points[-1][1]


class Prometheus:
    """A running Prometheus, by its HTTP API: /docs/prometheus/latest/querying/api."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session

    async def query(self, expression: str) -> list[Series]:
        """Return what an expression is now; a scalar is a series without labels."""
        data = await self._get("query", query=expression)
        return _series(data)

    async def query_range(
        self, expression: str, start: float, end: float, step_s: float
    ) -> list[Series]:
        """Return what an expression was from `start` to `end`, Unix times, each `step_s`."""
        data = await self._get(
            "query_range", query=expression, start=f"{start}", end=f"{end}", step=f"{step_s}"
        )
        return _series(data)

    async def targets(self) -> list[Mapping[str, Any]]:
        """Return the targets with their `health`: up, down, or unknown before the first scrape."""
        found: list[Mapping[str, Any]] = (await self._get("targets"))["activeTargets"]
        return found

    async def alerts(self) -> list[Mapping[str, Any]]:
        """Return the alerts that are pending or firing."""
        found: list[Mapping[str, Any]] = (await self._get("alerts"))["alerts"]
        return found

    async def groups(self) -> list[Mapping[str, Any]]:
        """Return the rule groups, each rule with its `health` and `lastError`."""
        found: list[Mapping[str, Any]] = (await self._get("rules"))["groups"]
        return found

    async def _get(self, path: str, **parameters: str) -> Any:
        url = f"{self.url}/api/v1/{path}"
        async with self._session.get(url, params=parameters) as answer:
            body = await answer.json()
        if body["status"] != "success":
            raise PrometheusError(f"{path} {parameters}: {body.get('error')}")
        return body["data"]


@asynccontextmanager
async def prometheus(
    folder: Path,
    targets: Sequence[Target | Discovery],
    *,
    groups: Sequence[Group] = (),
    scrape_s: float = 1.0,
    evaluate_s: float = 1.0,
    port: int = 0,
) -> AsyncIterator[Prometheus]:
    """Run one with its data below `folder`, ready to be asked; 0 takes a free port.

    `groups` are rule groups as in a PrometheusRule. Raises PrometheusError.
    """
    if not PROGRAM.exists():
        raise PrometheusError(f"{PROGRAM} is missing; run tools/bootstrap prometheus")
    port = port or free_port()
    config = _written(folder, targets, groups, scrape_s, evaluate_s)
    child = _started(folder, config, port)
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            running = Prometheus(f"http://{LOOPBACK}:{port}", session)
            await _until_ready(child, running.url, session)
            yield running
    finally:
        child.stop()


def _written(
    folder: Path,
    targets: Sequence[Target | Discovery],
    groups: Sequence[Group],
    scrape_s: float,
    evaluate_s: float,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rules = folder / "rules.yaml"
    rules.write_text(yaml.safe_dump({"groups": [dict(group) for group in groups]}))
    config = folder / "prometheus.yaml"
    document = {
        "global": {
            "scrape_interval": _duration(scrape_s),
            "scrape_timeout": _duration(scrape_s),
            "evaluation_interval": _duration(evaluate_s),
        },
        "rule_files": [str(rules)],
        "scrape_configs": [target.scraped() for target in targets],
    }
    config.write_text(yaml.safe_dump(document, sort_keys=False))
    return config


def _started(folder: Path, config: Path, port: int) -> Child:
    data = folder / "data"
    return spawn(
        "prometheus",
        [
            PROGRAM,
            f"--config.file={config}",
            f"--storage.tsdb.path={data}",
            f"--web.listen-address={LOOPBACK}:{port}",
            "--log.level=warn",
        ],
        log=folder / "prometheus.log",
        discard=data,
    )


async def _until_ready(child: Child, url: str, session: aiohttp.ClientSession) -> None:
    deadline = time.monotonic() + READY_S
    while not await _ready(session, url):
        if child.returncode is not None:
            raise PrometheusError(str(child.died()))
        if time.monotonic() > deadline:
            raise PrometheusError(
                f"prometheus was not ready within {READY_S:g} s; its last lines ({child.log}):\n"
                f"{child.tail()}"
            )
        await asyncio.sleep(READY_POLL_S)


async def _ready(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(f"{url}/-/ready") as answer:
            return answer.ok
    except aiohttp.ClientError:
        return False


def _duration(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


def _series(data: Mapping[str, Any]) -> list[Series]:
    match data["resultType"]:
        case "matrix":
            return [Series(one["metric"], _points(one["values"])) for one in data["result"]]
        case "vector":
            return [Series(one["metric"], _points([one["value"]])) for one in data["result"]]
        case _:
            return [Series({}, _points([data["result"]]))]


def _points(pairs: Sequence[Sequence[Any]]) -> tuple[tuple[float, float], ...]:
    return tuple((float(at), float(value)) for at, value in pairs)


async def until_scraped(running: Prometheus, *, timeout_s: float = PATIENCE_S) -> None:
    """Wait until every target was scraped with success; raise TimeoutError with what they said."""

    def all_up(targets: Sequence[Mapping[str, Any]]) -> bool:
        return bool(targets) and all(target["health"] == "up" for target in targets)

    await eventually(running.targets, all_up, timeout_s=timeout_s)


async def until_answered(
    running: Prometheus,
    expression: str,
    holds: Callable[[list[Series]], bool] = bool,
    *,
    timeout_s: float = PATIENCE_S,
) -> list[Series]:
    """Wait until the answer to an expression holds: by default, until there is any."""
    return await eventually(lambda: running.query(expression), holds, timeout_s=timeout_s)


async def until_firing(
    running: Prometheus, alert: str, *, timeout_s: float = PATIENCE_S
) -> Mapping[str, Any]:
    """Wait until an alert fires; return it, with its `labels`, `annotations` and `value`."""

    async def firing() -> list[Mapping[str, Any]]:
        return [
            one
            for one in await running.alerts()
            if one["labels"]["alertname"] == alert and one["state"] == "firing"
        ]

    return (await eventually(firing, timeout_s=timeout_s))[0]
