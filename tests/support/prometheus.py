"""Wait for what Prometheus sees; `scripts.prometheus` runs a real one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from scripts.prometheus import Prometheus, Series
from tests.support.waiting import eventually

PATIENCE_S: Final = 60.0
"""Some scrapes and evaluations of a second each, on a machine that others swamp."""


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
