"""Finished runs, a small file each, and what changed since the one before."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

ARCHIVE: Final = Path(__file__).with_name("results")


OVERALL: Final = (
    *("requests", "failed requests", "throughput"),
    *("P50, all requests", "P95, all requests", "P99, all requests"),
)
"""The figures of a whole run; the others are of its phases and parts."""


class ArchiveError(Exception):
    """An archived run can't be read; the message names the file."""


@dataclass(frozen=True, slots=True)
class Archived:
    """A run of the archive."""

    path: Path
    summary: Mapping[str, Any]

    @property
    def title(self) -> str:
        """Return which run it is, and whether figures of it can be compared."""
        one = self.summary
        return (
            f"{one['started_at']}, revision {one['revision']}, {one['machine']['cpus']} CPUs, "
            f"--workers {one['workers']}, {'passed' if one['passed'] else 'failed'} "
            f"({self.path.name})"
        )


@dataclass(frozen=True, slots=True)
class Change:
    """A figure in the run before and in this one; None where it was not measured."""

    name: str
    unit: str
    before: float | None
    now: float | None

    @property
    def delta(self) -> str:
        """Return the difference with its sign, and in percent."""
        if self.before is None or self.now is None:
            return "-"
        difference = self.now - self.before
        ratio = f" ({difference / self.before:+.1%})" if self.before else ""
        return f"{plain(difference, '+')} {self.unit}{ratio}"


def plain(value: float, sign: str = "") -> str:
    """Return a figure as people read it; whole numbers have no point."""
    return f"{value:{sign},.1f}".removesuffix(".0")


def newest(profile: str, folder: Path = ARCHIVE) -> Archived | None:
    """Return the newest archived run of a profile; raise ArchiveError."""
    path = max((folder / profile).glob("*.json"), key=lambda one: one.name, default=None)
    if path is None:
        return None
    try:
        return Archived(path, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ArchiveError(f"{path} can't be read ({error}); remove it") from error


def keep(summary: Mapping[str, Any], folder: Path = ARCHIVE) -> Path:
    """Write a run into the archive and return the file."""
    started_at = datetime.fromisoformat(summary["started_at"]).astimezone(UTC)
    path = folder / str(summary["profile"]) / f"{started_at:%Y-%m-%dT%H%M%SZ}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return path


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """Return each figure of both summaries, in the order of this run's."""
    old = {figure["name"]: figure for figure in before["figures"]}
    return [
        Change(
            figure["name"],
            figure["unit"],
            old.get(figure["name"], {}).get("value"),
            figure["value"],
        )
        for figure in now["figures"]
    ]


def figure(name: str, value: float, unit: str) -> dict[str, Any]:
    """Return a figure of a summary; one that was not measured is null."""
    return {"name": name, "unit": unit, "value": round(value, 3) if math.isfinite(value) else None}
