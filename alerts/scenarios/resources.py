"""Scenarios of what runs short."""

from typing import Final

from alerts import resources as rules
from alerts.external_catalog import (
    CONTAINER_CPU,
    CONTAINER_LIMITS,
    CONTAINER_MEMORY,
    CONTAINER_RESTARTS,
    UP,
)
from alerts.scenarios import (
    INSTANCE,
    SAMPLES,
    Firing,
    Scenario,
    Series,
    borders,
    counted,
    level,
    once,
)
from service import metric_catalog as m

_POD: Final = {"pod": "coinslot-api-6d9f", "container": "api"}
_SIDECAR: Final = {"pod": "coinslot-api-6d9f", "container": "proxy"}
_OTHER: Final = {"pod": "another-api-6d9f", "container": "api"}
_PROCESS: Final = {"pod": "coinslot-api-6d9f", "instance": INSTANCE}
_KSM: Final = "kube-state-metrics"
_CADVISOR: Final = "kubelet"
MIB: Final = 2**20


def limit(resource: str, value: float, unit: str, where: dict[str, str]) -> Series:
    """Return a container's limit as kube-state-metrics exports it."""
    return level(CONTAINER_LIMITS, value, job=_KSM, resource=resource, unit=unit, where=where)


def cpu(
    seconds_a_step: float, cores: float = 0.5, where: dict[str, str] = _POD
) -> tuple[Series, ...]:
    """Return a container's CPU time; 30 s a step are one core."""
    used = counted(CONTAINER_CPU, seconds_a_step, job=_CADVISOR, image="coinslot", where=where)
    return used, limit("cpu", cores, "core", where)


def memory(mib: float, of_mib: float = 200, where: dict[str, str] = _POD) -> tuple[Series, ...]:
    """Return a container's memory."""
    used = level(CONTAINER_MEMORY, mib * MIB, job=_CADVISOR, image="coinslot", where=where)
    return used, limit("memory", of_mib * MIB, "byte", where)


def pool(in_use: float) -> tuple[Series, ...]:
    """Return a pool of 8 connections."""
    return (
        level(m.DB_POOL_CONNECTIONS, in_use, state="in_use", where=_PROCESS),
        level(m.DB_POOL_CONNECTIONS, 8 - in_use, state="free", where=_PROCESS),
        level(m.DB_POOL_LIMIT, 8, where=_PROCESS),
    )


def queue(waiting: float) -> tuple[Series, ...]:
    """Return two queues of 2000, one of which is empty."""
    return (
        level(m.DB_BATCH_QUEUE, waiting, statement="begin_payments", where=_PROCESS),
        level(m.DB_BATCH_QUEUE, 0, statement="create_orders", where=_PROCESS),
        level(m.DB_BATCH_QUEUE_LIMIT, 2_000, where=_PROCESS),
    )


def look_ups(hits: float, errors: float) -> tuple[Series, ...]:
    """Return look-ups in the cache a step."""
    return (
        counted(m.CACHE_REQUESTS, hits, cache="game", outcome="hit"),
        counted(m.CACHE_REQUESTS, errors, cache="rate_limit", outcome="error"),
    )


def restarts(count: int) -> Series:
    """Return a container that was restarted."""
    return once(CONTAINER_RESTARTS, count, job=_KSM, where=_POD)


_UP: Final = level(UP, 1, where=_PROCESS, steps=2 * SAMPLES)
_WATCHED: Final = (
    Series(CONTAINER_MEMORY, (("image", "coinslot"), *_POD.items()), f"1x{2 * SAMPLES}"),
    Series(
        CONTAINER_LIMITS,
        (("resource", "cpu"), ("unit", "core"), *_POD.items()),
        f"1x{2 * SAMPLES}",
    ),
)

SCENARIOS: Final[tuple[Scenario, ...]] = (
    *borders(rules.CPU, over=cpu(12.15), under=cpu(12), value="81%", starts_s=300, labels=_POD),
    Scenario(rules.CPU, "another container of the pod", cpu(15, where=_SIDECAR), "20m"),
    Scenario(rules.CPU, "another service's pod", cpu(15, where=_OTHER), "20m"),
    Scenario(rules.CPU, "no limit, no ratio", cpu(15)[:1], "20m"),
    *borders(rules.MEMORY, over=memory(172), under=memory(170), value="86%", labels=_POD),
    Scenario(rules.MEMORY, "another service's pod", memory(199, where=_OTHER), "20m"),
    Scenario(rules.RESTARTING, "three times", (restarts(3),), "20m", (Firing("3", labels=_POD),)),
    Scenario(rules.RESTARTING, "twice", (restarts(2),), "20m"),
    *borders(
        rules.METRICS_MISSING,
        over=(_UP, _WATCHED[0]),
        under=(_UP, *_WATCHED),
        value="1",
    ),
    *borders(rules.POOL, over=pool(7.3), under=pool(7.2), value="91.25%", labels=_PROCESS),
    *borders(rules.QUEUE, over=queue(1_001), under=queue(1_000), value="50.05%", labels=_PROCESS),
    *borders(
        rules.LOOP,
        over=(level(m.EVENT_LOOP_LAG, 0.101, where=_PROCESS),),
        under=(level(m.EVENT_LOOP_LAG, 0.1, where=_PROCESS),),
        value="101ms",
        labels=_PROCESS,
    ),
    Scenario(
        rules.LOOP,
        "one long step is no lag",
        (Series(m.EVENT_LOOP_LAG, tuple(_PROCESS.items()), f"0x9 0.9 0x{SAMPLES}"),),
        "10m",
    ),
    *borders(rules.CACHE, over=look_ups(49, 51), under=look_ups(50, 50), value="51%", starts_s=30),
    Scenario(rules.CACHE, "nobody looks anything up", look_ups(0, 0), "20m"),
)
