"""What somebody changes by hand is named, and `up` repairs it; what is destroyed is gone."""

import pytest

from infra import labels
from scripts.cluster.stack import NAMESPACE
from scripts.programs import ProgramError
from tests.cluster.shop import FORCE, Shop

DRIFTED = 3


def test_drift_is_named_and_repaired(shop: Shop) -> None:
    change = '{"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 60}}}}'
    shop.kubectl("patch", "deployment", "coinslot-worker", "-n", NAMESPACE, "-p", change)
    shop.kubectl("delete", "networkpolicy", "coinslot-deny-all", "-n", NAMESPACE)
    drift = shop.run("drift")
    assert drift.code == DRIFTED, drift.text
    assert "terminationGracePeriodSeconds" in drift.text
    assert "NetworkPolicy coinslot-deny-all is gone" in drift.text

    shop.run("refresh")
    shop.up(FORCE)
    assert shop.get("networkpolicy", "coinslot-deny-all")
    assert shop.run("drift").code == 0


@pytest.mark.last
@pytest.mark.long
def test_destroy_leaves_nothing(shop: Shop) -> None:
    done = shop.run("destroy")
    assert done.code == 0, done.text
    assert shop.kubectl.get("namespace", NAMESPACE) is None
    kinds = shop.kubectl("api-resources", "--verbs=list", "--namespaced=false", "-o", "name")
    for kind in kinds.split():
        try:
            names = shop.kubectl("get", kind, "-o", "name", "--ignore-not-found").split()
        except ProgramError:  # a kind that can't be listed by its name alone
            continue
        ours = [name for name in names if labels.PROJECT in name]
        assert not ours, ours
    shop.up()
