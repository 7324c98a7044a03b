"""The offline provider and a real API server: create, update, preview, diff, conflicts."""

import json
from typing import Any

import pytest
from pulumi.runtime.proto import provider_pb2

from infra.offline_provider import wire
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
from tests.support.kubernetes import Cluster
from tests.support.provider import Provider, RefusedError

pytestmark = pytest.mark.xdist_group("kubernetes")

NONE = provider_pb2.DiffResponse.DIFF_NONE


def owners(cluster: Cluster, namespace: str) -> set[str]:
    text = cluster.kubectl(
        "get", "configmap", "settings", "-n", namespace, "-o", "json", "--show-managed-fields"
    )
    return {entry["manager"] for entry in json.loads(text)["metadata"]["managedFields"]}


def data(cluster: Cluster, namespace: str) -> Any:
    found = cluster.get("configmap", "settings", namespace)
    return found and found["data"]


def test_create_applies_under_a_name_of_its_own(
    provider: Provider, cluster: Cluster, namespace: str
) -> None:
    id_, outputs = provider.create(config_map(namespace, a="1"))

    assert id_ == f"{namespace}/settings"
    assert data(cluster, namespace) == {"a": "1"}
    assert outputs["__inputs"] == config_map(namespace, a="1")
    assert owners(cluster, namespace) == {outputs["__fieldManager"]}
    assert outputs["metadata"]["uid"]
    assert "managedFields" not in outputs["metadata"]


def test_an_object_without_namespace_gets_the_default_one(
    provider: Provider, cluster: Cluster, namespace: str
) -> None:
    wanted = config_map(namespace, a="1")
    del wanted["metadata"]["namespace"]

    id_, outputs = provider.create(wanted)

    assert id_ == f"{namespace}/settings"
    assert outputs["__inputs"]["metadata"]["namespace"] == namespace
    assert data(cluster, namespace) == {"a": "1"}


def test_what_is_there_is_not_taken_over(
    provider: Provider, cluster: Cluster, namespace: str
) -> None:
    cluster.apply(config_map(namespace, a="theirs"))

    for preview in (True, False):
        with pytest.raises(RefusedError, match=f"ConfigMap {namespace}/settings exists already"):
            provider.create(config_map(namespace, b="ours"), preview=preview)
    assert data(cluster, namespace) == {"a": "theirs"}


def test_a_preview_is_a_dry_run(provider: Provider, cluster: Cluster, namespace: str) -> None:
    _, outputs = provider.create(service(namespace), preview=True)

    assert outputs["spec"] == service(namespace)["spec"]
    assert "uid" not in outputs["metadata"]  # the real run gets another one, and another address
    assert cluster.get("service", "web", namespace) is None

    _, before = provider.create(config_map(namespace, a="1"))
    after = provider.update(before, config_map(namespace, a="2"), preview=True)
    assert after["data"] == {"a": "2"}
    assert data(cluster, namespace) == {"a": "1"}


def test_a_preview_is_refused_as_the_update_would_be(provider: Provider, namespace: str) -> None:
    wrong = deployment(namespace)
    wrong["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"] = 70_000

    with pytest.raises(RefusedError) as caught:
        provider.create(wrong, preview=True)

    text = str(caught.value)
    assert f"Deployment {namespace}/web is refused" in text
    assert "spec.template.spec.containers[0].ports[0].containerPort" in text


def test_a_misspelt_field_is_named(provider: Provider, namespace: str) -> None:
    with pytest.raises(RefusedError, match=r"\.dta: field not declared in schema"):
        provider.create(config_map(namespace) | {"dta": {}}, preview=True)


def test_a_preview_goes_on_where_there_can_be_no_dry_run(
    provider: Provider, namespace: str
) -> None:
    for name in ("one", "two"):
        _, outputs = provider.create(config_map("not-there-yet", name, a="1"), preview=True)
        assert outputs == config_map("not-there-yet", name, a="1")
    chess = game(namespace, "no")
    assert provider.create(chess, preview=True)[1] == chess

    assert provider.engine.warnings() == [
        "there is no namespace not-there-yet yet: objects in it are previewed without the server's "
        "checks",
        "the cluster has no kind Game in no.dev/v1 yet: previewed without the server's checks",
    ]


def test_a_value_that_is_not_known_yet_is_previewed_as_it_is(
    provider: Provider, namespace: str
) -> None:
    wanted = config_map(namespace) | {"data": {"a": wire.UNKNOWN}}

    assert provider.create(wanted, preview=True)[1]["data"]["a"] is wire.UNKNOWN


def test_an_update_keeps_what_others_set_and_drops_what_we_dropped(
    provider: Provider, cluster: Cluster, namespace: str
) -> None:
    _, before = provider.create(config_map(namespace, a="1", gone="x"))
    cluster.kubectl("label", "configmap", "settings", "team=payments", "-n", namespace)

    after = provider.update(before, config_map(namespace, a="2"))

    assert data(cluster, namespace) == {"a": "2"}
    assert after["metadata"]["labels"] == {"team": "payments"}
    assert after["__fieldManager"] == before["__fieldManager"]


def test_a_conflict_names_who_owns_what_and_the_way_out(
    provider: Provider, cluster: Cluster, namespace: str
) -> None:
    _, before = provider.create(config_map(namespace, a="1", b="1"))
    cluster.kubectl(
        *("apply", "--server-side", "--force-conflicts", "--field-manager=alice", "-f", "-"),
        stdin=json.dumps(config_map(namespace, a="hers")),
    )
    wanted = config_map(namespace, a="2", b="2")

    for preview in (True, False):
        with pytest.raises(RefusedError) as caught:
            provider.update(before, wanted, preview=preview)
        text = str(caught.value)
        assert f"ConfigMap {namespace}/settings: conflict" in text
        assert "alice owns data.a" in text
        assert 'pulumi.com/patchForce: "true"' in text
    assert data(cluster, namespace) == {"a": "hers", "b": "1"}

    provider.update(before, annotated(wanted, patchForce="true"))
    assert data(cluster, namespace) == {"a": "2", "b": "2"}


def test_another_spelling_is_no_difference(
    provider: Provider, cluster: Cluster, namespace: str
) -> None:
    _, outputs = provider.create(annotated(deployment(namespace, cpu="1000m"), skipAwait="true"))
    same = annotated(deployment(namespace, cpu="1000m"), skipAwait="true")
    cluster.kubectl("annotate", "deployment", "web", "seen=by-somebody", "-n", namespace)
    assert provider.diff(outputs, same).changes == NONE

    newer = annotated(deployment(namespace, cpu="1000m", image="shop/web:2"), skipAwait="true")
    path = "spec.template.spec.containers[0].image"
    assert list(provider.diff(outputs, newer).detailedDiff) == [path]


def test_the_server_says_what_can_not_change(provider: Provider, namespace: str) -> None:
    urgency = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": f"urgent-{namespace}"},
        "value": 10,
        "description": "first",
    }
    id_, outputs = provider.create(urgency)

    assert provider.diff(outputs, urgency | {"description": "other"}).replaces == []
    changed = provider.diff(outputs, urgency | {"value": 20})
    assert changed.replaces == ["value"]
    assert changed.deleteBeforeReplace
    provider.delete(id_, outputs)


def test_a_job_s_pods_can_not_change(provider: Provider, namespace: str) -> None:
    _, outputs = provider.create(job(namespace))

    found = provider.diff(outputs, job(namespace, image="shop/web:2"))
    assert found.replaces == ["spec.template.spec.containers[0].image"]


def test_a_replacement_is_previewed_while_the_old_one_is_there(
    provider: Provider, cluster: Cluster, namespace: str
) -> None:
    _, outputs = provider.create(config_map(namespace, a="1") | {"immutable": True})
    other = config_map(namespace, a="2") | {"immutable": True}

    assert provider.diff(outputs, other).deleteBeforeReplace
    assert provider.create(other, preview=True)[1] == other
    assert data(cluster, namespace) == {"a": "1"}


def test_a_definition_is_ready_when_its_kind_is(
    provider: Provider, cluster: Cluster, namespace: str
) -> None:
    id_, outputs = provider.create(game_definition("shop"))
    provider.create(game(namespace, "shop"))

    assert cluster.get("games.shop.dev", "chess", namespace)
    provider.delete(id_, outputs)
    assert (
        provider.read(f"{namespace}/chess", {}, game(namespace, "shop")).id == ""
    )  # it went with its kind


def test_a_secret_stays_one(provider: Provider, cluster: Cluster, namespace: str) -> None:
    id_, outputs = provider.create(secret(namespace, token="hunter2"))

    assert isinstance(outputs["data"], wire.Sensitive)
    assert isinstance(outputs["__inputs"]["data"], wire.Sensitive)
    cluster.apply(secret(namespace, token="swordfish"))  # kubectl writes the text down once more
    read = wire.decode(provider.read(id_, outputs, outputs).properties)
    assert read["data"].value == {"token": "c3dvcmRmaXNo"}
    assert "swordfish" not in repr(read)


def test_a_refusal_does_not_quote_a_secret(provider: Provider, namespace: str) -> None:
    wanted = deployment(namespace)
    (container,) = wanted["spec"]["template"]["spec"]["containers"]
    container["imagePullPolicy"] = wire.Sensitive("hunter2")

    with pytest.raises(RefusedError, match=r"imagePullPolicy: .*\[secret\]"):
        provider.create(wanted, preview=True)


def test_what_can_not_be_applied_is_refused_before(provider: Provider, namespace: str) -> None:
    listing = {"apiVersion": "v1", "kind": "ConfigMapList", "metadata": {"name": "x"}}
    assert "no lists and no patch resources" in provider.check(listing)[1][0]
    patch = provider.check(config_map(namespace, a="1"), suffix="Patch")[1]
    assert "kubernetes:core/v1:ConfigMapPatch" in patch[0]
    assert "plain objects only" in provider.check({"apiVersion": "", "kind": ""})[1][0]
    nameless = config_map(namespace) | {"metadata": {}}
    assert "set metadata.name" in provider.check(nameless)[1][0]
    wrong = annotated(config_map(namespace), timeoutSeconds="soon", deletionPropagationPolicy="x")
    seconds, manner = provider.check(wrong)[1]
    assert "pulumi.com/timeoutSeconds is 'soon'; expected seconds" in seconds
    assert "expected foreground, background, orphan" in manner
