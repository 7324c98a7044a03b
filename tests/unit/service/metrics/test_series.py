"""What alerts count is there before it happens."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service import metric_catalog as m
from service import zero_series
from service.metrics import Metrics


@pytest.mark.parametrize("status", m.PAYMENT_STATUSES)
def test_every_payment_status_starts_at_0_for_configured_providers_only(status: str) -> None:
    metrics = Metrics(version="test", role="api")
    zero_series.init_series(metrics, ["simulator"])
    assert _payments(metrics)[status, "simulator"] == 0
    assert (status, "stripe") not in _payments(metrics)


def _payments(metrics: Metrics) -> dict[tuple[str, str], float]:
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        (sample.labels["status"], sample.labels["provider"]): sample.value
        for family in families
        for sample in family.samples
        if sample.name == m.PAYMENTS.name
    }
