"""Alerts about disputes: one that waits for an answer, its deadline, and too many of them."""

from typing import Final

from alerts.links import MONEY_DASHBOARD
from alerts.model import SERVICE, STACK, WORKER_JOB, Alert, Area, ForDuration, Severity, ValueFormat
from alerts.payments import NEARLY
from alerts.promql import OneOf, above, below, both, ratio, total, until
from service.metric_catalog import DISPUTE_EVIDENCE_DUE, DISPUTES, DISPUTES_OPEN, PAYMENTS
from service.slo import DISPUTE_DUE_S, DISPUTE_RATIO, DISPUTES_LEAST

WINDOW: Final = "1d"

_LEFT: Final = until(above(SERVICE.gauge(DISPUTE_EVIDENCE_DUE, "max", STACK, job=WORKER_JOB), 0))
_NEW: Final = SERVICE.increase(DISPUTES, WINDOW, STACK, status="needs_response")
_PAID: Final = SERVICE.increase(PAYMENTS, WINDOW, STACK, status="succeeded")
_DUE: Final = "The first answer to a bank that {namespace} owes is due in {value}."
_EXPORTED: Final = ForDuration(
    "1m", "two evaluations: a worker that has just started exports its number by then"
)

OPENED: Final = Alert(
    name="DisputeOpened",
    expression=above(
        total(
            SERVICE.gauge(
                DISPUTES_OPEN,
                "max",
                (*STACK, "status"),
                status=OneOf(("needs_response", "warning")),
            ),
            STACK,
        ),
        0,
    ),
    for_duration=_EXPORTED,
    severity=Severity.WARNING,
    summary="A buyer's bank waits for an answer",
    description="{value} disputes and inquiries of {namespace} wait for evidence.",
    value_format=ValueFormat.NUMBER,
    why="a dispute that nobody answers is lost, however good the case",
    dashboard=MONEY_DASHBOARD,
)
DUE_SOON: Final = Alert(
    name="DisputeEvidenceDueSoon",
    expression=below(_LEFT, DISPUTE_DUE_S.warning),
    for_duration=_EXPORTED,
    severity=Severity.WARNING,
    summary="The deadline of a dispute is near",
    description=_DUE,
    value_format=ValueFormat.DURATION,
    why=DISPUTE_DUE_S.why,
    dashboard=MONEY_DASHBOARD,
)
DUE_CRITICAL: Final = Alert(
    name="DisputeEvidenceDueCritical",
    expression=below(_LEFT, DISPUTE_DUE_S.critical),
    for_duration=_EXPORTED,
    severity=Severity.CRITICAL,
    summary="A dispute is lost tomorrow unless somebody answers",
    description=_DUE,
    value_format=ValueFormat.DURATION,
    why=DISPUTE_DUE_S.why,
    dashboard=MONEY_DASHBOARD,
)
RATE_HIGH: Final = Alert(
    name="DisputeRateHigh",
    expression=both(
        above(ratio(_NEW, _PAID), DISPUTE_RATIO.value),
        above(_NEW, DISPUTES_LEAST.value - NEARLY),
    ),
    for_duration=ForDuration("5m", "ten evaluations; a count over a day changes slowly"),
    severity=Severity.WARNING,
    summary="Many payments are disputed",
    description=f"Within {WINDOW}, {{value}} as many payments of {{namespace}} were disputed as "
    "succeeded.",
    value_format=ValueFormat.PERCENTAGE,
    why=f"{DISPUTE_RATIO.why}; fewer than {DISPUTES_LEAST.value:g} are {DISPUTES_LEAST.why}",
    dashboard=MONEY_DASHBOARD,
)

AREA: Final = Area("disputes", (OPENED, DUE_SOON, DUE_CRITICAL, RATE_HIGH))
