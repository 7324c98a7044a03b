"""Scenarios of the API's own errors."""

from typing import Final

from alerts import api as rules
from alerts.scenarios import Firing, Scenario, Series, borders, counted
from service.metric_catalog import HTTP_REQUESTS


def answers(a_step: float, status: str, route: str = "/v1/payments") -> Series:
    """Return requests that are answered with a status."""
    return counted(HTTP_REQUESTS, a_step, method="POST", route=route, status=status)


SCENARIOS: Final[tuple[Scenario, ...]] = (
    *borders(
        rules.ERRORS,
        over=(answers(6, "500"), answers(94, "201")),
        under=(answers(5, "503"), answers(95, "201")),
        value="6%",
        starts_s=30,
    ),
    Scenario(
        rules.ERRORS,
        "a scanner does not hide it",
        (answers(6, "500"), answers(94, "201"), answers(900, "404", "unmatched")),
        "10m",
        (Firing("6%"),),
    ),
    Scenario(
        rules.ERRORS,
        "a pod that is not ready says so to its probe",
        (answers(50, "503", "/health/ready"), answers(50, "201")),
        "10m",
    ),
    Scenario(
        rules.ERRORS,
        "what clients do wrong is no error of ours",
        (answers(90, "409"), answers(10, "201")),
        "10m",
    ),
    Scenario(
        rules.ERRORS,
        "clients that hang up, or send broken, slow or compressed bodies",
        (*(answers(20, status) for status in ("499", "400", "408", "415")), answers(20, "201")),
        "10m",
    ),
)
