"""Alerts about webhooks to merchants."""

from typing import Final

from alerts.links import INTEGRATIONS_DASHBOARD
from alerts.model import COUNTED, SERVICE, STACK, Alert, Area, ForDuration, Severity, ValueFormat
from alerts.payments import NEARLY
from alerts.promql import above
from service.metric_catalog import (
    MERCHANT_WEBHOOK_BACKLOG,
    MERCHANT_WEBHOOK_DISABLED,
    MERCHANT_WEBHOOK_LAG,
)
from service.slo import MERCHANT_LAG_S

WINDOW: Final = "6h"
"""Long enough that an alert of the night still fires in the morning."""


LAGGING: Final = Alert(
    name="MerchantWebhooksLagging",
    expression=above(SERVICE.gauge(MERCHANT_WEBHOOK_LAG, "max", STACK), MERCHANT_LAG_S.value),
    for_duration=ForDuration("5m", "a burst of a few thousand deliveries is sent in less"),
    severity=Severity.WARNING,
    summary="Webhooks to merchants are late",
    description="A delivery to a merchant of {namespace} is {value} late.",
    value_format=ValueFormat.DURATION,
    why=MERCHANT_LAG_S.why,
    dashboard=INTEGRATIONS_DASHBOARD,
)
EXHAUSTED: Final = Alert(
    name="MerchantWebhooksExhausted",
    expression=above(
        SERVICE.gauge(MERCHANT_WEBHOOK_BACKLOG, "max", STACK, state="exhausted"),
        SERVICE.before(MERCHANT_WEBHOOK_BACKLOG, "max", STACK, WINDOW, state="exhausted"),
    ),
    for_duration=ForDuration(
        "1m", "two evaluations: a worker that has just started exports its number by then"
    ),
    severity=Severity.WARNING,
    summary="Deliveries to merchants were given up",
    description=f"{{value}} deliveries of {{namespace}} are exhausted, more than {WINDOW} ago.",
    value_format=ValueFormat.NUMBER,
    why="after three days of tries nothing more is sent automatically: each needs an operator",
    dashboard=INTEGRATIONS_DASHBOARD,
)
DISABLED: Final = Alert(
    name="MerchantEndpointDisabled",
    expression=above(
        SERVICE.increase(MERCHANT_WEBHOOK_DISABLED, WINDOW, (*STACK, "reason")), 1 - NEARLY
    ),
    for_duration=COUNTED,
    severity=Severity.WARNING,
    summary="A merchant's endpoint was disabled",
    description=f"{{value}} endpoints of {{namespace}} were disabled within {WINDOW}, the reason: "
    "{reason}.",
    value_format=ValueFormat.NUMBER,
    why="the merchant gets no event from now on until somebody enables it",
    by=(*STACK, "reason"),
    dashboard=INTEGRATIONS_DASHBOARD,
)

AREA: Final = Area("merchants", (LAGGING, EXHAUSTED, DISABLED))
