"""Alerts about what runs short: CPU, memory, connections, queues, the event loop, the cache."""

from typing import Final

from alerts.external_catalog import (
    CONTAINER_CPU,
    CONTAINER_LIMITS,
    CONTAINER_MEMORY,
    CONTAINER_RESTARTS,
    UP,
)
from alerts.links import RESOURCES_DASHBOARD, ROLLOUT_DASHBOARD
from alerts.model import (
    CONTAINERS,
    COUNTED,
    INSTANCE,
    SERVICE,
    STACK,
    Alert,
    Area,
    ForDuration,
    Severity,
    ValueFormat,
)
from alerts.payments import NEARLY
from alerts.promql import OverTime, above, ratio, without
from service.metric_catalog import (
    CACHE_REQUESTS,
    DB_BATCH_QUEUE,
    DB_BATCH_QUEUE_LIMIT,
    DB_POOL_CONNECTIONS,
    DB_POOL_LIMIT,
    EVENT_LOOP_LAG,
)
from service.slo import (
    BATCH_QUEUE_RATIO,
    CACHE_ERROR_RATIO,
    CPU_RATIO,
    DB_POOL_RATIO,
    EVENT_LOOP_LAG_S,
    MEMORY_RATIO,
    RESTARTS,
)

WINDOW: Final = "5m"
RESTART_WINDOW: Final = "1h"
CONTAINER: Final = (*STACK, "pod", "container")

CPU: Final = Alert(
    name="CpuHigh",
    expression=above(
        ratio(
            CONTAINERS.rate(CONTAINER_CPU, WINDOW, CONTAINER),
            CONTAINERS.gauge(CONTAINER_LIMITS, "max", CONTAINER, resource="cpu", unit="core"),
        ),
        CPU_RATIO.value,
    ),
    for_duration=ForDuration(
        "10m", "the autoscaler has had time to add pods and they have had time to start"
    ),
    severity=Severity.WARNING,
    summary=f"A container uses more than {CPU_RATIO.value:.0%} of its CPU limit",
    description="{container} of {pod} in {namespace} uses {value} of its CPU limit.",
    value_format=ValueFormat.PERCENTAGE,
    why=CPU_RATIO.why,
    by=CONTAINER,
    dashboard=RESOURCES_DASHBOARD,
)
MEMORY: Final = Alert(
    name="MemoryHigh",
    expression=above(
        ratio(
            CONTAINERS.gauge(CONTAINER_MEMORY, "max", CONTAINER),
            CONTAINERS.gauge(CONTAINER_LIMITS, "max", CONTAINER, resource="memory", unit="byte"),
        ),
        MEMORY_RATIO.value,
    ),
    for_duration=ForDuration("5m", "memory of a burst is freed by then; memory of a leak is not"),
    severity=Severity.WARNING,
    summary=f"A container uses more than {MEMORY_RATIO.value:.0%} of its memory limit",
    description="{container} of {pod} in {namespace} uses {value} of its memory limit.",
    value_format=ValueFormat.PERCENTAGE,
    why=MEMORY_RATIO.why,
    by=CONTAINER,
    dashboard=RESOURCES_DASHBOARD,
)
RESTARTING: Final = Alert(
    name="PodRestarting",
    expression=above(
        CONTAINERS.increase(CONTAINER_RESTARTS, RESTART_WINDOW, CONTAINER),
        RESTARTS.value - NEARLY,
    ),
    for_duration=COUNTED,
    severity=Severity.WARNING,
    summary="A container restarts repeatedly",
    description=f"{{container}} of {{pod}} in {{namespace}} was restarted {{value}} times within "
    f"{RESTART_WINDOW}.",
    value_format=ValueFormat.NUMBER,
    why=f"{RESTARTS.value:g} {RESTARTS.why}",
    by=CONTAINER,
    dashboard=ROLLOUT_DASHBOARD,
)
METRICS_MISSING: Final = Alert(
    name="ContainerMetricsMissing",
    expression=without(
        above(SERVICE.gauge(UP, "count", STACK), 0),
        CONTAINERS.gauge(CONTAINER_LIMITS, "count", STACK),
        CONTAINERS.gauge(CONTAINER_MEMORY, "count", STACK),
    ),
    for_duration=ForDuration("30m", "an update of the monitoring stack takes less"),
    severity=Severity.WARNING,
    summary="CPU, memory and restarts of the pods are not monitored",
    description="Prometheus scrapes {value} targets of {namespace}, and has no metrics of their "
    "containers.",
    value_format=ValueFormat.NUMBER,
    why="the alerts about CPU, memory and restarts can't fire without them",
    dashboard=RESOURCES_DASHBOARD,
)
POOL: Final = Alert(
    name="DatabasePoolSaturated",
    expression=above(
        ratio(
            SERVICE.gauge(
                DB_POOL_CONNECTIONS, "sum", INSTANCE, OverTime("avg", WINDOW), state="in_use"
            ),
            SERVICE.gauge(DB_POOL_LIMIT, "max", INSTANCE),
        ),
        DB_POOL_RATIO.value,
    ),
    for_duration=ForDuration(
        WINDOW, "as long as the mean's window: a batch of slow statements has ended"
    ),
    severity=Severity.WARNING,
    summary="A process has no database connections to spare",
    description="{value} of the connections of {pod} ({instance}) in {namespace} are in use.",
    value_format=ValueFormat.PERCENTAGE,
    why=DB_POOL_RATIO.why,
    by=INSTANCE,
    dashboard=RESOURCES_DASHBOARD,
)
QUEUE: Final = Alert(
    name="BatchQueueFilling",
    expression=above(
        ratio(
            SERVICE.gauge(DB_BATCH_QUEUE, "max", INSTANCE),
            SERVICE.gauge(DB_BATCH_QUEUE_LIMIT, "max", INSTANCE),
        ),
        BATCH_QUEUE_RATIO.value,
    ),
    for_duration=ForDuration(
        "2m", "a failover of the database has ended by then, and the queue exists for it"
    ),
    severity=Severity.CRITICAL,
    summary="Writes queue up; payments will soon be refused",
    description="A write queue of {pod} ({instance}) in {namespace} is {value} full.",
    value_format=ValueFormat.PERCENTAGE,
    why=BATCH_QUEUE_RATIO.why,
    by=INSTANCE,
    dashboard=RESOURCES_DASHBOARD,
)
LOOP: Final = Alert(
    name="EventLoopLagging",
    expression=above(
        SERVICE.gauge(EVENT_LOOP_LAG, "max", INSTANCE, OverTime("avg", WINDOW)),
        EVENT_LOOP_LAG_S.value,
    ),
    for_duration=ForDuration(WINDOW, "as long as the mean's window: many long steps, not one"),
    severity=Severity.WARNING,
    summary="A process's event loop is late",
    description="The event loop of {pod} ({instance}) in {namespace} is {value} late on average.",
    value_format=ValueFormat.DURATION,
    why=EVENT_LOOP_LAG_S.why,
    by=INSTANCE,
    dashboard=RESOURCES_DASHBOARD,
)
CACHE: Final = Alert(
    name="CacheLost",
    expression=above(
        ratio(
            SERVICE.rate(CACHE_REQUESTS, WINDOW, STACK, outcome="error"),
            SERVICE.rate(CACHE_REQUESTS, WINDOW, STACK),
        ),
        CACHE_ERROR_RATIO.value,
    ),
    for_duration=ForDuration(WINDOW, "as long as the window: a failover of the cache is shorter"),
    severity=Severity.WARNING,
    summary="The cache does not answer: requests are slower, and each pod counts rate limits alone",
    description="{value} of the look-ups of {namespace} in the cache failed.",
    value_format=ValueFormat.PERCENTAGE,
    why=CACHE_ERROR_RATIO.why,
    dashboard=RESOURCES_DASHBOARD,
)

AREA: Final = Area(
    "resources", (CPU, MEMORY, RESTARTING, METRICS_MISSING, POOL, QUEUE, LOOP, CACHE)
)
