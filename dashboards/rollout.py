"""Versions of running processes, and the effects of a new one."""

from typing import Final

from alerts.availability import API_GONE, NO_TARGETS, TARGET_DOWN, WORKER_GONE
from alerts.external_catalog import CONTAINER_RESTARTS, UP
from alerts.links import ROLLOUT_DASHBOARD
from alerts.promql import Pattern, age, share, without
from alerts.resources import RESTARTING
from dashboards.panels import (
    Annotation,
    Dashboard,
    Query,
    Row,
    Threshold,
    rising,
    stat,
    table,
    timeseries,
)
from dashboards.queries import (
    CONTAINERS_SHOWN,
    SHOWN,
    SUCCESS_RATIO,
    SUCCESS_THRESHOLDS,
    USUAL,
    WINDOW,
    legend,
    runtime,
)
from service.metric_catalog import BUILD_INFO, HTTP_REQUESTS

MARKED: Final = "10m"
"""How long after its first scrape a version counts as new: wide enough to see on a day's view."""
STARTED: Final = runtime("process_start_time_seconds")
ALL_UP: Final = (Threshold(None, "red"), Threshold(1, "green"))

_NEW: Final = without(
    SHOWN.gauge(BUILD_INFO, "count", ("version",)),
    SHOWN.before(BUILD_INFO, "count", ("version",), MARKED),
)
DEPLOYMENTS: Final = (Annotation("Deployments", _NEW, "{{version}} starts"),)

NOW: Final = (
    stat(
        "Versions",
        "How many versions run. Two are normal during a rollout; for longer, it is stuck.",
        f"count({SHOWN.gauge(BUILD_INFO, 'count', ('version',))})",
        "count",
        rising(2, 3),
    ),
    stat(
        "Processes",
        "API and worker processes that Prometheus scrapes.",
        SHOWN.gauge(BUILD_INFO, "count"),
        "count",
    ),
    stat(
        "Targets up",
        "The fraction of targets that answered the last scrape.",
        SHOWN.gauge(UP, "avg"),
        "percent",
        ALL_UP,
        (TARGET_DOWN, NO_TARGETS),
    ),
    stat(
        "Youngest process",
        "How long ago a process last started. Repeatedly near 0: processes restart.",
        age(SHOWN.gauge(STARTED, "max")),
        "seconds",
    ),
    stat(
        "Success ratio",
        "Payments that did not end in an error. If it falls with a version: `make rollback`, "
        "see docs/operate/deployment.md.",
        SUCCESS_RATIO,
        "percent",
        SUCCESS_THRESHOLDS,
    ),
)

VERSIONS: Final = (
    (
        timeseries(
            "Processes by version",
            "In a rollout the area of one version replaces that of another.",
            (
                Query(
                    SHOWN.gauge(BUILD_INFO, "count", ("version", "role")),
                    legend("role", "version"),
                ),
            ),
            "count",
            stacked=True,
        ),
        table(
            "Pods",
            "Each process with its role and version, now.",
            SHOWN.gauge(BUILD_INFO, "count", ("namespace", "role", "version", "pod", "instance")),
            "count",
        ),
    ),
)

HEALTH: Final = (
    (
        timeseries(
            "Targets that answer",
            "By job. Without API targets nobody can pay; without workers nothing is granted.",
            (Query(SHOWN.gauge(UP, "sum", ("job",)), "{{job}}"),),
            "count",
            alerts=(TARGET_DOWN, API_GONE, WORKER_GONE, NO_TARGETS),
        ),
        timeseries(
            "Restarts by pod",
            "Containers that restarted. After a new version, look at its logs first.",
            (
                Query(
                    CONTAINERS_SHOWN.increase(CONTAINER_RESTARTS, WINDOW, ("pod",)),
                    "{{pod}}",
                ),
            ),
            "count",
            alerts=(RESTARTING,),
        ),
    ),
    (
        timeseries(
            "Age of processes",
            "Drops to 0 where a process starts.",
            (Query(age(SHOWN.gauge(STARTED, "max", ("pod", "instance"))), legend("pod")),),
            "seconds",
        ),
        timeseries(
            "Answers with 5xx by pod",
            "If new pods have more than old ones, the new version causes them.",
            (
                Query(
                    share(
                        SHOWN.rate(HTTP_REQUESTS, WINDOW, ("pod",), status=Pattern("5..")),
                        SHOWN.rate(HTTP_REQUESTS, WINDOW, ("pod",)),
                    ),
                    "{{pod}}",
                ),
            ),
            "percent",
        ),
    ),
)

ROLLOUT: Final = Dashboard(
    uid=ROLLOUT_DASHBOARD,
    title="Coinslot / Rollout",
    description="Which version runs where, and is the new one as good as the old one?",
    variables=USUAL,
    rows=(Row("Now", (NOW,)), Row("By version", VERSIONS), Row("Health", HEALTH)),
    annotations=DEPLOYMENTS,
)
