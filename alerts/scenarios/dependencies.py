"""Scenarios of those whom we call."""

from typing import Final

from alerts import dependencies as rules
from alerts.scenarios import API_JOB, WORKER_JOB, Firing, Scenario, Series, borders, counted, level
from service import metric_catalog as m


def calls(a_step: float, outcome: str, provider: str = "simulator") -> Series:
    """Return calls to a provider."""
    return counted(
        m.PROVIDER_REQUESTS, a_step, provider=provider, operation="charge", outcome=outcome
    )


def asked(a_step: float, outcome: str, integration: str, operation: str) -> Series:
    """Return calls to an integration."""
    return counted(
        m.INTEGRATION_REQUESTS,
        a_step,
        integration=integration,
        operation=operation,
        outcome=outcome,
    )


def grants(bad: int, outcome: str = "timeout") -> tuple[Series, ...]:
    """Return 100 calls to the Library a step, `bad` of which fail, and a healthy catalog."""
    return (
        asked(bad, outcome, "library", "grant"),
        asked(100 - bad, "ok", "library", "grant"),
        asked(100, "ok", "game_catalog", "get_game"),
    )


def prices(bad: int) -> tuple[Series, ...]:
    """Return 100 calls to the Game Catalog a step, `bad` of which fail, and a healthy Library."""
    return (
        asked(bad, "error", "game_catalog", "get_game"),
        asked(100 - bad, "ok", "game_catalog", "get_game"),
        asked(100, "ok", "library", "grant"),
    )


def breaker(pods: int, opened: int, job: str = API_JOB) -> tuple[Series, ...]:
    """Return the breakers of several pods, the first of which are open."""
    return tuple(
        level(
            m.BREAKER_STATE,
            float((state == "open") == (pod < opened)),
            job=job,
            provider="stripe",
            state=state,
            pod=f"{job}-{pod}",
        )
        for pod in range(pods)
        for state in ("open", "closed")
    )


SCENARIOS: Final[tuple[Scenario, ...]] = (
    *borders(
        rules.PROVIDER_DOWN,
        over=(calls(51, "timeout"), calls(49, "ok"), calls(100, "ok", "stripe")),
        under=(calls(50, "timeout"), calls(50, "ok")),
        value="51%",
        starts_s=30,
        labels={"provider": "simulator"},
    ),
    Scenario(
        rules.PROVIDER_DOWN,
        "declined cards are answers",
        (calls(90, "declined"), calls(10, "ok")),
        "10m",
    ),
    *borders(
        rules.BREAKER_OPEN,
        over=breaker(3, 2),
        under=breaker(4, 2),
        value="33.33%",
        labels={"provider": "stripe"},
    ),
    Scenario(
        rules.BREAKER_OPEN,
        "workers that hardly call don't hide it",
        (*breaker(3, 3), *breaker(4, 0, WORKER_JOB)),
        "5m",
        (Firing("0%", labels={"provider": "stripe"}),),
    ),
    *borders(rules.LIBRARY_FAILING, over=grants(11), under=grants(10), value="11%", starts_s=30),
    *borders(rules.CATALOG_FAILING, over=prices(11), under=prices(10), value="11%", starts_s=30),
    *borders(rules.CATALOG_DOWN, over=prices(51), under=prices(50), value="51%", starts_s=30),
)
