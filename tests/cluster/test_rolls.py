"""Releases under load, in which nobody notices anything."""

from collections.abc import Callable

import pytest

from infra import labels
from tests.cluster.conftest import Event
from tests.cluster.shop import Shop


def nodes_of(shop: Shop, component: str) -> list[str]:
    return sorted(pod["spec"]["nodeName"] for pod in shop.pods(component))


def test_a_rolling_update(shop: Shop, event: Event, tag: Callable[[str], None]) -> None:
    tag("0.2.0")
    with event("rolling update by `up`", failures=False), shop.changed(image={"tag": "0.2.0"}):
        shop.up()
    images = {pod["spec"]["containers"][0]["image"] for pod in shop.pods(labels.API)}
    assert images == {"localhost/coinslot:0.2.0"}
    counts = [nodes_of(shop, labels.API).count(node) for node in set(nodes_of(shop, labels.API))]
    assert len(counts) == 2, "the new pods are on both nodes"
    assert max(counts) - min(counts) <= 1
    with event("rolling update back", failures=False):
        shop.up()


@pytest.mark.long
def test_a_configuration_change(shop: Shop, event: Event) -> None:
    before = shop.get("deployment", "coinslot-api")
    with (
        event("configuration change by `up`", failures=False),
        shop.changed(settings={"log_level": "info"}),
    ):
        shop.up()
    after = shop.get("deployment", "coinslot-api")
    assert before["spec"]["template"] != after["spec"]["template"]
    shop.up()
