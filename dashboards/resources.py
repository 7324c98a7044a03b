"""Resources of the processes: CPU, memory, event loop, connections, batches and cache."""

from typing import Final

from alerts.availability import CLOCK_APART, STALLED
from alerts.external_catalog import CONTAINER_CPU, CONTAINER_LIMITS, CONTAINER_MEMORY
from alerts.links import RESOURCES_DASHBOARD
from alerts.promql import age, magnitude, ratio
from alerts.resources import CACHE, CPU, LOOP, MEMORY, METRICS_MISSING, POOL, QUEUE
from dashboards.panels import Dashboard, Query, Row, timeseries
from dashboards.queries import (
    CONTAINERS_SHOWN,
    SHOWN,
    USUAL,
    WINDOW,
    by_pod,
    grouped,
    legend,
    p95,
    reached,
    runtime,
)
from dashboards.rollout import DEPLOYMENTS
from service.metric_catalog import (
    ADMISSION_KINDS,
    CACHE_REQUESTS,
    CLOCK_OFFSET,
    DB_BATCH_QUEUE,
    DB_BATCH_QUEUE_LIMIT,
    DB_BATCH_SIZE,
    DB_POOL_CONNECTIONS,
    DB_POOL_LIMIT,
    EVENT_LOOP_LAG,
    EVENT_LOOP_TASKS,
    HTTP_IN_FLIGHT,
    HTTP_IN_FLIGHT_LIMIT,
    HTTP_SHED,
    WORKER_LAST_ROUND,
)
from service.slo import (
    BATCH_QUEUE_RATIO,
    CACHE_ERROR_RATIO,
    CLOCK_OFFSET_S,
    CPU_RATIO,
    DB_POOL_RATIO,
    EVENT_LOOP_LAG_S,
    MEMORY_RATIO,
    WORKER_ROUND_S,
)

CPU_SECONDS: Final = runtime("process_cpu_seconds_total")
MEMORY_BYTES: Final = runtime("process_resident_memory_bytes")
OPEN_FILES: Final = runtime("process_open_fds")
MOST_FILES: Final = runtime("process_max_fds")
COLLECTIONS: Final = runtime("python_gc_collections_total", "generation")
COLLECTED: Final = runtime("python_gc_objects_collected_total", "generation")
GENERATION: Final = f"generation {legend('generation')}"

CONTAINER: Final = ("namespace", "pod", "container")
PROCESS: Final = ("namespace", "pod", "instance")

CONTAINER_LINES: Final = (
    (
        timeseries(
            "CPU of the limit",
            "By container, measured by the kubelet. Near the limit the kernel throttles; the "
            "autoscaler adds pods from 70 % of the request on.",
            (
                Query(
                    ratio(
                        CONTAINERS_SHOWN.rate(CONTAINER_CPU, WINDOW, CONTAINER),
                        CONTAINERS_SHOWN.gauge(
                            CONTAINER_LIMITS, "max", CONTAINER, resource="cpu", unit="core"
                        ),
                    ),
                    "{{pod}}",
                ),
            ),
            "percent",
            thresholds=reached(CPU_RATIO.value),
            alerts=(CPU, METRICS_MISSING),
        ),
        timeseries(
            "Memory of the limit",
            "By container: the working set. At its limit the kernel kills the container.",
            (
                Query(
                    ratio(
                        CONTAINERS_SHOWN.gauge(CONTAINER_MEMORY, "max", CONTAINER),
                        CONTAINERS_SHOWN.gauge(
                            CONTAINER_LIMITS, "max", CONTAINER, resource="memory", unit="byte"
                        ),
                    ),
                    "{{pod}}",
                ),
            ),
            "percent",
            thresholds=reached(MEMORY_RATIO.value),
            alerts=(MEMORY, METRICS_MISSING),
        ),
    ),
)

PROCESS_LINES: Final = (
    (
        timeseries(
            "CPU by process",
            "In cores, measured by the process. An event loop uses at most one.",
            (Query(SHOWN.rate(CPU_SECONDS, WINDOW, ("job", "pod")), legend("job", "pod")),),
            "cores",
            alerts=(CPU,),
        ),
        timeseries(
            "Memory by process",
            "Resident memory. A line that only rises under even load is a leak.",
            (Query(SHOWN.gauge(MEMORY_BYTES, "max", ("job", "pod")), legend("job", "pod")),),
            "bytes",
            alerts=(MEMORY,),
        ),
        timeseries(
            "Open files of the limit",
            "Connections are files. If a line only rises, connections or files are not closed.",
            (
                Query(
                    ratio(
                        SHOWN.gauge(OPEN_FILES, "max", PROCESS),
                        SHOWN.gauge(MOST_FILES, "max", PROCESS),
                    ),
                    "{{pod}}",
                ),
            ),
            "percent",
        ),
    ),
    (
        timeseries(
            "Event-loop lag",
            "How late each process ran a timer; each answer takes longer by several times that.",
            (by_pod(EVENT_LOOP_LAG),),
            "seconds",
            thresholds=reached(EVENT_LOOP_LAG_S.value),
            alerts=(LOOP,),
        ),
        timeseries(
            "Garbage collections",
            "By generation. Many of generation 2 stop the loop for milliseconds each.",
            (Query(SHOWN.rate(COLLECTIONS, WINDOW, ("generation",)), GENERATION),),
            "per_second",
        ),
        timeseries(
            "Objects collected",
            "By generation: objects in reference cycles.",
            (Query(SHOWN.rate(COLLECTED, WINDOW, ("generation",)), GENERATION),),
            "per_second",
        ),
    ),
    (
        timeseries(
            "Since the last round of each worker",
            "Time since each worker completed a round without an error, in the slowest process. "
            "A reconciliation run may take an hour.",
            (Query(age(SHOWN.gauge(WORKER_LAST_ROUND, "min", ("worker",))), "{{worker}}"),),
            "seconds",
            thresholds=reached(WORKER_ROUND_S.value),
            alerts=(STALLED,),
        ),
        timeseries(
            "Between the machine's clock and the database's",
            "By process. The service uses the database's clock; logs have the machine's.",
            (Query(magnitude(SHOWN.gauge(CLOCK_OFFSET, "max", ("pod",))), legend("pod")),),
            "seconds",
            thresholds=reached(CLOCK_OFFSET_S.value),
            alerts=(CLOCK_APART,),
        ),
    ),
)

ADMISSION_LINES: Final = (
    (
        timeseries(
            "Requests in flight of the limit",
            "By process. At 100 % of `new`, whose limit falls when they are slow, new orders are "
            "refused with 503; at 100 % of `any` everything but probes.",
            tuple(
                Query(
                    ratio(
                        SHOWN.gauge(HTTP_IN_FLIGHT, "sum", PROCESS, kind=kind),
                        SHOWN.gauge(HTTP_IN_FLIGHT_LIMIT, "max", PROCESS, kind=kind),
                    ),
                    f"{{{{pod}}}} {kind}",
                )
                for kind in ADMISSION_KINDS
            ),
            "percent",
        ),
        timeseries(
            "Requests refused as too many",
            "By kind. A process that refuses keeps its answers fast; it needs company.",
            (grouped(HTTP_SHED, "kind"),),
            "per_second",
            stacked=True,
        ),
        timeseries(
            "Event-loop tasks",
            "By process: what it does at a time. A line that only rises under even load is a leak.",
            (by_pod(EVENT_LOOP_TASKS),),
            "count",
        ),
    ),
)

DATABASE_LINES: Final = (
    (
        timeseries(
            "Pool in use",
            "By process. At 100 % statements wait for a connection, and then fail.",
            (
                Query(
                    ratio(
                        SHOWN.gauge(DB_POOL_CONNECTIONS, "sum", PROCESS, state="in_use"),
                        SHOWN.gauge(DB_POOL_LIMIT, "max", PROCESS),
                    ),
                    "{{pod}}",
                ),
            ),
            "percent",
            thresholds=reached(DB_POOL_RATIO.value),
            alerts=(POOL,),
        ),
        timeseries(
            "Connections by state",
            "Of all processes. Their sum must stay below the server's max_connections.",
            (Query(SHOWN.gauge(DB_POOL_CONNECTIONS, "sum", ("state",)), "{{state}}"),),
            "count",
            stacked=True,
        ),
    ),
    (
        timeseries(
            "Fullest batch queue",
            "By process. At 100 % payments are refused with 503.",
            (
                Query(
                    ratio(
                        SHOWN.gauge(DB_BATCH_QUEUE, "max", PROCESS),
                        SHOWN.gauge(DB_BATCH_QUEUE_LIMIT, "max", PROCESS),
                    ),
                    "{{pod}}",
                ),
            ),
            "percent",
            thresholds=reached(BATCH_QUEUE_RATIO.value),
            alerts=(QUEUE,),
        ),
        timeseries(
            "Writes that wait",
            "For a batch, by statement.",
            (Query(SHOWN.gauge(DB_BATCH_QUEUE, "sum", ("statement",)), "{{statement}}"),),
            "count",
            stacked=True,
            alerts=(QUEUE,),
        ),
        timeseries(
            "Batch size P95",
            "Writes that shared one statement. At 1 under load there is no batching. Values a "
            "little below 1 mean 1: a quantile lies inside its bucket.",
            (p95(DB_BATCH_SIZE, "statement"),),
            "count",
        ),
    ),
)

CACHE_LINES: Final = (
    (
        timeseries(
            "Cache look-ups by outcome",
            "A hit saves a call or a query; an error costs its timeout.",
            (grouped(CACHE_REQUESTS, "cache", "outcome"),),
            "per_second",
            stacked=True,
        ),
        timeseries(
            "Cache hits",
            "Share of the look-ups that were answered. It falls after each restart of the cache.",
            (
                Query(
                    ratio(
                        SHOWN.rate(CACHE_REQUESTS, WINDOW, ("cache",), outcome="hit"),
                        SHOWN.rate(CACHE_REQUESTS, WINDOW, ("cache",)),
                    ),
                    "{{cache}}",
                ),
            ),
            "percent",
        ),
        timeseries(
            "Cache errors",
            "Share of all look-ups. Without the cache each pod counts rate limits alone.",
            (
                Query(
                    ratio(
                        SHOWN.rate(CACHE_REQUESTS, WINDOW, outcome="error"),
                        SHOWN.rate(CACHE_REQUESTS, WINDOW),
                    ),
                    "errors",
                ),
            ),
            "percent",
            thresholds=reached(CACHE_ERROR_RATIO.value),
            alerts=(CACHE,),
        ),
    ),
)

RESOURCES: Final = Dashboard(
    uid=RESOURCES_DASHBOARD,
    title="Coinslot / Resources",
    description="What runs short, and where?",
    variables=USUAL,
    rows=(
        Row("Containers", CONTAINER_LINES),
        Row("Processes", PROCESS_LINES),
        Row("Admission", ADMISSION_LINES),
        Row("Database", DATABASE_LINES),
        Row("Cache", CACHE_LINES),
    ),
    annotations=DEPLOYMENTS,
)
