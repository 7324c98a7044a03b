"""The running service exports the catalog: these names, these kinds, these labels, no others."""

import re
from collections.abc import Iterable
from functools import partial
from typing import Final

import aiohttp

from service import metric_catalog as m
from service.metric_catalog import CATALOG, RUNTIME_METRICS, Metric
from simulator.catalog import GAMES
from simulator.client import Control
from tests.support.merchant import TAKES_LOOPBACK, merchant, register
from tests.support.services import ADMIN, SIMULATOR_SECRETS, Service, Services
from tests.support.waiting import eventually

EITHER: Final = (
    *(m.ORDERS, m.PROVIDER_REQUESTS, m.PROVIDER_DURATION, m.BREAKER_STATE, m.INTEGRATION_REQUESTS),
    *(m.INTEGRATION_DURATION, m.HTTP_REQUESTS, m.HTTP_DURATION, m.DB_POOL_CONNECTIONS),
    *(m.DB_POOL_LIMIT, m.DB_BATCH_QUEUE_LIMIT, m.EVENT_LOOP_LAG, m.BUILD_INFO, m.CLOCK_OFFSET),
    m.EVENT_LOOP_TASKS,
)
MOVES: Final = {
    "api": (
        *EITHER,
        *(m.PAYMENTS, m.PAYMENT_DURATION, m.PAYMENT_AMOUNT, m.ORDER_DURATION, m.CACHE_REQUESTS),
        *(m.DB_BATCH_SIZE, m.WEBHOOK_REQUESTS, m.HTTP_IN_FLIGHT_LIMIT),
    ),
    "worker": (
        *EITHER,
        *(m.OUTBOX_DELIVERIES, m.RECONCILIATION_LAST_RUN, m.RECONCILIATION_RUNS),
        *(m.AUDIT_LAST_SEAL, m.WEBHOOK_EVENTS, m.MERCHANT_WEBHOOKS, m.MERCHANT_WEBHOOK_DURATION),
        *(m.MERCHANT_WEBHOOK_ENDPOINTS, m.WORKER_LAST_ROUND),
    ),
}
"""What is not 0 after one payment that a merchant and a webhook tell of, by role."""

RESTS: Final = {
    "api": (
        *(m.ACTIVE_PAYMENTS, m.PAYMENT_FAILURES_HIGH_VALUE, m.PROVIDER_IN_FLIGHT),
        *(m.PROVIDER_FAILOVERS, m.DB_BATCH_QUEUE, m.HTTP_IN_FLIGHT, m.HTTP_SHED),
    ),
    "worker": (
        *(m.OUTBOX_PENDING, m.OUTBOX_LAG, m.UNRESOLVED_PAYMENTS, m.UNRESOLVED_PAYMENTS_AGE),
        *(m.UNRESOLVED_REFUNDS, m.PAID_NOT_GRANTED, m.GRANTS_GIVEN_UP, m.INVARIANT_VIOLATIONS),
        *(m.RECONCILIATION_DIFFERENCES, m.AUDIT_SEAL_LAG, m.AUDIT_FAULTS, m.AUDIT_SEALS_CHECKED),
        *(m.WEBHOOK_INBOX, m.WEBHOOK_INBOX_LAG, m.ORPHAN_CAPTURES, m.ORPHANS_UNREFUNDED),
        *(m.DISPUTES, m.DISPUTES_OPEN, m.DISPUTED_AMOUNT, m.DISPUTE_EVIDENCE_DUE),
        *(m.FRAUD_WARNINGS,),
        *(m.REVERSALS, m.REVERSALS_OPEN, m.REFUNDS_ADOPTED),
        *(m.MERCHANT_WEBHOOK_BACKLOG, m.MERCHANT_WEBHOOK_LAG, m.MERCHANT_WEBHOOK_DISABLED),
    ),
}
"""What is there and 0 while all is well; the alerts of tests/live see them move."""

FAMILY = re.compile(r"^# TYPE (\S+) (\S+)$", re.MULTILINE)
HELP = re.compile(r"^# HELP (\S+) (.*)$", re.MULTILINE)
SAMPLE = re.compile(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')


async def test_the_running_service_exports_the_catalog(
    start_service: Services, simulator: Control
) -> None:
    exported = await after_a_payment(start_service, simulator)
    check_families(exported)
    check_labels(exported)
    check_buckets(exported["api"])
    check_samples(exported)


def test_each_metric_is_demanded_of_a_role() -> None:
    demanded = [*MOVES["api"], *MOVES["worker"], *RESTS["api"], *RESTS["worker"]]
    assert set(CATALOG) == set(demanded)
    for role in ("api", "worker"):
        assert not set(MOVES[role]) & set(RESTS[role]), role


async def after_a_payment(start_service: Services, simulator: Control) -> dict[str, str]:
    """Pay once, with webhooks in both directions; return each role's /metrics afterwards."""
    start_service.environ |= {**TAKES_LOOPBACK, "AUDIT_SEAL_INTERVAL_S": "0.2"}
    api, worker = await start_service("api"), await start_service("worker")
    secret = SIMULATOR_SECRETS["SIMULATOR_WEBHOOK_SECRETS"]
    await simulator.send_webhooks(f"{api.url}/v1/webhooks/simulator", secret)
    async with merchant() as harness, api.client("ada", ADMIN) as ada:
        await register(ada, harness.url)
        order = await ada.order([f"game-{GAMES}"])  # the others' games are in the cache they share
        (await ada.pay(order["id"])).expect(201)
        await ada.until_status(f"/v1/orders/{order['id']}", "fulfilled")
        services = {"api": api, "worker": worker}
        for role, service in services.items():
            # a worker measures some gauges each five seconds
            await eventually(partial(at_rest, service, role), lambda names: not names, timeout_s=60)
        return {role: await scraped(service) for role, service in services.items()}


async def at_rest(service: Service, role: str) -> set[str]:
    """Return what should have moved, and has not yet."""
    return missing(MOVES[role], await scraped(service), moved=True)


async def scraped(service: Service) -> str:
    async with (
        aiohttp.ClientSession(raise_for_status=True) as session,
        session.get(f"{service.ops_url}/metrics") as answer,
    ):
        return await answer.text()


def missing(metrics: Iterable[Metric], text: str, *, moved: bool) -> set[str]:
    """Return the metrics without any series, or, if they should have moved, with 0 in all."""
    there = {name for name, _, value in SAMPLE.findall(text) if float(value) or not moved}
    return {metric.name for metric in metrics if there.isdisjoint(metric.series())}


def check_families(
    exported: dict[str, str],
) -> None:
    declared = {metric.name: metric.kind for metric in CATALOG} | RUNTIME_METRICS
    for role, text in exported.items():
        assert dict(FAMILY.findall(text)) == declared, role
        helped = dict(HELP.findall(text))
        assert {m.name: helped[m.name] for m in CATALOG} == {m.name: m.help for m in CATALOG}


def check_labels(exported: dict[str, str]) -> None:
    metrics = {name: metric for metric in CATALOG for name in metric.series()}
    seen = set()
    for text in exported.values():
        for name, inside, _ in SAMPLE.findall(text):
            if name not in metrics:
                assert name in RUNTIME_METRICS, name
                continue
            found = dict(LABEL.findall(inside))
            found.pop("le", None)
            assert metrics[name].problem(found) == ""
            seen.add(name)
    assert {"payments_total", "payment_duration_seconds_bucket", "outbox_lag_seconds"} <= seen


def check_buckets(text: str) -> None:
    borders: dict[str, set[float]] = {}
    for name, inside, _ in SAMPLE.findall(text):
        if name.endswith("_bucket"):
            borders.setdefault(name, set()).add(float(dict(LABEL.findall(inside))["le"]))
    for metric in CATALOG:
        found = borders.get(f"{metric.name}_bucket")
        if found is not None:
            assert found == {*metric.buckets, float("inf")}, metric.name
    assert "payment_duration_seconds_bucket" in borders


def check_samples(exported: dict[str, str]) -> None:
    """Find names without series, of which rate() and panels see nothing."""
    seen = {
        role: {name for name, _, value in SAMPLE.findall(text) if float(value) >= 0}
        for role, text in exported.items()
    }
    for role, text in exported.items():
        assert missing(MOVES[role], text, moved=True) == set(), role
        assert missing(RESTS[role], text, moved=False) == set(), role
        assert set(RUNTIME_METRICS) <= seen[role], role
        # rate() can't see the first step of a counter that appears with it
        own = {"cache_requests_total", "http_requests_total"} if role == "worker" else set()
        assert {metric.name for metric in CATALOG if metric.kind == "counter"} - own <= seen[role]
