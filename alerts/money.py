"""Alerts about the ledger, reconciliation, orphan captures, reversals and audit trails."""

from typing import Final

from alerts.links import MONEY_DASHBOARD
from alerts.model import (
    AT_ONCE,
    COUNTED,
    IN_REVIEW_FOR,
    SERVICE,
    STACK,
    WORKER_JOB,
    Alert,
    Area,
    ForDuration,
    Severity,
    ValueFormat,
)
from alerts.payments import NEARLY
from alerts.promql import OverTime, above, age, below
from service.metric_catalog import (
    AUDIT_FAULTS,
    AUDIT_LAST_SEAL,
    AUDIT_SEAL_LAG,
    INVARIANT_VIOLATIONS,
    ORPHAN_CAPTURES,
    ORPHANS_UNREFUNDED,
    RECONCILIATION_DIFFERENCES,
    RECONCILIATION_LAST_RUN,
    REVERSALS,
    REVERSALS_OPEN,
)
from service.slo import ORPHAN_CAPTURES as ORPHANS_LIMIT
from service.slo import RECONCILIATION_OVERDUE_S, SEAL_LAG_S

ORPHANS_WINDOW: Final = "1h"
REVERSALS_WINDOW: Final = "1h"
SEALS_WINDOW: Final = "1d"

INVARIANT_BROKEN: Final = Alert(
    name="LedgerInvariantBroken",
    expression=above(SERVICE.gauge(INVARIANT_VIOLATIONS, "max", (*STACK, "invariant")), 0),
    for_duration=ForDuration(
        AT_ONCE, "a view reads one snapshot, so it can't see half of a transaction"
    ),
    severity=Severity.CRITICAL,
    summary="The ledger breaks a rule that the database should enforce",
    description="{value} rows of {namespace} break the invariant {invariant}.",
    value_format=ValueFormat.NUMBER,
    why="0 is the only right number: one row means a defect, or a change by hand",
    by=(*STACK, "invariant"),
    dashboard=MONEY_DASHBOARD,
)
DIFFERENCE: Final = Alert(
    name="ReconciliationDifference",
    expression=above(SERVICE.gauge(RECONCILIATION_DIFFERENCES, "max", (*STACK, "kind")), 0),
    for_duration=ForDuration(
        AT_ONCE, "payments under way are not compared, and the next run is an hour away"
    ),
    severity=Severity.WARNING,
    summary="Our ledger differs from a provider or the Library",
    description="{value} differences of the kind {kind} are open in {namespace}.",
    value_format=ValueFormat.NUMBER,
    why="each is money or a game in the wrong place until an operator resolves it",
    by=(*STACK, "kind"),
    dashboard=MONEY_DASHBOARD,
)
OVERDUE: Final = Alert(
    name="ReconciliationOverdue",
    expression=above(
        age(SERVICE.gauge(RECONCILIATION_LAST_RUN, "max", STACK, job=WORKER_JOB)),
        RECONCILIATION_OVERDUE_S.value,
    ),
    for_duration=ForDuration(
        "30m", "a new stack has had its first run by then: before it the time is 0"
    ),
    severity=Severity.WARNING,
    summary="No reconciliation has completed for hours",
    description="The last complete reconciliation of {namespace} ended {value} ago; decades mean "
    "that there was none.",
    value_format=ValueFormat.DURATION,
    why=RECONCILIATION_OVERDUE_S.why,
    dashboard=MONEY_DASHBOARD,
)
ORPHANS: Final = Alert(
    name="OrphanCapturesRising",
    expression=above(
        SERVICE.increase(ORPHAN_CAPTURES, ORPHANS_WINDOW, (*STACK, "provider")),
        ORPHANS_LIMIT.value - NEARLY,
    ),
    for_duration=COUNTED,
    severity=Severity.WARNING,
    summary="A provider takes money for payments that are closed",
    description=f"{{provider}} captured {{value}} charges for closed payments of {{namespace}} "
    f"within {ORPHANS_WINDOW}.",
    value_format=ValueFormat.NUMBER,
    why=f"{ORPHANS_LIMIT.value:g} {ORPHANS_LIMIT.why}",
    by=(*STACK, "provider"),
    dashboard=MONEY_DASHBOARD,
)
ORPHANS_PENDING: Final = Alert(
    name="OrphanCaptureNotGivenBack",
    expression=above(SERVICE.gauge(ORPHANS_UNREFUNDED, "max", STACK, state="pending"), 0),
    for_duration=ForDuration(
        "2h", "the refund is tried at least every hour by then, and two tries have failed"
    ),
    severity=Severity.WARNING,
    summary="Money captured for closed payments is not refunded",
    description="{value} orphan captures of {namespace} wait for their refund.",
    value_format=ValueFormat.NUMBER,
    why="each one is a buyer's money that we have no right to",
    dashboard=MONEY_DASHBOARD,
)
ORPHANS_IN_REVIEW: Final = Alert(
    name="OrphanCaptureInReview",
    expression=above(SERVICE.gauge(ORPHANS_UNREFUNDED, "max", STACK, state="review"), 0),
    for_duration=IN_REVIEW_FOR,
    severity=Severity.WARNING,
    summary="Money captured for closed payments waits for an operator",
    description="{value} orphan captures of {namespace} could not be refunded automatically.",
    value_format=ValueFormat.NUMBER,
    why="the provider refused the refund or did not answer for ten hours: an operator must act",
    dashboard=MONEY_DASHBOARD,
)

REFUND_REVERSED: Final = Alert(
    name="RefundReversed",
    expression=above(SERVICE.gauge(REVERSALS_OPEN, "max", STACK), 0),
    for_duration=IN_REVIEW_FOR,
    severity=Severity.WARNING,
    summary="A refund was returned, and its buyer has neither money nor games",
    description="{value} refunds of {namespace} failed after they had succeeded.",
    value_format=ValueFormat.NUMBER,
    why="we hold the money again and the buyer still expects it: an operator must act",
    dashboard=MONEY_DASHBOARD,
)
CAPTURE_REVERSED: Final = Alert(
    name="CaptureReversed",
    expression=above(
        SERVICE.increase(REVERSALS, REVERSALS_WINDOW, (*STACK, "provider"), kind="capture"),
        1 - NEARLY,
    ),
    for_duration=COUNTED,
    severity=Severity.WARNING,
    summary="A provider reversed captures",
    description=f"{{provider}} reversed {{value}} captures of {{namespace}} "
    f"within {REVERSALS_WINDOW}.",
    value_format=ValueFormat.NUMBER,
    why="cards never do that: each is a payment method that is not final, or a provider's mistake",
    by=(*STACK, "provider"),
    dashboard=MONEY_DASHBOARD,
)

TRAIL_BROKEN: Final = Alert(
    name="AuditTrailBroken",
    expression=above(SERVICE.gauge(AUDIT_FAULTS, "max", STACK), 0),
    for_duration=ForDuration(
        AT_ONCE, "a sealed trail never changes, so there is nothing to wait for"
    ),
    severity=Severity.CRITICAL,
    summary="A sealed audit trail has been changed",
    description="{value} faults were found in the sealed audit trails of {namespace}.",
    value_format=ValueFormat.NUMBER,
    why="0 is the only right number: one fault is a change that the service did not make",
    dashboard=MONEY_DASHBOARD,
)
SEALS_GONE: Final = Alert(
    name="AuditSealsGone",
    # An API process exports 0, and so does a worker before its first check.
    expression=below(
        above(SERVICE.gauge(AUDIT_LAST_SEAL, "max", STACK), 0),
        SERVICE.gauge(AUDIT_LAST_SEAL, "max", STACK, OverTime("max", SEALS_WINDOW)),
    ),
    for_duration=ForDuration("5m", "workers that have just started have read the number by then"),
    severity=Severity.CRITICAL,
    summary="The newest seals of the audit trails are gone",
    description=f"The newest seal of {{namespace}} is number {{value}}, and was a higher one "
    f"within {SEALS_WINDOW}.",
    value_format=ValueFormat.NUMBER,
    why="the numbers only rise: a lower one is a restored backup, or an attempt to hide something",
    dashboard=MONEY_DASHBOARD,
)
SEAL_LAGGING: Final = Alert(
    name="AuditSealLagging",
    expression=above(SERVICE.gauge(AUDIT_SEAL_LAG, "max", STACK), SEAL_LAG_S.value),
    for_duration=ForDuration("5m", "five rounds of the sealing worker"),
    severity=Severity.WARNING,
    summary="The audit trails are not sealed",
    description="The oldest entry of {namespace} that no seal covers is {value} old.",
    value_format=ValueFormat.DURATION,
    why=SEAL_LAG_S.why,
    dashboard=MONEY_DASHBOARD,
)

AREA: Final = Area(
    "money",
    (
        INVARIANT_BROKEN,
        DIFFERENCE,
        OVERDUE,
        ORPHANS,
        ORPHANS_PENDING,
        ORPHANS_IN_REVIEW,
        REFUND_REVERSED,
        CAPTURE_REVERSED,
        TRAIL_BROKEN,
        SEALS_GONE,
        SEAL_LAGGING,
    ),
)
