"""The Library and the Game Catalog, inbound webhooks, and merchants' webhooks."""

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
        "Provider events that could not be processed for three days; operators decide on each.",
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
            "A provider's webhook requests. Many that are refused or malformed come from a wrong "
            "secret, a changed format, or an attack.",
            (grouped(WEBHOOK_REQUESTS, "provider", "outcome"),),
            "per_second",
            stacked=True,
            alerts=(REFUSED,),
        ),
        timeseries(
            "Events processed",
            "Processed (ok), put off (error), parked, about charges of others (foreign), or "
            "contradicting the provider's record (mismatch).",
            (grouped(WEBHOOK_EVENTS, "provider", "outcome"),),
            "per_second",
            stacked=True,
            alerts=(PARKED, MISMATCHED),
        ),
    ),
    (
        timeseries(
            "Inbox",
            "Events that are not processed: pending, or parked for operators.",
            (latest(WEBHOOK_INBOX, "state"),),
            "count",
            stacked=True,
            alerts=(PARKED,),
        ),
        timeseries(
            "Inbox lag over time",
            "If it rises steadily, the worker that reads the inbox is stuck.",
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
            "Refused means that the address is not public. Errors are the merchants'; an endpoint "
            "that fails for days is disabled.",
            (grouped(MERCHANT_WEBHOOKS, "outcome"),),
            "per_second",
            stacked=True,
        ),
        timeseries(
            "Duration of a try",
            "A slow merchant occupies the sender's slots for its endpoint.",
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
            "Gone: the merchant answered 410. Failing: every try failed for days; tell them.",
            (grouped(MERCHANT_WEBHOOK_DISABLED, "reason"),),
            "per_second",
            alerts=(DISABLED,),
        ),
    ),
)

INTEGRATIONS: Final = Dashboard(
    uid=INTEGRATIONS_DASHBOARD,
    title="Coinslot / Integrations and webhooks",
    description="Do the Library and the Game Catalog answer, and are webhooks on time?",
    variables=USUAL,
    rows=(
        Row("Now", (NOW,)),
        Row("Library and Game Catalog", CALLS),
        Row("Webhooks from providers", INCOMING),
        Row("Webhooks to merchants", OUTGOING),
    ),
    annotations=DEPLOYMENTS,
)
