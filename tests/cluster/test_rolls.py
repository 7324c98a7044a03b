"""Releases under load, in which nobody notices anything."""

from collections.abc import Callable

import pytest

from infra import labels
from scripts.cluster.stack import NAMESPACE
from scripts.deploy.versions import referred
from tests.cluster.conftest import ROLLOUT_TIMEOUT_S, Event
from tests.cluster.shop import FORCE, Shop

SECRET_LENGTH = 32
"""Of what is generated; shorter ones aren't, such as a port."""


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
    for kind, name in referred(before):
        assert shop.get(kind, name), "pods of before may start again"
    with event("`kubectl rollout undo`", failures=False):
        api = ("deployment/coinslot-api", "-n", NAMESPACE)
        shop.kubectl("rollout", "undo", *api)
        shop.kubectl.rollout(NAMESPACE, ["deployment/coinslot-api"], ROLLOUT_TIMEOUT_S)
    for kind, name in referred(shop.get("deployment", "coinslot-api")):
        assert shop.get(kind, name), "old pods find the settings of their release"
    shop.up(FORCE)  # the hand that went back still owns the fields


def test_no_secret_is_in_the_state_or_in_what_is_printed(shop: Shop) -> None:
    preview = shop.run("preview")
    assert preview.code == 0, preview.text
    state = "".join(path.read_text() for path in (shop.layout.folder / "pulumi").rglob("*.json"))
    assert "ciphertext" in state
    for name, secret in shop.secrets.items():
        password = secret.partition("@")[0].rpartition(":")[2] if "@" in secret else secret
        if len(password) >= SECRET_LENGTH:
            assert password not in state + preview.text, name
