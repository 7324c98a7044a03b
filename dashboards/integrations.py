"""The Library and the Game Catalog, webhooks that come in, and webhooks that go out."""

from typing import Final

from alerts.delivery import INBOX_LAGGING, MISMATCHED, PARKED, REFUSED
from alerts.dependencies import CATALOG_DOWN, CATALOG_FAILING, LIBRARY_FAILING
from alerts.links import INTEGRATIONS_DASHBOARD
from alerts.merchants import DISABLED, EXHAUSTED, LAGGING
from dashboards.common import INTEGRATION_CALLS_BY_OUTCOME
from dashboards.panels import Dashboard, Row, stat, timeseries
from dashboards.queries import (
    SHOWN,
    USUAL,
    grouped,
    health,
    latest,
    oldest,
    p95,
    quantiles,
    reached,
)
from dashboards.rollout import DEPLOYMENTS
from service.metric_catalog import (
    INTEGRATION_DURATION,
    INTEGRATION_REQUESTS,
    MERCHANT_WEBHOOK_BACKLOG,
    MERCHANT_WEBHOOK_DISABLED,
    MERCHANT_WEBHOOK_DURATION,
    MERCHANT_WEBHOOK_ENDPOINTS,
    MERCHANT_WEBHOOK_LAG,
    MERCHANT_WEBHOOKS,
    WEBHOOK_EVENTS,
    WEBHOOK_INBOX,
    WEBHOOK_INBOX_LAG,
    WEBHOOK_REQUESTS,
)
from service.slo import MERCHANT_LAG_S, WEBHOOK_INBOX_LAG_S

NOW: Final = (
    stat(
        "Inbox lag",
        "How long the oldest provider event that is due has waited for a worker.",
        SHOWN.gauge(WEBHOOK_INBOX_LAG, "max"),
        "seconds",
        reached(WEBHOOK_INBOX_LAG_S.value),
        (INBOX_LAGGING,),
    ),
    stat(
        "Merchant webhook lag",
        "How late the most overdue delivery to a merchant is; a planned wait is not late.",
        SHOWN.gauge(MERCHANT_WEBHOOK_LAG, "max"),
        "seconds",
        reached(MERCHANT_LAG_S.value),
        (LAGGING,),
    ),
    stat(
        "Events parked",
        "Provider events that could not be processed for three days: people decide on each.",
        latest(WEBHOOK_INBOX, state="parked").expression,
        "count",
        reached(1),
        (PARKED,),
    ),
)

CALLS: Final = (
    (
        timeseries(
            "Integration health",
            "Calls that were answered. While the Library fails, paid orders wait in the outbox; "
            "without the Game Catalog there are no new orders.",
            (health(INTEGRATION_REQUESTS, "integration"),),
            "percent",
            alerts=(LIBRARY_FAILING, CATALOG_FAILING, CATALOG_DOWN),
        ),
        INTEGRATION_CALLS_BY_OUTCOME,
        timeseries(
            "Integration latency P95",
            "By operation. Grants are made outside of the buyer's request; prices inside of it.",
            (p95(INTEGRATION_DURATION, "integration", "operation"),),
            "seconds",
        ),
    ),
)

INCOMING: Final = (
    (
        timeseries(
            "Deliveries by outcome",
            "What became of a provider's requests. Refused or malformed above a trickle: a wrong "
            "secret, a changed format, or an attack.",
            (grouped(WEBHOOK_REQUESTS, "provider", "outcome"),),
            "per_second",
            stacked=True,
            alerts=(REFUSED,),
        ),
        timeseries(
            "Events looked at",
            "Processed, put off (error), parked, of others' charges (foreign), or against the "
            "provider's record (mismatch). Events are hints: the provider is asked.",
            (grouped(WEBHOOK_EVENTS, "provider", "outcome"),),
            "per_second",
            stacked=True,
            alerts=(PARKED, MISMATCHED),
        ),
    ),
    (
        timeseries(
            "Inbox",
            "Events that are not processed: pending, or parked for people.",
            (latest(WEBHOOK_INBOX, "state"),),
            "count",
            stacked=True,
            alerts=(PARKED,),
        ),
        timeseries(
            "Inbox lag over time",
            "Rises in a straight line: the worker that reads the inbox stands still.",
            (oldest(WEBHOOK_INBOX_LAG),),
            "seconds",
            thresholds=reached(WEBHOOK_INBOX_LAG_S.value),
            alerts=(INBOX_LAGGING,),
        ),
    ),
)

OUTGOING: Final = (
    (
        timeseries(
            "Tries by outcome",
            "Refused means that the address is not public. Errors are the merchants'; one that "
            "goes on for days disables the endpoint.",
            (grouped(MERCHANT_WEBHOOKS, "outcome"),),
            "per_second",
            stacked=True,
        ),
        timeseries(
            "Duration of a try",
            "Slow merchants hold places of the sender, and others wait.",
            quantiles(MERCHANT_WEBHOOK_DURATION),
            "seconds",
        ),
        timeseries(
            "Lag over time",
            "How late the most overdue delivery is.",
            (oldest(MERCHANT_WEBHOOK_LAG),),
            "seconds",
            thresholds=reached(MERCHANT_LAG_S.value),
            alerts=(LAGGING,),
        ),
    ),
    (
        timeseries(
            "Deliveries that are open",
            "Pending at enabled endpoints, or exhausted: tried for three days and given up.",
            (latest(MERCHANT_WEBHOOK_BACKLOG, "state"),),
            "count",
            stacked=True,
            alerts=(EXHAUSTED,),
        ),
        timeseries(
            "Endpoints",
            "Enabled and well, failing (enabled, the last try failed), disabled.",
            (latest(MERCHANT_WEBHOOK_ENDPOINTS, "state"),),
            "count",
            stacked=True,
            alerts=(DISABLED,),
        ),
        timeseries(
            "Endpoints disabled by the service",
            "Gone: the merchant answered 410. Failing: nothing got through for days; tell them.",
            (grouped(MERCHANT_WEBHOOK_DISABLED, "reason"),),
            "per_second",
            alerts=(DISABLED,),
        ),
    ),
)

INTEGRATIONS: Final = Dashboard(
    uid=INTEGRATIONS_DASHBOARD,
    title="Coinslot / Integrations and webhooks",
    description="Do our partners answer, and does word get in and out in time?",
    variables=USUAL,
    rows=(
        Row("Now", (NOW,)),
        Row("Library and Game Catalog", CALLS),
        Row("Webhooks from providers", INCOMING),
        Row("Webhooks to merchants", OUTGOING),
    ),
    annotations=DEPLOYMENTS,
)
