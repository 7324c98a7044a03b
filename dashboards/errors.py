"""Errors: what fails, for whom, and which side causes it."""

from typing import Final

from alerts.api import ERRORS as API_ERRORS
from alerts.api import REQUESTS
from alerts.links import ERRORS_DASHBOARD
from alerts.payments import ERROR_RATE_CRITICAL, ERROR_RATE_HIGH, HIGH_VALUE_FAILING
from alerts.promql import Pattern, above, ratio, share
from dashboards.common import HIGH_VALUE_FAILURES, HTTP_ANSWERS_BY_STATUS
from dashboards.panels import Dashboard, Query, Row, rising, stat, table, timeseries
from dashboards.queries import (
    ERRORS,
    FAULTS,
    SHOWN,
    USUAL,
    WINDOW,
    legend,
    p95,
    reached,
)
from dashboards.rollout import DEPLOYMENTS
from service.metric_catalog import (
    HTTP_DURATION,
    HTTP_REQUESTS,
    INTEGRATION_REQUESTS,
    PAYMENT_FAILURES_HIGH_VALUE,
    PAYMENTS,
    PROVIDER_REQUESTS,
)
from service.slo import API_ERROR_RATIO, HIGH_VALUE, PAYMENT_ERROR_RATIO

ERROR_THRESHOLDS: Final = rising(PAYMENT_ERROR_RATIO.warning, PAYMENT_ERROR_RATIO.critical)
ERROR_RATIO: Final = ratio(
    SHOWN.rate(PAYMENTS, WINDOW, status=ERRORS), SHOWN.rate(PAYMENTS, WINDOW)
)
API_ERROR_SHARE: Final = share(
    SHOWN.rate(HTTP_REQUESTS, WINDOW, status=Pattern("5.."), route=REQUESTS),
    SHOWN.rate(HTTP_REQUESTS, WINDOW, route=REQUESTS),
)

NOW: Final = (
    stat(
        "Payment error ratio",
        "Failed, unknown, in review. Declined cards are no error.",
        ERROR_RATIO,
        "percent",
        ERROR_THRESHOLDS,
        (ERROR_RATE_HIGH, ERROR_RATE_CRITICAL),
    ),
    stat(
        "Declined ratio",
        "Payments that buyers' banks refused. A jump comes from a provider's rules or from card "
        "testing.",
        ratio(
            SHOWN.rate(PAYMENTS, WINDOW, status="declined"),
            SHOWN.rate(PAYMENTS, WINDOW),
        ),
        "percent",
    ),
    stat(
        "API error ratio",
        "Answers with 5xx, without probes and unknown routes. It includes requests that never "
        "became a payment.",
        API_ERROR_SHARE,
        "percent",
        reached(API_ERROR_RATIO.value),
        (API_ERRORS,),
    ),
    stat(
        "High-value failures per second",
        f"Failed payments of {HIGH_VALUE} minor units or more.",
        SHOWN.rate(PAYMENT_FAILURES_HIGH_VALUE, WINDOW),
        "per_second",
        alerts=(HIGH_VALUE_FAILING,),
    ),
)

PAYMENT_LINES: Final = (
    (
        timeseries(
            "Payment errors by status and provider",
            "What counts against the objective: failed, unknown, in review. If it is one "
            "provider, see its health; if all, look at the database and the last deployment.",
            (
                Query(
                    SHOWN.rate(PAYMENTS, WINDOW, ("status", "provider"), status=ERRORS),
                    legend("status", "provider"),
                ),
            ),
            "per_second",
            stacked=True,
            alerts=(ERROR_RATE_HIGH, ERROR_RATE_CRITICAL),
        ),
        timeseries(
            "Payment error ratio by provider",
            "Each provider's errors as a share of its payments.",
            (
                Query(
                    ratio(
                        SHOWN.rate(PAYMENTS, WINDOW, ("provider",), status=ERRORS),
                        SHOWN.rate(PAYMENTS, WINDOW, ("provider",)),
                    ),
                    "{{provider}}",
                ),
            ),
            "percent",
            thresholds=ERROR_THRESHOLDS,
            alerts=(ERROR_RATE_HIGH, ERROR_RATE_CRITICAL),
        ),
        HIGH_VALUE_FAILURES,
    ),
)

API_LINES: Final = (
    (
        HTTP_ANSWERS_BY_STATUS,
        timeseries(
            "HTTP errors by route",
            "4xx and 5xx answers. Clients cause 401 and 429; 503 refuses work that the "
            "service could not finish.",
            (
                Query(
                    SHOWN.rate(
                        HTTP_REQUESTS, WINDOW, ("route", "status"), status=Pattern("[45]..")
                    ),
                    legend("status", "route"),
                ),
            ),
            "per_second",
            alerts=(API_ERRORS,),
        ),
    ),
    (
        table(
            "Errors by route, now",
            "4xx and 5xx answers a second, by method, route and status.",
            above(
                SHOWN.rate(
                    HTTP_REQUESTS, WINDOW, ("method", "route", "status"), status=Pattern("[45]..")
                ),
                0,
            ),
            "per_second",
            (API_ERRORS,),
        ),
        timeseries(
            "Latency P95 by route",
            "A route that is slow for all statuses waits for the database or a dependency.",
            (p95(HTTP_DURATION, "method", "route"),),
            "seconds",
        ),
    ),
)

DEPENDENCY_LINES: Final = (
    (
        timeseries(
            "Faults of providers",
            "Errors and timeouts of calls: the cause of most payment errors.",
            (
                Query(
                    SHOWN.rate(PROVIDER_REQUESTS, WINDOW, ("provider", "outcome"), outcome=FAULTS),
                    legend("provider", "outcome"),
                ),
            ),
            "per_second",
        ),
        timeseries(
            "Faults of integrations",
            "Errors and timeouts of the Library and the Game Catalog.",
            (
                Query(
                    SHOWN.rate(
                        INTEGRATION_REQUESTS, WINDOW, ("integration", "outcome"), outcome=FAULTS
                    ),
                    legend("integration", "outcome"),
                ),
            ),
            "per_second",
        ),
    ),
)

ERROR_ANALYSIS: Final = Dashboard(
    uid=ERRORS_DASHBOARD,
    title="Coinslot / Errors",
    description="What fails, for whom, and which side causes it?",
    variables=USUAL,
    rows=(
        Row("Now", (NOW,)),
        Row("Payments", PAYMENT_LINES),
        Row("API", API_LINES),
        Row("Dependencies", DEPENDENCY_LINES),
    ),
    annotations=DEPLOYMENTS,
)
