"""The offline provider reads a cluster: refresh, import, other users, no cluster at all."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pulumi.runtime.proto import provider_pb2

from infra.offline_provider import state, wire
from scripts.platform.embedded import free_port
from tests.infra.cluster.objects import config_map, deployment
from tests.support.kubernetes import Cluster
from tests.support.provider import Provider, RefusedError

pytestmark = pytest.mark.xdist_group("kubernetes")

NONE = provider_pb2.DiffResponse.DIFF_NONE


def test_refresh_sees_a_hand_at_work(provider: Provider, cluster: Cluster, namespace: str) -> None:
    wanted = config_map(namespace, a="1")
    id_, outputs = provider.create(wanted)
    assert wire.decode(provider.read(id_, outputs, wanted).properties) == outputs

    change = '{"data": {"a": "2"}}'
    cluster.kubectl("patch", "configmap", "settings", "-n", namespace, "-p", change)
    drifted = wire.decode(provider.read(id_, outputs, wanted).properties)
    assert drifted["data"] == {"a": "2"}
    assert state.inputs_of(drifted) == wanted
    assert list(provider.diff(drifted, wanted).detailedDiff) == ["data.a"]

    cluster.kubectl("delete", "configmap", "settings", "-n", namespace)
    assert provider.read(id_, outputs, wanted).id == ""


def test_what_a_controller_sets_is_no_drift(provider: Provider, namespace: str) -> None:
    wanted = deployment(namespace)
    id_, outputs = provider.create(wanted)

    read = wire.decode(provider.read(id_, outputs, wanted).properties)
    assert provider.diff(read, wanted).changes == NONE


def test_an_import_fits_the_program_that_wrote_it(
    provider: Provider, cluster: Cluster, namespace: str
) -> None:
    wanted = deployment(namespace)
    cluster.apply(wanted)

    answer = provider.read(f"{namespace}/web", {}, wanted)
    assert wire.decode(answer.inputs)["spec"]["replicas"] == 2
    assert "status" not in wire.decode(answer.inputs)
    assert provider.diff(wire.decode(answer.properties), wanted).changes == NONE
    newer = provider.diff(wire.decode(answer.properties), deployment(namespace, image="web:2"))
    assert list(newer.detailedDiff) == ["spec.template.spec.containers[0].image"]


def test_an_import_of_nothing_finds_nothing(provider: Provider, namespace: str) -> None:
    assert provider.read(f"{namespace}/gone", {}, config_map(namespace)).id == ""


def test_who_may_not_is_told_so(provider: Provider, cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("create", "serviceaccount", "reader", "-n", namespace)
    token = cluster.kubectl("create", "token", "reader", "-n", namespace).strip()
    config: dict[str, Any] = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    provider.configure(kubeconfig=json.dumps(config), namespace=namespace)

    with pytest.raises(RefusedError) as caught:
        provider.create(config_map(namespace, a="1"))
    assert f"ConfigMap {namespace}/settings is refused: " in str(caught.value)
    assert 'cannot get resource "configmaps"' in str(caught.value)
    assert token not in str(caught.value)

    config["users"][0]["user"] = {"token": "wrong"}
    provider.configure(kubeconfig=json.dumps(config), namespace=namespace)
    with pytest.raises(RefusedError, match="does not accept the kubeconfig's credentials"):
        provider.create(config_map(namespace, a="1"))


def test_a_cluster_that_does_not_answer_is_named(
    provider: Provider, cluster: Cluster, namespace: str
) -> None:
    config: dict[str, Any] = yaml.safe_load(cluster.kubeconfig.read_text())
    server = f"https://127.0.0.1:{free_port()}"
    config["clusters"][0]["cluster"]["server"] = server
    provider.configure(kubeconfig=yaml.safe_dump(config), namespace=namespace)

    for name in ("one", "two"):
        provider.create(config_map(namespace, name, a="1"), preview=True)
    (warning,) = provider.engine.warnings()
    assert f"{server} does not answer" in warning
    with pytest.raises(RefusedError, match=f"{server} does not answer"):
        provider.create(config_map(namespace, a="1"))


def test_another_cluster_means_making_everything_there(
    provider: Provider, cluster: Cluster, tmp_path: Path
) -> None:
    config: dict[str, Any] = yaml.safe_load(cluster.kubeconfig.read_text())
    moved = tmp_path / "moved"
    moved.write_text(cluster.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://elsewhere:6443"

    def replaces(old: str, new: str) -> list[str]:
        request = provider_pb2.DiffRequest(
            olds=wire.encode({"kubeconfig": old}), news=wire.encode({"kubeconfig": new})
        )
        return list(provider.stub.DiffConfig(request, timeout=30).replaces)

    assert replaces(str(cluster.kubeconfig), str(moved)) == []
    assert replaces(str(cluster.kubeconfig), yaml.safe_dump(config)) == ["kubeconfig"]
    assert replaces("/of/another/machine", str(cluster.kubeconfig)) == []
    assert "taken for the same cluster" in provider.engine.warnings()[0]
