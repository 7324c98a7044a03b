"""Alerts about what follows a payment: grants and inbound webhooks."""

from typing import Final

from alerts.links import INTEGRATIONS_DASHBOARD, MONEY_DASHBOARD
from alerts.model import COUNTED, SERVICE, STACK, Alert, Area, ForDuration, Severity, ValueFormat
from alerts.payments import NEARLY
from alerts.promql import OneOf, above, ratio
from service.metric_catalog import (
    GRANTS_GIVEN_UP,
    OUTBOX_LAG,
    PAID_NOT_GRANTED,
    WEBHOOK_EVENTS,
    WEBHOOK_INBOX_LAG,
    WEBHOOK_REQUESTS,
)
from service.slo import (
    GRANT_FRESHNESS_S,
    OUTBOX_LAG_S,
    WEBHOOK_INBOX_LAG_S,
    WEBHOOK_REFUSED_RATIO,
)
from service.slo import GRANTS_GIVEN_UP as GIVEN_UP_LIMIT
from service.slo import PAID_NOT_GRANTED as NOT_GRANTED_LIMIT

GIVEN_UP_WINDOW: Final = "1h"
PARKED_WINDOW: Final = "6h"
"""Long enough that an alert of the night still fires in the morning."""
REFUSED_WINDOW: Final = "10m"

_NOT_GRANTED_FOR: Final = ForDuration(
    "15m", "time for the relay to deliver them, which it usually does"
)

OUTBOX_LAGGING: Final = Alert(
    name="OutboxLagging",
    expression=above(SERVICE.gauge(OUTBOX_LAG, "max", STACK), OUTBOX_LAG_S.value),
    for_duration=ForDuration(
        "5m", "the longest pause between two tries, so that the next one has been made"
    ),
    severity=Severity.WARNING,
    summary="Grants and revokes are not delivered",
    description="The oldest message in the outbox of {namespace} has waited for {value}.",
    value_format=ValueFormat.DURATION,
    why=OUTBOX_LAG_S.why,
    dashboard=MONEY_DASHBOARD,
)
NOT_GRANTED: Final = Alert(
    name="PaidNotGranted",
    expression=above(SERVICE.gauge(PAID_NOT_GRANTED, "max", STACK), NOT_GRANTED_LIMIT.warning),
    for_duration=_NOT_GRANTED_FOR,
    severity=Severity.WARNING,
    summary="Orders are paid and their games are not granted",
    description=f"{{value}} orders of {{namespace}} were paid more than {GRANT_FRESHNESS_S} s ago "
    "and have neither their games nor their money back.",
    value_format=ValueFormat.NUMBER,
    why=NOT_GRANTED_LIMIT.why,
    dashboard=MONEY_DASHBOARD,
)
MANY_NOT_GRANTED: Final = Alert(
    name="PaidNotGrantedMany",
    expression=above(SERVICE.gauge(PAID_NOT_GRANTED, "max", STACK), NOT_GRANTED_LIMIT.critical),
    for_duration=_NOT_GRANTED_FOR,
    severity=Severity.CRITICAL,
    summary="Many orders are paid and their games are not granted",
    description=f"{{value}} orders of {{namespace}} were paid more than {GRANT_FRESHNESS_S} s ago "
    "and have neither their games nor their money back.",
    value_format=ValueFormat.NUMBER,
    why=NOT_GRANTED_LIMIT.why,
    dashboard=MONEY_DASHBOARD,
)
GIVEN_UP: Final = Alert(
    name="GrantsGivenUp",
    expression=above(
        SERVICE.increase(GRANTS_GIVEN_UP, GIVEN_UP_WINDOW, (*STACK, "reason")),
        GIVEN_UP_LIMIT.value - NEARLY,
    ),
    for_duration=COUNTED,
    severity=Severity.WARNING,
    summary="Paid games could not be granted and are refunded",
    description=f"{{value}} grants of {{namespace}} were given up within {GIVEN_UP_WINDOW}, "
    "reason: {reason}.",
    value_format=ValueFormat.NUMBER,
    why=GIVEN_UP_LIMIT.why,
    by=(*STACK, "reason"),
    dashboard=MONEY_DASHBOARD,
)
INBOX_LAGGING: Final = Alert(
    name="WebhookInboxLagging",
    expression=above(SERVICE.gauge(WEBHOOK_INBOX_LAG, "max", STACK), WEBHOOK_INBOX_LAG_S.value),
    for_duration=ForDuration("5m", "a burst of a few thousand events is processed in less"),
    severity=Severity.WARNING,
    summary="Webhooks of providers wait in the inbox",
    description="An event in the inbox of {namespace} that is due has waited for {value}.",
    value_format=ValueFormat.DURATION,
    why=WEBHOOK_INBOX_LAG_S.why,
    dashboard=INTEGRATIONS_DASHBOARD,
)
PARKED: Final = Alert(
    name="WebhookEventsParked",
    expression=above(
        SERVICE.increase(WEBHOOK_EVENTS, PARKED_WINDOW, (*STACK, "provider"), outcome="parked"),
        1 - NEARLY,
    ),
    for_duration=COUNTED,
    severity=Severity.WARNING,
    summary="A webhook could not be processed for three days and was parked",
    description=f"{{value}} events of {{provider}} were parked in {{namespace}} within "
    f"{PARKED_WINDOW}.",
    value_format=ValueFormat.NUMBER,
    why="an event is parked once, after three days of tries: each one needs an operator",
    by=(*STACK, "provider"),
    dashboard=INTEGRATIONS_DASHBOARD,
)
REFUSED: Final = Alert(
    name="WebhooksRefused",
    expression=above(
        ratio(
            SERVICE.rate(
                WEBHOOK_REQUESTS,
                REFUSED_WINDOW,
                (*STACK, "provider"),
                outcome=OneOf(("refused", "malformed")),
            ),
            SERVICE.rate(WEBHOOK_REQUESTS, REFUSED_WINDOW, (*STACK, "provider")),
        ),
        WEBHOOK_REFUSED_RATIO.value,
    ),
    for_duration=ForDuration(
        REFUSED_WINDOW, "as long as the window: a lone forgery has left it by then"
    ),
    severity=Severity.WARNING,
    summary="Webhooks are refused",
    description="{value} of the deliveries of {provider} to {namespace} were refused: a wrong "
    "signature, a wrong time, or a body that can't be read.",
    value_format=ValueFormat.PERCENTAGE,
    why=WEBHOOK_REFUSED_RATIO.why,
    by=(*STACK, "provider"),
    dashboard=INTEGRATIONS_DASHBOARD,
)
MISMATCHED: Final = Alert(
    name="WebhookClaimsFalse",
    expression=above(
        SERVICE.increase(WEBHOOK_EVENTS, PARKED_WINDOW, (*STACK, "provider"), outcome="mismatch"),
        1 - NEARLY,
    ),
    for_duration=COUNTED,
    severity=Severity.WARNING,
    summary="A signed webhook contradicts the provider's record of a charge",
    description=f"{{value}} events of {{provider}} in {{namespace}} within {PARKED_WINDOW} "
    "contradict the provider's record of the charge.",
    value_format=ValueFormat.NUMBER,
    why="a provider does not contradict itself: somebody else has its signing secret",
    by=(*STACK, "provider"),
    dashboard=INTEGRATIONS_DASHBOARD,
)

AREA: Final = Area(
    "delivery",
    (
        OUTBOX_LAGGING,
        NOT_GRANTED,
        MANY_NOT_GRANTED,
        GIVEN_UP,
        INBOX_LAGGING,
        PARKED,
        REFUSED,
        MISMATCHED,
    ),
)
