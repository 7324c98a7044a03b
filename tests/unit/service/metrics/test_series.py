"""What alerts count is there before it happens."""

from prometheus_client.parser import text_string_to_metric_families

from service import metric_catalog as m
from service.metrics import Metrics

PRESENT = {"provider": ["simulator"]}


def test_every_counter_of_known_labels_starts_at_0() -> None:
    """Of the providers that are configured, and of calls that an integration has."""
    metrics = Metrics(version="test", role="api")
    metrics.start_at_zero(**PRESENT)
    for metric in (each for each in m.CATALOG if each.kind == "counter"):
        found = _series(metrics, metric)
        assert set(found) == {tuple(labels.values()) for labels in metric.zeros(PRESENT)}
        assert not any(found.values()), metric.name


def test_no_series_is_of_a_provider_that_is_not_configured() -> None:
    metrics = Metrics(version="test", role="api")
    metrics.start_at_zero(**PRESENT)
    expected = {(status, "simulator") for status in m.PAYMENT_STATUSES}
    assert set(_series(metrics, m.PAYMENTS)) == expected


def test_what_never_occurs_together_has_no_series() -> None:
    pairs = {tuple(labels.values())[:2] for labels in m.INTEGRATION_REQUESTS.zeros({})}
    assert pairs == set(m.INTEGRATION_CALLS)


def test_an_open_label_has_no_series_before_it_is_met() -> None:
    assert list(m.HTTP_REQUESTS.zeros({})) == []


def _series(metrics: Metrics, metric: m.Metric) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        tuple(sample.labels[label] for label in metric.labels): sample.value
        for family in families
        for sample in family.samples
        if sample.name == metric.name
    }
