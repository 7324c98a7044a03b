"""The API's pods become more by load, and fewer when it goes; all three measures have values."""

import time
from collections.abc import Callable

import pytest

from infra import labels
from scripts.cluster.stack import NAMESPACE
from scripts.kubectl import Object
from service.metric_catalog import ACTIVE_PAYMENTS
from tests.cluster.conftest import Event
from tests.cluster.shop import Shop

VALUES_TIMEOUT_S = 180.0  # the first two measurements of a pod, 15 s each
UP_TIMEOUT_S = 240.0
DOWN_TIMEOUT_S = 600.0  # five minutes of calm first
BUSY = 40.0
"""Purchases a second, two requests each: more than three pods can serve with 70% of the CPU that
they ask for."""
POLL_S = 1.0
MINIMUM = 3


def autoscaler(shop: Shop) -> Object:
    return shop.get("hpa", "coinslot-api")


def until(shop: Shop, holds: Callable[[Object], bool], timeout_s: float) -> Object:
    deadline = time.monotonic() + timeout_s
    while not holds(found := autoscaler(shop)):
        assert time.monotonic() < deadline, found["status"]
        time.sleep(POLL_S)
    return found


def measured(found: Object) -> set[str]:
    return {
        each["resource"]["name"] if "resource" in each else each["pods"]["metric"]["name"]
        for each in found["status"].get("currentMetrics") or ()
        if each["type"]
    }


def test_all_measures_have_values(shop: Shop) -> None:
    expected = {"cpu", "memory", ACTIVE_PAYMENTS.name}
    found = until(shop, lambda seen: measured(seen) == expected, VALUES_TIMEOUT_S)
    conditions = {each["type"]: each["status"] for each in found["status"]["conditions"]}
    assert conditions["ScalingActive"] == "True"


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_more_load_makes_more_pods_and_less_makes_fewer(shop: Shop, event: Event) -> None:
    until(shop, lambda seen: seen["status"]["currentReplicas"] == MINIMUM, DOWN_TIMEOUT_S)
    with event("the autoscaler adds pods by load", failures=False, rate=BUSY):
        until(shop, lambda seen: seen["status"]["desiredReplicas"] > MINIMUM, UP_TIMEOUT_S)
        shop.kubectl.rollout(NAMESPACE, ["deployment/coinslot-api"], UP_TIMEOUT_S)
        assert len(shop.pods(labels.API)) > MINIMUM
    with event("the autoscaler removes pods", failures=False):
        until(shop, lambda seen: seen["status"]["currentReplicas"] == MINIMUM, DOWN_TIMEOUT_S)
