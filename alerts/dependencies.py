"""Alerts about those whom we call: payment providers, the Library, the Game Catalog."""

from typing import Final

from alerts.links import INTEGRATIONS_DASHBOARD, PROVIDERS_DASHBOARD
from alerts.model import API_JOB, SERVICE, STACK, Alert, Area, ForDuration, Severity, ValueFormat
from alerts.promql import OneOf, OverTime, above, below, ratio
from service.metric_catalog import BREAKER_STATE, INTEGRATION_REQUESTS, PROVIDER_REQUESTS
from service.slo import BREAKER_CLOSED_RATIO, INTEGRATION_ERROR_RATIO, PROVIDER_ERROR_RATIO

FAST: Final = "2m"
SLOW: Final = "5m"
FAULTS: Final = OneOf(("error", "timeout"))
PROVIDER: Final = (*STACK, "provider")

_FOR_FAST: Final = ForDuration(FAST, "as long as the window, so that one failed call wakes nobody")
_FOR_SLOW: Final = ForDuration(SLOW, "as long as the window, which a lone failure has left by then")


def integration_errors(integration: str, window: str) -> str:
    """Return the fraction of calls to an integration that failed or timed out, a namespace."""
    return ratio(
        SERVICE.rate(INTEGRATION_REQUESTS, window, STACK, integration=integration, outcome=FAULTS),
        SERVICE.rate(INTEGRATION_REQUESTS, window, STACK, integration=integration),
    )


PROVIDER_DOWN: Final = Alert(
    name="ProviderDown",
    expression=above(
        ratio(
            SERVICE.rate(PROVIDER_REQUESTS, FAST, PROVIDER, outcome=FAULTS),
            SERVICE.rate(PROVIDER_REQUESTS, FAST, PROVIDER),
        ),
        PROVIDER_ERROR_RATIO.value,
    ),
    for_duration=_FOR_FAST,
    severity=Severity.CRITICAL,
    summary="A payment provider does not answer",
    description="{value} of the calls of {namespace} to {provider} failed or timed out.",
    value_format=ValueFormat.PERCENTAGE,
    why=PROVIDER_ERROR_RATIO.why,
    by=PROVIDER,
    dashboard=PROVIDERS_DASHBOARD,
)
BREAKER_OPEN: Final = Alert(
    name="ProviderBreakerOpen",
    expression=below(
        SERVICE.gauge(
            BREAKER_STATE, "avg", PROVIDER, OverTime("avg", SLOW), job=API_JOB, state="closed"
        ),
        BREAKER_CLOSED_RATIO.value,
    ),
    for_duration=ForDuration(SLOW, "as long as the mean's window: it has not recovered meanwhile"),
    severity=Severity.WARNING,
    summary="The circuit breakers keep a payment provider from being called",
    description="The API's breakers of {provider} in {namespace} were closed for only {value} of "
    f"the last {SLOW}.",
    value_format=ValueFormat.PERCENTAGE,
    why=BREAKER_CLOSED_RATIO.why,
    by=PROVIDER,
    dashboard=PROVIDERS_DASHBOARD,
)
LIBRARY_FAILING: Final = Alert(
    name="LibraryFailing",
    expression=above(integration_errors("library", SLOW), INTEGRATION_ERROR_RATIO.warning),
    for_duration=_FOR_SLOW,
    severity=Severity.WARNING,
    summary="The Library fails: paid games arrive late",
    description="{value} of the calls of {namespace} to the Library failed or timed out.",
    value_format=ValueFormat.PERCENTAGE,
    why=INTEGRATION_ERROR_RATIO.why,
    dashboard=INTEGRATIONS_DASHBOARD,
)
CATALOG_FAILING: Final = Alert(
    name="GameCatalogFailing",
    expression=above(integration_errors("game_catalog", SLOW), INTEGRATION_ERROR_RATIO.warning),
    for_duration=_FOR_SLOW,
    severity=Severity.WARNING,
    summary="The Game Catalog fails: some orders can't be made",
    description="{value} of the calls of {namespace} to the Game Catalog failed or timed out.",
    value_format=ValueFormat.PERCENTAGE,
    why=INTEGRATION_ERROR_RATIO.why,
    dashboard=INTEGRATIONS_DASHBOARD,
)
CATALOG_DOWN: Final = Alert(
    name="GameCatalogDown",
    expression=above(integration_errors("game_catalog", FAST), INTEGRATION_ERROR_RATIO.critical),
    for_duration=_FOR_FAST,
    severity=Severity.CRITICAL,
    summary="The Game Catalog is down: no orders can be made",
    description="{value} of the calls of {namespace} to the Game Catalog failed or timed out.",
    value_format=ValueFormat.PERCENTAGE,
    why="half of the calls fail: without a price there is no order, and without an order no "
    "payment, which no error ratio of payments shows",
    dashboard=INTEGRATIONS_DASHBOARD,
)

AREA: Final = Area(
    "dependencies", (PROVIDER_DOWN, BREAKER_OPEN, LIBRARY_FAILING, CATALOG_FAILING, CATALOG_DOWN)
)
