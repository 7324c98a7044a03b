"""An example of Alertmanager's configuration: receivers and inhibitions.

Typed, so that no alert's name or label is typed twice. The receivers are placeholders.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from alerts import availability, delivery, dependencies, disputes, merchants, payments, traffic
from alerts.model import API_JOB, SERVICE_LABEL, WORKER_JOB, Alert, Severity

PAGER: Final = "pager"
TICKETS: Final = "tickets"

GROUP_WAIT: Final = "30s"
"""One evaluation: alerts of one cause arrive in one message."""
GROUP_INTERVAL: Final = "5m"
REPEAT_PAGE: Final = "1h"
"""A page that nobody has acted on was missed."""
REPEAT_TICKET: Final = "12h"
"""Once a working day, and once more for the next shift."""


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While `cause` fires, `effects` with the same `equal` labels are muted.

    With `job`, only those about processes of that job.
    """

    cause: Alert
    effects: Sequence[Alert]
    why: str
    equal: tuple[str, ...] = ("namespace",)
    job: str | None = None

    def document(self) -> dict[str, Any]:
        """Return it as an entry of `inhibit_rules`."""
        names = [alert.name for alert in self.effects]
        one = f'alertname="{names[0]}"'
        several = f'alertname=~"{"|".join(names)}"'
        of_job = [f'job="{self.job}"'] if self.job else []
        return {
            "source_matchers": [f'service="{SERVICE_LABEL}"', f'alertname="{self.cause.name}"'],
            "target_matchers": [
                f'service="{SERVICE_LABEL}"',
                several if names[1:] else one,
                *of_job,
            ],
            "equal": list(self.equal),
        }


INHIBITIONS: Final = (
    Inhibition(
        payments.ERROR_RATE_CRITICAL,
        (payments.ERROR_RATE_HIGH,),
        "the same at a higher limit",
    ),
    Inhibition(payments.LATENCY_CRITICAL, (payments.LATENCY_HIGH,), "the same at a higher limit"),
    Inhibition(traffic.STOPPED, (traffic.VOLUME_DROP,), "none is fewer than few"),
    Inhibition(
        delivery.MANY_NOT_GRANTED,
        (delivery.NOT_GRANTED, delivery.OUTBOX_LAGGING),
        "the same at a higher limit, and its cause",
    ),
    Inhibition(disputes.DUE_CRITICAL, (disputes.DUE_SOON,), "the same, and nearer"),
    Inhibition(
        dependencies.CATALOG_DOWN, (dependencies.CATALOG_FAILING,), "the same at a higher limit"
    ),
    Inhibition(
        dependencies.PROVIDER_DOWN,
        (dependencies.BREAKER_OPEN,),
        "the breaker does what it should while its provider is down",
        ("namespace", "provider"),
    ),
    Inhibition(
        availability.API_GONE,
        (traffic.VOLUME_DROP, traffic.STOPPED),
        "without an API nobody pays",
    ),
    *(
        Inhibition(
            gone,
            (availability.TARGET_DOWN,),
            "each of its pods is a target that is down",
            job=job,
        )
        for gone, job in ((availability.API_GONE, API_JOB), (availability.WORKER_GONE, WORKER_JOB))
    ),
    Inhibition(
        availability.WORKER_GONE,
        (
            delivery.OUTBOX_LAGGING,
            delivery.NOT_GRANTED,
            delivery.MANY_NOT_GRANTED,
            delivery.INBOX_LAGGING,
            merchants.LAGGING,
            payments.STUCK,
        ),
        "without workers all their work is late",
    ),
)
"""Alerts about money are never muted."""


def alertmanager() -> dict[str, Any]:
    """Return the example as Alertmanager reads it."""
    ours = f'service="{SERVICE_LABEL}"'
    return {
        "route": {
            "receiver": TICKETS,
            "group_by": ["namespace", "area"],
            "group_wait": GROUP_WAIT,
            "group_interval": GROUP_INTERVAL,
            "repeat_interval": REPEAT_TICKET,
            "routes": [
                {
                    "receiver": PAGER,
                    "matchers": [ours, f'severity="{Severity.CRITICAL}"'],
                    "repeat_interval": REPEAT_PAGE,
                },
                {"receiver": TICKETS, "matchers": [ours, f'severity="{Severity.WARNING}"']},
            ],
        },
        "inhibit_rules": [inhibition.document() for inhibition in INHIBITIONS],
        "receivers": [
            {"name": name, "webhook_configs": [{"url": f"https://{name}.example.com/alertmanager"}]}
            for name in (PAGER, TICKETS)
        ],
    }
