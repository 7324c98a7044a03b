"""The money: invariants, what is owed to whom, the comparison with others, the sealed trails."""

from typing import Final

from alerts.delivery import GIVEN_UP, MANY_NOT_GRANTED, NOT_GRANTED, OUTBOX_LAGGING
from alerts.disputes import DUE_CRITICAL, DUE_SOON, OPENED, RATE_HIGH
from alerts.links import MONEY_DASHBOARD
from alerts.money import (
    CAPTURE_REVERSED,
    DIFFERENCE,
    INVARIANT_BROKEN,
    NOT_GIVEN_BACK,
    ORPHANS,
    ORPHANS_IN_REVIEW,
    OVERDUE,
    REFUND_CAME_BACK,
    SEAL_LAGGING,
    SEALS_GONE,
    TRAIL_BROKEN,
)
from alerts.payments import IN_REVIEW, REFUNDS_IN_REVIEW
from alerts.promql import above, age, total, until
from dashboards.panels import Dashboard, Query, Row, falling, rising, stat, table, timeseries
from dashboards.queries import NEVER, SHOWN, USUAL, grouped, latest, oldest, reached
from dashboards.rollout import DEPLOYMENTS
from service.metric_catalog import (
    AUDIT_FAULTS,
    AUDIT_LAST_SEAL,
    AUDIT_SEAL_LAG,
    AUDIT_SEALS_CHECKED,
    DISPUTE_EVIDENCE_DUE,
    DISPUTED_AMOUNT,
    DISPUTES,
    DISPUTES_OPEN,
    FRAUD_WARNINGS,
    GRANTS_GIVEN_UP,
    INVARIANT_VIOLATIONS,
    ORDERS,
    ORPHAN_CAPTURES,
    ORPHANS_UNREFUNDED,
    OUTBOX_DELIVERIES,
    OUTBOX_LAG,
    OUTBOX_PENDING,
    PAID_NOT_GRANTED,
    RECONCILIATION_DIFFERENCES,
    RECONCILIATION_LAST_RUN,
    RECONCILIATION_RUNS,
    REFUNDS_ADOPTED,
    REVERSALS,
    REVERSALS_OPEN,
    UNRESOLVED_PAYMENTS,
    UNRESOLVED_REFUNDS,
)
from service.slo import (
    DISPUTE_DUE_S,
    GRANT_FRESHNESS_S,
    OUTBOX_LAG_S,
    RECONCILIATION_OVERDUE_S,
    SEAL_LAG_S,
)
from service.slo import PAID_NOT_GRANTED as NOT_GRANTED_LIMIT

NOW: Final = (
    stat(
        "Broken money invariants",
        "Rows that break a money invariant, all of them together. Anything but 0 is an incident: "
        "call the owner of the ledger, and repair nothing by hand.",
        total(latest(INVARIANT_VIOLATIONS, "invariant").expression),
        "count",
        NEVER,
        (INVARIANT_BROKEN,),
    ),
    stat(
        "Open differences",
        "Between our books, the providers' and the Library's. Each is money or a game in the "
        "wrong place until somebody has looked.",
        total(latest(RECONCILIATION_DIFFERENCES, "kind").expression),
        "count",
        NEVER,
        (DIFFERENCE,),
    ),
    stat(
        "Since the last reconciliation",
        "Decades: there never was one, or no worker runs that would tell.",
        age(SHOWN.gauge(RECONCILIATION_LAST_RUN, "max")),
        "seconds",
        reached(RECONCILIATION_OVERDUE_S.value),
        (OVERDUE,),
    ),
    stat(
        "Orphans not given back",
        "Charges that took money and pay nothing: a buyer's money that we have no right to.",
        total(latest(ORPHANS_UNREFUNDED, "state").expression),
        "count",
        NEVER,
        (NOT_GIVEN_BACK, ORPHANS_IN_REVIEW),
    ),
    stat(
        "Paid, not granted",
        f"Orders paid more than {GRANT_FRESHNESS_S} s ago whose games the Library hasn't got.",
        latest(PAID_NOT_GRANTED).expression,
        "count",
        rising(NOT_GRANTED_LIMIT.warning + 1, NOT_GRANTED_LIMIT.critical),
        (NOT_GRANTED, MANY_NOT_GRANTED),
    ),
    stat(
        "Faults of the audit trails",
        "Found in sealed intervals. Anything but 0 is a change behind the service's back.",
        SHOWN.gauge(AUDIT_FAULTS, "max"),
        "count",
        NEVER,
        (TRAIL_BROKEN,),
    ),
)

LEDGER: Final = (
    (
        table(
            "Money invariants",
            "Rows that break each invariant, from the database's own views. All must be 0.",
            latest(INVARIANT_VIOLATIONS, "invariant").expression,
            "count",
            (INVARIANT_BROKEN,),
        ),
        timeseries(
            "Money invariants over time",
            "When one broke. Compare with the deployments.",
            (latest(INVARIANT_VIOLATIONS, "invariant"),),
            "count",
            thresholds=NEVER,
            alerts=(INVARIANT_BROKEN,),
        ),
    ),
)

REVIEW: Final = (
    (
        timeseries(
            "Unresolved payments",
            "Processing passes by itself; unknown is being asked at the provider; review waits "
            "for a person.",
            (latest(UNRESOLVED_PAYMENTS, "status"),),
            "count",
            stacked=True,
            alerts=(IN_REVIEW,),
        ),
        timeseries(
            "Unresolved refunds",
            "Pending is tried again by itself; review waits for a person.",
            (latest(UNRESOLVED_REFUNDS, "status"),),
            "count",
            stacked=True,
            alerts=(REFUNDS_IN_REVIEW,),
        ),
        timeseries(
            "Orders by status",
            "Orders a second that reached each status. Paid without as many fulfilled: see grants.",
            (grouped(ORDERS, "status"),),
            "per_second",
        ),
    ),
)

DISPUTED: Final = (
    (
        timeseries(
            "Open disputes",
            "Warning is an inquiry, in which no money moves; needs_response waits for evidence of "
            "ours; under_review waits for the bank.",
            (latest(DISPUTES_OPEN, "status"),),
            "count",
            stacked=True,
            alerts=(OPENED,),
        ),
        timeseries(
            "Disputed amount",
            "What the open ones are about, in minor units of each currency.",
            (latest(DISPUTED_AMOUNT, "currency"),),
            "count",
        ),
        timeseries(
            "Time to the next deadline",
            "Of those that wait for our answer; nothing is shown while none does. Below 0 it has "
            "passed.",
            (
                Query(
                    until(above(SHOWN.gauge(DISPUTE_EVIDENCE_DUE, "max"), 0)),
                    "first deadline",
                ),
            ),
            "seconds",
            thresholds=falling(DISPUTE_DUE_S.warning, DISPUTE_DUE_S.critical),
            alerts=(DUE_SOON, DUE_CRITICAL),
        ),
    ),
    (
        timeseries(
            "Disputes by status",
            "Disputes a second that reached each status.",
            (grouped(DISPUTES, "status"),),
            "per_second",
            alerts=(RATE_HIGH,),
        ),
        timeseries(
            "Warnings of fraud",
            "From the card networks, by provider. Each that is refunded in time is no dispute.",
            (grouped(FRAUD_WARNINGS, "provider"),),
            "per_second",
        ),
    ),
)

RECONCILIATION: Final = (
    (
        timeseries(
            "Differences by kind",
            "Open differences between our books, the providers' and the Library's.",
            (latest(RECONCILIATION_DIFFERENCES, "kind"),),
            "count",
            stacked=True,
            alerts=(DIFFERENCE,),
        ),
        timeseries(
            "Time since the last reconciliation",
            "A saw: each complete run takes it back to 0.",
            (Query(age(SHOWN.gauge(RECONCILIATION_LAST_RUN, "max")), "last complete run"),),
            "seconds",
            thresholds=reached(RECONCILIATION_OVERDUE_S.value),
            alerts=(OVERDUE,),
        ),
        timeseries(
            "Reconciliation runs",
            "By outcome. A failed one is repeated; failures in a row are in the log.",
            (grouped(RECONCILIATION_RUNS, "outcome"),),
            "per_second",
        ),
    ),
    (
        timeseries(
            "Orphans found",
            "Charges that took money and pay nothing, when they were found.",
            (grouped(ORPHAN_CAPTURES, "provider"),),
            "per_second",
            alerts=(ORPHANS,),
        ),
        timeseries(
            "Orphans open",
            "Pending: the refund is being tried. Review: a person must act.",
            (latest(ORPHANS_UNREFUNDED, "state"),),
            "count",
            stacked=True,
            thresholds=NEVER,
            alerts=(NOT_GIVEN_BACK, ORPHANS_IN_REVIEW),
        ),
    ),
    (
        timeseries(
            "Taken back by providers",
            "Refunds and captures that failed after they had succeeded, when they were booked.",
            (grouped(REVERSALS, "kind"),),
            "per_second",
            alerts=(CAPTURE_REVERSED,),
        ),
        timeseries(
            "Refunds that came back",
            "They wait for a person: their buyers have neither money nor games.",
            (latest(REVERSALS_OPEN),),
            "count",
            thresholds=NEVER,
            alerts=(REFUND_CAME_BACK,),
        ),
        timeseries(
            "Refunds made in a dashboard",
            "Somebody refunded at the provider, past the API; they are ours now.",
            (grouped(REFUNDS_ADOPTED, "provider"),),
            "per_second",
        ),
    ),
)

GRANTS: Final = (
    (
        timeseries(
            "Outbox lag",
            "Age of the oldest message that the Library hasn't got. Red: grants come too late.",
            (oldest(OUTBOX_LAG),),
            "seconds",
            thresholds=reached(OUTBOX_LAG_S.value),
            alerts=(OUTBOX_LAGGING,),
        ),
        timeseries(
            "Outbox by topic",
            "Messages that wait for delivery.",
            (latest(OUTBOX_PENDING, "topic"),),
            "count",
            stacked=True,
            alerts=(OUTBOX_LAGGING,),
        ),
        timeseries(
            "Outbox deliveries",
            "Tries by outcome. Errors are repeated with a growing pause.",
            (grouped(OUTBOX_DELIVERIES, "topic", "outcome"),),
            "per_second",
        ),
    ),
    (
        timeseries(
            "Paid, not granted, over time",
            "Orders that have neither their games nor their money back in time.",
            (Query(latest(PAID_NOT_GRANTED).expression, "orders"),),
            "count",
            thresholds=rising(NOT_GRANTED_LIMIT.warning + 1, NOT_GRANTED_LIMIT.critical),
            alerts=(NOT_GRANTED, MANY_NOT_GRANTED),
        ),
        timeseries(
            "Grants given up",
            "The Library refused, or never took them: the buyers get their money back.",
            (grouped(GRANTS_GIVEN_UP, "reason"),),
            "per_second",
            alerts=(GIVEN_UP,),
        ),
    ),
)

TRAILS: Final = (
    (
        timeseries(
            "Seal lag",
            "Age of the oldest entry that no seal covers: what could still be changed unseen.",
            (oldest(AUDIT_SEAL_LAG),),
            "seconds",
            thresholds=reached(SEAL_LAG_S.value),
            alerts=(SEAL_LAGGING,),
        ),
        timeseries(
            "Newest seal",
            "Its number. It only rises: a fall means that seals are gone, unless to 0 while no "
            "worker runs.",
            (Query(SHOWN.gauge(AUDIT_LAST_SEAL, "max"), "number"),),
            "count",
            alerts=(SEALS_GONE,),
        ),
        timeseries(
            "Seals checked",
            "The trail is checked in endless rounds; 0 means that nobody would notice a change.",
            (Query(SHOWN.rate(AUDIT_SEALS_CHECKED, "$__rate_interval"), "seals"),),
            "per_second",
            alerts=(TRAIL_BROKEN,),
        ),
    ),
)

MONEY: Final = Dashboard(
    uid=MONEY_DASHBOARD,
    title="Coinslot / Money and reconciliation",
    description="Are the books right, do others agree, and does everybody get what they paid for?",
    variables=USUAL,
    rows=(
        Row("Now", (NOW,)),
        Row("Ledger", LEDGER),
        Row("Review", REVIEW),
        Row("Disputes", DISPUTED),
        Row("Reconciliation and orphans", RECONCILIATION),
        Row("Grants and outbox", GRANTS),
        Row("Audit trails", TRAILS),
    ),
    annotations=DEPLOYMENTS,
)
