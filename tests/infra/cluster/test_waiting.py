"""The offline provider waits for what it made: until it works, can't work, or time is up."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from infra.offline_provider import wire
from tests.infra.cluster.objects import annotated, config_map, deployment, job, service
from tests.support.kubernetes import Cluster
from tests.support.provider import EXECUTABLE, Provider, RefusedError, started

pytestmark = pytest.mark.xdist_group("kubernetes")

NEVER = "image-missing"
SHORT_S = 6.0  # for pods that will never be ready


@pytest.fixture
def cancellable(cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[Provider]:
    """Give a provider of this test alone: once cancelled it does nothing any more."""
    with started(tmp_path / EXECUTABLE.name) as provider:
        provider.configure(kubeconfig=cluster.kubeconfig.read_text(), namespace=namespace)
        yield provider


def budget(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
    }


def autoscaler(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 2,
            "maxReplicas": 3,
        },
    }


def test_a_rollout_is_waited_for_with_all_that_hangs_on_it(
    provider: Provider, namespace: str
) -> None:
    wanted = [deployment(namespace), service(namespace), budget(namespace), autoscaler(namespace)]
    with ThreadPoolExecutor() as pool:  # as the engine does it
        made = list(pool.map(provider.create, wanted))

    (_, web), _, (_, pdb), (_, hpa) = made
    assert web["status"]["availableReplicas"] == 2
    assert pdb["status"]["currentHealthy"] >= pdb["status"]["desiredHealthy"] == 1
    scaled = {each["type"]: each["status"] for each in hpa["status"]["conditions"]}
    assert scaled["AbleToScale"] == "True"

    rolled = provider.update(web, deployment(namespace, image="shop/web:2"))
    assert rolled["status"]["updatedReplicas"] == rolled["status"]["replicas"] == 2


def test_a_rollout_that_gets_nowhere_says_why_and_can_be_mended(
    provider: Provider, namespace: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        provider.create(deployment(namespace, fate=NEVER), timeout_s=SHORT_S)

    assert "0 of 2 replicas are available" in provider.engine.status()
    half_done = caught.value.half_done
    assert half_done is not None
    assert half_done.id == f"{namespace}/web"
    first, *reasons = half_done.reasons
    assert first == (
        f"Deployment {namespace}/web is not ready after {SHORT_S:g} s: "
        "0 of 2 replicas are available"
    )
    text = "\n".join(reasons)
    assert "container web: ImagePullBackOff: Back-off pulling image shop/web:1" in text
    assert "Available is False: Deployment does not have minimum availability." in text

    before = wire.decode(half_done.properties)
    assert before["metadata"]["uid"]
    mended = provider.update(before, deployment(namespace))
    assert mended["status"]["availableReplicas"] == 2
    assert provider.engine.status()[-1] == "ready"  # and not the last of its troubles


def test_pods_that_may_not_be_made_are_named(
    provider: Provider, cluster: Cluster, namespace: str
) -> None:
    cluster.kubectl(
        "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted"
    )

    with pytest.raises(RefusedError) as caught:
        provider.create(deployment(namespace), timeout_s=SHORT_S)
    assert 'violates PodSecurity "restricted:latest"' in str(caught.value)


def test_a_pod_that_fits_nowhere_is_named(provider: Provider, namespace: str) -> None:
    with pytest.raises(RefusedError) as caught:
        provider.create(deployment(namespace, replicas=1, cpu="1000"), timeout_s=SHORT_S)
    assert "is Pending: 0/1 nodes are available: 1 Insufficient cpu" in str(caught.value)


def test_a_job_is_done_when_its_pods_are(provider: Provider, namespace: str) -> None:
    _, outputs = provider.create(job(namespace))

    assert outputs["status"]["succeeded"] == 1


def test_a_job_that_fails_is_not_waited_for(provider: Provider, namespace: str) -> None:
    began = time.monotonic()
    with pytest.raises(RefusedError) as caught:
        provider.create(job(namespace, fate="fails"))

    assert time.monotonic() - began < 100  # the default timeout is ten minutes
    text = str(caught.value)
    assert f"Job {namespace}/migrate failed: BackoffLimitExceeded" in text
    assert "container web: Error: the column exists already (exit code 3)" in text


def test_the_timeout_can_stand_in_an_annotation(provider: Provider, namespace: str) -> None:
    with pytest.raises(RefusedError, match="not ready after 1 s: no pod that its selector matches"):
        provider.create(annotated(service(namespace), timeoutSeconds="1"))


def test_nobody_waits_where_the_program_says_so(provider: Provider, namespace: str) -> None:
    _, outputs = provider.create(annotated(deployment(namespace, fate=NEVER), skipAwait="true"))

    assert outputs["status"].get("availableReplicas") is None


def test_cancel_ends_a_wait_at_once(
    cancellable: Provider, cluster: Cluster, namespace: str
) -> None:
    with ThreadPoolExecutor() as pool:
        running = pool.submit(cancellable.create, deployment(namespace, fate=NEVER))
        cluster.until(cancellable.engine.status, "word of progress")
        cancellable.cancel()
        with pytest.raises(RefusedError, match="is not ready when the engine cancelled") as caught:
            running.result(timeout=30)  # of the ten minutes that it may take

    assert caught.value.half_done is not None
    assert caught.value.half_done.id == f"{namespace}/web"
    with pytest.raises(RefusedError, match="cancelled before this object's turn"):
        cancellable.create(config_map(namespace, a="1"))
    assert cluster.get("configmap", "settings", namespace) is None


def test_what_somebody_deletes_meanwhile_is_gone(
    provider: Provider, cluster: Cluster, namespace: str
) -> None:
    with ThreadPoolExecutor() as pool:
        running = pool.submit(provider.create, deployment(namespace, fate=NEVER))
        cluster.until(provider.engine.status, "word of progress")
        cluster.kubectl("delete", "deployment", "web", "-n", namespace)
        with pytest.raises(RefusedError) as caught:
            running.result(timeout=60)

    assert f"Deployment {namespace}/web was deleted while we waited" in str(caught.value)
    assert caught.value.half_done is None  # so that the state does not claim it


def test_deletion_is_waited_for(provider: Provider, cluster: Cluster, namespace: str) -> None:
    id_, outputs = provider.create(deployment(namespace))

    provider.delete(id_, outputs)

    left = cluster.kubectl("get", "pods,replicasets", "-n", namespace, "-o", "name")
    assert left == ""  # propagation is "foreground"
    assert provider.engine.status()[-1] == "gone"
    provider.delete(id_, outputs)  # once more, as after a lost answer


def test_what_keeps_an_object_is_named(
    provider: Provider, cluster: Cluster, namespace: str
) -> None:
    id_, outputs = provider.create(config_map(namespace, a="1"))
    change = '{"metadata": {"finalizers": ["shop.dev/hold"]}}'
    cluster.kubectl("patch", "configmap", "settings", "-n", namespace, "-p", change)

    with pytest.raises(RefusedError, match=r"still there after 1 s: finalizer shop\.dev/hold"):
        provider.delete(id_, outputs, timeout_s=1)
    cluster.kubectl(
        "patch", "configmap", "settings", "-n", namespace, "-p", '{"metadata": {"finalizers": []}}'
    )


def test_orphans_are_left_if_asked_for(
    provider: Provider, cluster: Cluster, namespace: str
) -> None:
    wanted = annotated(deployment(namespace), deletionPropagationPolicy="orphan")
    id_, outputs = provider.create(wanted)

    provider.delete(id_, outputs)

    assert cluster.kubectl("get", "pods", "-n", namespace, "-o", "name").count("pod/") == 2


def test_a_namespace_is_gone_with_all_that_is_in_it(provider: Provider, cluster: Cluster) -> None:
    name = "short-lived"
    id_, outputs = provider.create(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    )
    provider.create(config_map(name, a="1"))

    provider.delete(id_, outputs)

    assert cluster.get("namespace", name) is None
