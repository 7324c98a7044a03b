"""The real engine, the offline provider and a real API server: the life of a small program."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.offline_provider.cluster import words
from tests.infra.cluster.objects import (
    annotated,
    config_map,
    deployment,
    game,
    game_definition,
    job,
    secret,
    service,
)
from tests.infra.cluster.shop import Shop
from tests.support.kubernetes import NODE, Cluster
from tests.support.leaks import PLANTED

pytestmark = [
    pytest.mark.xdist_group("kubernetes"),
    pytest.mark.timeout(300),  # a few runs of a few seconds each, on a busy machine
]

NEVER = "image-missing"


@pytest.fixture
def shop(cluster: Cluster, namespace: str, tmp_path: Path) -> Shop:
    return Shop(tmp_path, cluster, namespace)


def test_a_program_lives_and_ends(shop: Shop, cluster: Cluster, namespace: str) -> None:
    shop.wants("web", deployment(namespace))
    shop.wants("door", service(namespace))
    shop.wants("keys", secret(namespace, token=PLANTED), secret=["stringData"])

    said = shop.run("preview")
    assert "5 to create" in said  # with the stack and the provider
    assert there(cluster, namespace) == ""

    said += shop.up()
    state = shop.state()
    assert state["web"]["outputs"]["status"]["availableReplicas"] == 2
    assert "ciphertext" in state["keys"]["outputs"]["data"]
    assert PLANTED not in json.dumps(state)
    assert "5 unchanged" in shop.run("up", "--yes", "--expect-no-changes", "--skip-preview")

    shop.wants("web", deployment(namespace, image="shop/web:2"))
    said += shop.up("--diff")
    assert '"shop/web:1" => "shop/web:2"' in said

    # The selector is immutable: the Deployment goes, and another of its name comes.
    other = deployment(namespace, image="shop/web:2")
    other["spec"]["selector"]["matchLabels"] = other["spec"]["template"]["metadata"]["labels"] = {
        "app": "web",
        "tier": "front",
    }
    shop.wants("web", other)
    said += shop.up()
    assert "1 replaced" in said
    uid = state["web"]["outputs"]["metadata"]["uid"]
    assert get(cluster, "deployment", "web", namespace)["metadata"]["uid"] != uid

    said += shop.run("destroy", "--yes", "--skip-preview")
    assert there(cluster, namespace) == ""
    assert PLANTED not in said


def there(cluster: Cluster, namespace: str) -> str:
    return cluster.kubectl("get", "deployments,services,secrets", "-n", namespace, "-o", "name")


def get(cluster: Cluster, kind: str, name: str, namespace: str) -> dict[str, Any]:
    found = cluster.get(kind, name, namespace)
    assert found is not None
    return found


def test_a_hand_at_work_is_seen_and_undone(shop: Shop, cluster: Cluster, namespace: str) -> None:
    shop.wants("settings", config_map(namespace, a="1"))
    shop.wants("web", deployment(namespace))
    shop.up()
    assert "4 unchanged" in shop.refresh()
    change = '{"data": {"a": "2"}}'
    cluster.kubectl("patch", "configmap", "settings", "-n", namespace, "-p", change)
    cluster.kubectl("delete", "deployment", "web", "-n", namespace)

    seen = shop.refresh()
    assert "1 updated" in seen
    assert "1 deleted" in seen
    said = shop.up(fails=True)
    assert f"ConfigMap {namespace}/settings: conflict" in said
    assert "kubectl-patch owns data.a" in said

    shop.environ[words.FORCE_VARIABLE] = "true"
    shop.up()
    assert get(cluster, "configmap", "settings", namespace)["data"] == {"a": "1"}
    assert get(cluster, "deployment", "web", namespace)["status"]["availableReplicas"] == 2


def test_an_object_is_adopted(shop: Shop, cluster: Cluster, namespace: str) -> None:
    cluster.apply(deployment(namespace))
    shop.wants("web", deployment(namespace), **{"import": f"{namespace}/web"})

    assert "1 imported" in shop.up()
    shop.objects["web"].pop("import")
    shop.wants("settings", config_map(namespace, a="1"))
    cluster.apply(config_map(namespace, a="theirs"))
    said = shop.up(fails=True)
    assert f"ConfigMap {namespace}/settings exists already" in said
    # The error may end the run before the adopted object's turn comes; it is never changed.
    counts = said.rpartition("Resources:")[2]
    assert not any(word in counts for word in ("created", "updated", "replaced", "deleted"))


def test_what_does_not_work_is_kept_and_mended(
    shop: Shop, cluster: Cluster, namespace: str
) -> None:
    # A failure with a large object must get through: the object travels in a header.
    large = annotated(deployment(namespace, fate=NEVER), note="x" * 100_000)
    shop.wants("web", large, timeouts={"create": "5s"})

    said = shop.up(fails=True)
    assert f"Deployment {namespace}/web is not ready after 5 s" in said
    assert "ImagePullBackOff: Back-off pulling image shop/web:1" in said
    assert shop.state()["web"]["initErrors"]

    shop.wants("web", deployment(namespace))
    assert "1 updated" in shop.up()
    assert "initErrors" not in shop.state()["web"]
    assert get(cluster, "deployment", "web", namespace)["status"]["availableReplicas"] == 2


def test_ctrl_c_ends_a_wait_and_saves_the_state(
    shop: Shop, cluster: Cluster, namespace: str
) -> None:
    shop.wants("web", deployment(namespace, fate=NEVER))
    for number in range(3):
        shop.wants(f"later-{number}", config_map(namespace, f"later-{number}", a="1"))
    engine = shop.start("up", "--yes", "--skip-preview", "--parallel", "1")
    cluster.until(lambda: cluster.get("deployment", "web", namespace), "deployment")

    began = time.monotonic()
    said = shop.interrupt(engine)

    assert time.monotonic() - began < 60, said  # the wait itself has ten minutes
    assert "is not ready when the engine cancelled" in said
    assert "connection refused" not in said
    assert shop.state()["web"]["id"] == f"{namespace}/web"


def test_a_kind_and_its_objects_come_in_one_run(shop: Shop, namespace: str) -> None:
    shop.wants("kind", game_definition("toys"))
    shop.wants("chess", game(namespace, "toys"))

    assert "the cluster has no kind Game in toys.dev/v1 yet" in shop.run("preview")
    assert "4 created" in shop.up()
    shop.run("destroy", "--yes", "--skip-preview")


@pytest.fixture
def ready_node(cluster: Cluster) -> Iterator[None]:
    yield
    cluster.kubectl("label", "node", NODE, "database-")


@pytest.mark.usefixtures("ready_node")
def test_a_job_that_failed_is_replaced_when_its_cause_is_gone(
    shop: Shop, cluster: Cluster, namespace: str
) -> None:
    """Its pod waits for a node with the label `database`; without one it ends by its deadline."""
    migration = annotated(job(namespace), replaceUnready="true")
    migration["spec"] |= {"activeDeadlineSeconds": 8}
    migration["spec"]["template"]["spec"]["nodeSelector"] = {"database": "ready"}
    shop.wants("migrate", migration)
    said = shop.up(fails=True)
    assert "DeadlineExceeded" in said
    failed = get(cluster, "job", "migrate", namespace)["metadata"]["uid"]

    cluster.kubectl("label", "node", NODE, "database=ready")
    assert "1 to replace" in shop.run("preview")
    assert "1 replaced" in shop.up()
    done = get(cluster, "job", "migrate", namespace)
    assert done["metadata"]["uid"] != failed
    assert done["status"]["succeeded"] == 1
    assert "3 unchanged" in shop.run("up", "--yes", "--expect-no-changes", "--skip-preview")
