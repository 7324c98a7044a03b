"""The running service exports the catalog: these names, these kinds, these labels, no others."""

import re

import aiohttp

from service.metric_catalog import CATALOG, LABEL_VALUES, RUNTIME_METRICS
from tests.support.services import ADMIN, Services

FAMILY = re.compile(r"^# TYPE (\S+) (\S+)$", re.MULTILINE)
HELP = re.compile(r"^# HELP (\S+) (.*)$", re.MULTILINE)
SAMPLE = re.compile(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')


async def test_the_running_service_exports_the_catalog(start_service: Services) -> None:
    exported = await after_a_payment(start_service)
    check_families(exported)
    check_labels(exported)
    check_buckets(exported["api"])
    check_samples(exported)


async def after_a_payment(start_service: Services) -> dict[str, str]:
    """Pay once, so that series exist, and return each role's /metrics."""
    api, worker = await start_service("api"), await start_service("worker")
    async with api.client("ada", ADMIN) as ada:
        order = await ada.order(["game-1"])
        (await ada.pay(order["id"])).expect(201)
        await ada.until_status(f"/v1/orders/{order['id']}", "fulfilled")
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        texts = {}
        for role, service in (("api", api), ("worker", worker)):
            async with session.get(f"{service.url}/metrics") as answer:
                texts[role] = await answer.text()
    return texts


def check_families(
    exported: dict[str, str],
) -> None:
    declared = {metric.name: metric.kind for metric in CATALOG} | RUNTIME_METRICS
    for role, text in exported.items():
        assert dict(FAMILY.findall(text)) == declared, role
        helped = dict(HELP.findall(text))
        assert {m.name: helped[m.name] for m in CATALOG} == {m.name: m.help for m in CATALOG}


def check_labels(exported: dict[str, str]) -> None:
    labels = {name: set(metric.labels) for metric in CATALOG for name in metric.series()}
    seen = set()
    for text in exported.values():
        for name, inside, _ in SAMPLE.findall(text):
            if name not in labels:
                assert name in RUNTIME_METRICS, name
                continue
            found = dict(LABEL.findall(inside))
            found.pop("le", None)
            assert set(found) == labels[name], name
            for label, value in found.items():
                assert value in LABEL_VALUES.get(label, (value,)), f"{name} {label}={value}"
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
    runtime = set(RUNTIME_METRICS) | {"event_loop_lag_seconds"}
    pools = {"db_pool_connections_gauge", "payment_provider_breaker_state_gauge"}
    for role, names in seen.items():
        # What only one of the roles does, it alone need count; the rest is there from the start.
        own = {"cache_requests_total", "http_requests_total"} if role == "worker" else set()
        counters = {metric.name for metric in CATALOG if metric.kind == "counter"}
        assert runtime | pools | counters - own <= names, role
    assert {"cache_requests_total", "db_batch_queue_gauge", "db_batch_size_count"} <= seen["api"]
    backlog = {"outbox_pending_gauge", "outbox_lag_seconds", "money_invariant_violations_gauge"}
    assert backlog | {"payments_unresolved_gauge", "webhook_inbox_gauge"} <= seen["worker"]
