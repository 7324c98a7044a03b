"""Money: invariants, review, disputes, reconciliation, grants and audit trails."""

from typing import Final

from alerts.delivery import GIVEN_UP, MANY_NOT_GRANTED, NOT_GRANTED, OUTBOX_LAGGING
from alerts.disputes import DUE_CRITICAL, DUE_SOON, OPENED, RATE_HIGH
from alerts.links import MONEY_DASHBOARD
from alerts.money import (
    CAPTURE_REVERSED,
    DIFFERENCE,
    INVARIANT_BROKEN,
    ORPHANS,
    ORPHANS_IN_REVIEW,
    ORPHANS_PENDING,
    OVERDUE,
    REFUND_REVERSED,
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
        "Rows that break a money invariant, all invariants together. Anything but 0 is an "
        "incident: call the owner of the ledger, and change nothing by hand.",
        total(latest(INVARIANT_VIOLATIONS, "invariant").expression),
        "count",
        NEVER,
        (INVARIANT_BROKEN,),
    ),
    stat(
        "Open differences",
        "Between our ledger, the providers and the Library. Each is money or a game in the wrong "
        "place until an operator resolves it.",
        total(latest(RECONCILIATION_DIFFERENCES, "kind").expression),
        "count",
        NEVER,
        (DIFFERENCE,),
    ),
    stat(
        "Since the last reconciliation",
        "Decades mean that there never was one, or that no worker runs.",
        age(SHOWN.gauge(RECONCILIATION_LAST_RUN, "max")),
        "seconds",
        reached(RECONCILIATION_OVERDUE_S.value),
        (OVERDUE,),
    ),
    stat(
        "Orphans not refunded",
        "Captured charges that pay no open payment: buyers' money that must be refunded.",
        total(latest(ORPHANS_UNREFUNDED, "state").expression),
        "count",
        NEVER,
        (ORPHANS_PENDING, ORPHANS_IN_REVIEW),
    ),
    stat(
        "Paid, not granted",
        f"Orders paid more than {GRANT_FRESHNESS_S} s ago whose games are not granted.",
        latest(PAID_NOT_GRANTED).expression,
        "count",
        rising(NOT_GRANTED_LIMIT.warning + 1, NOT_GRANTED_LIMIT.critical),
        (NOT_GRANTED, MANY_NOT_GRANTED),
    ),
    stat(
        "Faults of the audit trails",
        "Found in sealed intervals. Anything but 0 is a change that the service did not make.",
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
            "When one broke. Compare with the deployments that are marked.",
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
            "Processing ends by itself; unknown is being looked up at the provider; review waits "
            "for an operator.",
            (latest(UNRESOLVED_PAYMENTS, "status"),),
            "count",
            stacked=True,
            alerts=(IN_REVIEW,),
        ),
        timeseries(
            "Unresolved refunds",
            "Pending is repeated automatically; review waits for an operator.",
            (latest(UNRESOLVED_REFUNDS, "status"),),
            "count",
            stacked=True,
            alerts=(REFUNDS_IN_REVIEW,),
        ),
        timeseries(
            "Orders by status",
            "Orders a second that reached each status. Fewer fulfilled than paid: see grants.",
            (grouped(ORDERS, "status"),),
            "per_second",
        ),
    ),
)

DISPUTED: Final = (
    (
        timeseries(
            "Open disputes",
            "Warning is an inquiry: no money moves. Needs_response waits for our evidence, "
            "under_review waits for the bank.",
            (latest(DISPUTES_OPEN, "status"),),
            "count",
            stacked=True,
            alerts=(OPENED,),
        ),
        timeseries(
            "Disputed amount",
            "Total of the open disputes, in minor units of each currency.",
            (latest(DISPUTED_AMOUNT, "currency"),),
            "count",
        ),
        timeseries(
            "Time to the next deadline",
            "Of the disputes that wait for our answer; empty while there are none. Below 0 the "
            "deadline has passed.",
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
            "From the card networks, by provider. A refund in time prevents the dispute.",
            (grouped(FRAUD_WARNINGS, "provider"),),
            "per_second",
        ),
    ),
)

RECONCILIATION: Final = (
    (
        timeseries(
            "Differences by kind",
            "Open differences between our ledger, the providers and the Library.",
            (latest(RECONCILIATION_DIFFERENCES, "kind"),),
            "count",
            stacked=True,
            alerts=(DIFFERENCE,),
        ),
        timeseries(
            "Time since the last reconciliation",
            "A sawtooth: each complete run resets it to 0.",
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
            "Captured charges that pay no open payment, when they were found.",
            (grouped(ORPHAN_CAPTURES, "provider"),),
            "per_second",
            alerts=(ORPHANS,),
        ),
        timeseries(
            "Orphans open",
            "Pending: the refund is being tried. Review: an operator must act.",
            (latest(ORPHANS_UNREFUNDED, "state"),),
            "count",
            stacked=True,
            thresholds=NEVER,
            alerts=(ORPHANS_PENDING, ORPHANS_IN_REVIEW),
        ),
    ),
    (
        timeseries(
            "Reversed by providers",
            "Refunds and captures that failed after they had succeeded, when they were booked.",
            (grouped(REVERSALS, "kind"),),
            "per_second",
            alerts=(CAPTURE_REVERSED,),
        ),
        timeseries(
            "Refunds returned",
            "They wait for an operator: their buyers have neither money nor games.",
            (latest(REVERSALS_OPEN),),
            "count",
            thresholds=NEVER,
            alerts=(REFUND_REVERSED,),
        ),
        timeseries(
            "Refunds made in a dashboard",
            "Refunds that were made at the provider, not by the API, and that are now ours.",
            (grouped(REFUNDS_ADOPTED, "provider"),),
            "per_second",
        ),
    ),
)

GRANTS: Final = (
    (
        timeseries(
            "Outbox lag",
            "Age of the oldest message that was not delivered. Red: grants are late.",
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
            "Orders that are neither granted nor refunded in time.",
            (Query(latest(PAID_NOT_GRANTED).expression, "orders"),),
            "count",
            thresholds=rising(NOT_GRANTED_LIMIT.warning + 1, NOT_GRANTED_LIMIT.critical),
            alerts=(NOT_GRANTED, MANY_NOT_GRANTED),
        ),
        timeseries(
            "Grants given up",
            "The Library refused them or did not answer for a day: the buyers are refunded.",
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
            "Age of the oldest entry that no seal covers: a change of it would not be detected.",
            (oldest(AUDIT_SEAL_LAG),),
            "seconds",
            thresholds=reached(SEAL_LAG_S.value),
            alerts=(SEAL_LAGGING,),
        ),
        timeseries(
            "Newest seal",
            "Its number. It only rises. A fall means that seals are gone, except a fall to 0 while "
            "no worker runs.",
            (Query(SHOWN.gauge(AUDIT_LAST_SEAL, "max"), "number"),),
            "count",
            alerts=(SEALS_GONE,),
        ),
        timeseries(
            "Seals checked",
            "The trail is checked continuously; at 0 a change would not be detected.",
            (Query(SHOWN.rate(AUDIT_SEALS_CHECKED, "$__rate_interval"), "seals"),),
            "per_second",
            alerts=(TRAIL_BROKEN,),
        ),
    ),
)

MONEY: Final = Dashboard(
    uid=MONEY_DASHBOARD,
    title="Coinslot / Money and reconciliation",
    description="Is the ledger right, do others agree, and do buyers get what they paid for?",
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
