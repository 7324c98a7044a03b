"""Instruments from the catalog, with labels that stay bounded."""

import asyncio
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service import metric_catalog as m
from service import metrics as module
from service.metrics import LabelError, Metrics, sample_event_loop_lag

PAID = {"status": "succeeded", "provider": "simulator"}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(version="1.2.3", role="api")


def value(metrics: Metrics, sample: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(sample, labels)


def test_a_counter_counts(metrics: Metrics) -> None:
    metrics.inc(m.PAYMENTS, **PAID)
    metrics.inc(m.PAYMENTS, 2, provider="simulator", status="succeeded")
    assert value(metrics, "payments_total", **PAID) == 3


def test_the_order_of_labels_does_not_mix_series(metrics: Metrics) -> None:
    metrics.observe(m.HTTP_DURATION, 1, method="a", route="b")
    metrics.observe(m.HTTP_DURATION, 1, route="a", method="b")
    name = "http_request_duration_seconds_count"
    assert value(metrics, name, method="a", route="b") == 1
    assert value(metrics, name, method="b", route="a") == 1


def test_a_gauge_is_set_and_moved(metrics: Metrics) -> None:
    metrics.set(m.OUTBOX_LAG, 4.5)
    metrics.inc(m.OUTBOX_LAG, -1.5)
    assert value(metrics, "outbox_lag_seconds") == 3


def test_a_histogram_has_the_catalogs_buckets(metrics: Metrics) -> None:
    metrics.observe(m.PAYMENT_DURATION, 2.0, **PAID)
    name = "payment_duration_seconds"
    assert value(metrics, f"{name}_bucket", le="2.0", **PAID) == 1
    assert value(metrics, f"{name}_bucket", le="1.0", **PAID) == 0
    assert value(metrics, f"{name}_sum", **PAID) == 2.0


def test_a_block_is_timed_also_when_it_fails(metrics: Metrics) -> None:
    labels = {"provider": "simulator", "operation": "charge"}
    with pytest.raises(RuntimeError), metrics.time(m.PROVIDER_DURATION, **labels):
        raise RuntimeError
    assert value(metrics, "payment_provider_duration_seconds_count", **labels) == 1


def test_a_block_is_counted_while_it_runs(metrics: Metrics) -> None:
    with metrics.in_progress(m.ACTIVE_PAYMENTS), metrics.in_progress(m.ACTIVE_PAYMENTS):
        assert value(metrics, "active_payments_gauge") == 2
    assert value(metrics, "active_payments_gauge") == 0


def test_a_gauge_can_be_read_at_scrape(metrics: Metrics) -> None:
    waiting = [1, 2, 3]
    metrics.read_at_scrape(m.DB_BATCH_QUEUE, lambda: len(waiting), statement="begin")
    assert value(metrics, "db_batch_queue_gauge", statement="begin") == 3
    waiting.clear()
    assert value(metrics, "db_batch_queue_gauge", statement="begin") == 0


def test_a_declared_series_starts_at_zero(metrics: Metrics) -> None:
    assert value(metrics, "payments_total", **PAID) is None
    metrics.init_series(m.PAYMENTS, **PAID)
    assert value(metrics, "payments_total", **PAID) == 0


def test_a_gauge_is_set_for_each_of_its_values(metrics: Metrics) -> None:
    metrics.set_each(m.WEBHOOK_INBOX, {"parked": 2})
    assert value(metrics, "webhook_inbox_gauge", state="parked") == 2
    assert value(metrics, "webhook_inbox_gauge", state="pending") == 0


@pytest.mark.parametrize(
    ("metric", "labels"),
    [
        (m.PAYMENTS, {"status": "bogus", "provider": "simulator"}),
        (m.PAYMENTS, {"status": "succeeded", "provider": "user-4711"}),
        (m.PAYMENTS, {"status": "succeeded"}),
        (m.PAYMENTS, {**PAID, "user": "u1"}),
        (m.PAYMENTS, {"status": "succeeded", "user": "u1"}),
        (m.PAYMENTS, {}),
        (m.OUTBOX_LAG, {"topic": "library.grant"}),
        (m.ORDERS, {"status": "authorized"}),
        (m.UNRESOLVED_PAYMENTS, {"status": "succeeded"}),
        (m.PAYMENT_AMOUNT, {"currency": "XXX"}),
        (m.HTTP_REQUESTS, {"method": "GET", "route": "/", "status": 200}),
        (m.OUTBOX_PENDING, {"topic": "user-4711"}),
        (m.INTEGRATION_DURATION, {"integration": "game_catalog", "operation": "grant"}),
    ],
    ids=str,
)
def test_unknown_labels_are_refused(
    metrics: Metrics, metric: m.Metric, labels: dict[str, Any]
) -> None:
    metrics.init_series(m.PAYMENTS, **PAID)
    before = metrics.exposition()
    with pytest.raises(LabelError, match=metric.name):
        metrics.init_series(metric, **labels)
    # Only the samples of the catalog: the process's own CPU and memory move meanwhile.
    assert families(before, metric) == families(metrics.exposition(), metric)


def families(text: bytes, metric: m.Metric) -> list[Any]:
    found = text_string_to_metric_families(text.decode())
    return [family for family in found if family.name == metric.name.removesuffix("_total")]


def test_a_label_without_a_list_has_a_bound_all_the_same(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_SERIES_PER_METRIC", 3)
    for number in range(3):
        metrics.inc(m.INVARIANT_VIOLATIONS, invariant=str(number))
    metrics.inc(m.INVARIANT_VIOLATIONS, invariant="0")
    with pytest.raises(LabelError, match="3 label combinations"):
        metrics.inc(m.INVARIANT_VIOLATIONS, invariant="4")


@pytest.mark.parametrize("metric", m.CATALOG, ids=lambda metric: metric.name)
def test_every_metric_is_exposed_under_its_own_name(metric: m.Metric) -> None:
    metrics = Metrics(version="1.2.3", role="api")
    if metric is not m.BUILD_INFO:
        metrics.init_series(
            metric, **{label: known_value(metric, label) for label in metric.labels}
        )
    (family,) = families(metrics.exposition(), metric)
    assert (family.type, family.documentation) == (metric.kind, metric.help)
    assert {sample.name for sample in family.samples} == set(metric.series())
    assert {name for sample in family.samples for name in sample.labels} - {"le"} == {
        *metric.labels
    }


def known_value(metric: m.Metric, label: str) -> str:
    return next(iter(metric.values(label)), "any")


def test_the_runtime_is_exposed_and_nothing_unforeseen(metrics: Metrics) -> None:
    text = metrics.exposition().decode()
    exposed = {family.name: family.type for family in text_string_to_metric_families(text)}
    catalog = {metric.name.removesuffix("_total") for metric in m.CATALOG}
    runtime = {name.removesuffix("_total"): kind for name, kind in m.RUNTIME_METRICS.items()}
    assert {name: kind for name, kind in exposed.items() if name not in catalog} == runtime
    assert "_created" not in text


def test_the_build_is_named(metrics: Metrics) -> None:
    assert value(metrics, "coinslot_build_info", version="1.2.3", role="api") == 1


def test_two_processes_worth_of_metrics_do_not_mix(metrics: Metrics) -> None:
    other = Metrics(version="1", role="worker")
    metrics.inc(m.PAYMENTS, **PAID)
    assert value(other, "payments_total", **PAID) is None


async def test_the_lag_is_how_late_a_timer_runs(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(module, "LAG_INTERVAL_S", 0.02)
    measured: asyncio.Future[float] = loop.create_future()

    def note(metric: m.Metric, late_s: float, /, **_labels: str) -> None:
        assert metric is m.EVENT_LOOP_LAG
        if late_s > 0.05 and not measured.done():
            measured.set_result(late_s)

    monkeypatch.setattr(metrics, "set", note)
    sampler = asyncio.create_task(sample_event_loop_lag(metrics))
    await asyncio.sleep(0)  # the sampler has set its timer
    block_until = loop.time() + 0.1
    while loop.time() < block_until:
        pass  # a handler that forgets to await
    assert 0.05 < await asyncio.wait_for(measured, timeout=5) < 5
    sampler.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sampler
