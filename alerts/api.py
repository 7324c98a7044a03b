"""Alerts about what our own API answers."""

from typing import Final

from alerts.links import ERRORS_DASHBOARD
from alerts.model import SERVICE, STACK, Alert, Area, ForDuration, Severity, ValueFormat
from alerts.promql import NoneOf, Pattern, above, ratio
from service.metric_catalog import HTTP_REQUESTS
from service.slo import API_ERROR_RATIO

WINDOW: Final = "5m"
NO_REQUESTS: Final = ("/health/live", "/health/ready", "/health/startup", "/metrics", "unmatched")
REQUESTS: Final = NoneOf(NO_REQUESTS)
"""Without probes and scrapes: a pod that is not ready says so by 503, which is no error of the API.
And without what no route takes: a scanner's thousand 404 would hide what buyers get."""

ERRORS: Final = Alert(
    name="ApiErrorsHigh",
    expression=above(
        ratio(
            SERVICE.rate(HTTP_REQUESTS, WINDOW, STACK, status=Pattern("5.."), route=REQUESTS),
            SERVICE.rate(HTTP_REQUESTS, WINDOW, STACK, route=REQUESTS),
        ),
        API_ERROR_RATIO.value,
    ),
    for_duration=ForDuration(
        WINDOW, "as long as the window, which a lone failure has left by then"
    ),
    severity=Severity.CRITICAL,
    summary=f"More than {API_ERROR_RATIO.value:.0%} of requests get a 5xx",
    description="{value} of the requests to {namespace} were answered with a 5xx.",
    value_format=ValueFormat.PERCENTAGE,
    why=API_ERROR_RATIO.why,
    dashboard=ERRORS_DASHBOARD,
)

AREA: Final = Area("api", (ERRORS,))
