"""The provider that renders, as the engine sees it: a process that speaks gRPC."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pulumi.runtime.proto import provider_pb2

from infra import labels
from infra.render_provider import wire
from tests.support.provider import (
    CALL_TIMEOUT_S,
    EXECUTABLE,
    EXIT_TIMEOUT_S,
    Provider,
    RefusedError,
    started,
)


def config_map(**data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "shop"},
        "data": data,
    }


def secret(**texts: str) -> dict[str, Any]:
    return config_map() | {"kind": "Secret", "data": {}, "stringData": texts}


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with started(tmp_path_factory.mktemp("plugins") / EXECUTABLE.name) as provider:
        yield provider


@pytest.fixture
def provider(process: Provider, tmp_path: Path) -> Provider:
    process.configure(renderYamlToDirectory=str(tmp_path))
    return process


def test_it_ends_when_its_engine_is_killed() -> None:
    command = ["/bin/sh", "-c", '"$0" 127.0.0.1:1 & wait', str(EXECUTABLE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as engine:
        assert engine.stdout is not None
        assert int(engine.stdout.readline()) > 0
        engine.kill()
        # The provider holds the other end of the pipe: it closes when the provider is gone.
        engine.communicate(timeout=EXIT_TIMEOUT_S)


def test_it_accepts_secrets_and_previews(process: Provider, tmp_path: Path) -> None:
    answer = process.configure(renderYamlToDirectory=str(tmp_path))

    assert answer.acceptSecrets
    assert answer.supportsPreview


def test_a_folder_and_a_cluster_contradict_each_other(process: Provider) -> None:
    answer = process.check_config(renderYamlToDirectory="out", kubeconfig="{}")

    assert [failure.property for failure in answer.failures] == ["kubeconfig"]


def test_a_cluster_is_refused_and_the_remedy_named(process: Provider) -> None:
    (failure,) = process.check_config(kubeconfig="{}").failures
    assert "tools/bootstrap kubernetes-provider" in failure.reason
    with pytest.raises(RefusedError, match="tools/bootstrap kubernetes-provider"):
        process.configure(kubeconfig="{}")


def test_another_folder_means_writing_everything_again(process: Provider) -> None:
    request = provider_pb2.DiffRequest(
        olds=wire.encode({"renderYamlToDirectory": "one"}),
        news=wire.encode({"renderYamlToDirectory": "two"}),
    )
    assert process.stub.DiffConfig(request, timeout=CALL_TIMEOUT_S).replaces == [
        "renderYamlToDirectory"
    ]
    request.news.CopyFrom(request.olds)
    same = process.stub.DiffConfig(request, timeout=CALL_TIMEOUT_S)
    assert same.changes == provider_pb2.DiffResponse.DIFF_UNKNOWN


def test_create_writes_a_manifest_and_the_official_state(
    provider: Provider, tmp_path: Path
) -> None:
    id_, outputs = provider.create(config_map(a="1"))

    (file,) = tmp_path.rglob("*.yaml")
    assert file.relative_to(tmp_path).as_posix() == "1-manifest/v1-configmap-shop-settings.yaml"
    assert yaml.safe_load(file.read_text()) == config_map(a="1")
    assert id_ == "shop/settings"
    assert outputs.pop("__fieldManager").startswith("pulumi-kubernetes-")
    assert outputs == {
        **config_map(a="1"),
        "__inputs": config_map(a="1"),
        "__initialApiVersion": "v1",
    }


def test_a_preview_writes_nothing(provider: Provider, tmp_path: Path) -> None:
    id_, _ = provider.create(config_map(a="1"), preview=True)

    assert id_ == ""
    assert list(tmp_path.rglob("*.yaml")) == []


def test_a_definition_goes_where_it_is_applied_first(provider: Provider, tmp_path: Path) -> None:
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "games.shop.dev"},
    }
    id_, _ = provider.create(definition)

    (file,) = tmp_path.rglob("*.yaml")
    name = "apiextensions.k8s.io_v1-customresourcedefinition-default-games.shop.dev.yaml"
    assert file.relative_to(tmp_path).as_posix() == f"0-crd/{name}"
    assert id_ == "games.shop.dev"


def test_what_differs_is_left_to_the_engine(provider: Provider) -> None:
    _, outputs = provider.create(config_map(a="1"))

    answer = provider.diff(outputs, config_map(a="2"))
    assert answer.changes == provider_pb2.DiffResponse.DIFF_UNKNOWN
    assert answer.replaces == []


def test_another_name_is_another_object(provider: Provider) -> None:
    _, outputs = provider.create(config_map(a="1"))

    renamed = config_map(a="1") | {"metadata": {"name": "other", "namespace": "shop"}}
    answer = provider.diff(outputs, renamed)
    assert answer.replaces == ["metadata.name"]
    assert answer.changes == provider_pb2.DiffResponse.DIFF_SOME


def test_a_name_that_is_not_known_yet_is_another(provider: Provider) -> None:
    _, outputs = provider.create(config_map(a="1"))
    wanted = config_map(a="1") | {"metadata": {"name": wire.UNKNOWN, "namespace": "shop"}}

    news = wire.encode(wanted)
    request = provider_pb2.DiffRequest(olds=wire.encode(outputs), news=news)
    answer = provider.stub.Diff(request, timeout=CALL_TIMEOUT_S)
    assert answer.replaces == ["metadata.name"]


def test_update_keeps_what_was_fixed_at_creation(provider: Provider, tmp_path: Path) -> None:
    _, before = provider.create(config_map(a="1"))

    after = provider.update(before, config_map(a="2"))

    assert after["__fieldManager"] == before["__fieldManager"]
    assert after["__inputs"]["data"] == {"a": "2"}
    (file,) = tmp_path.rglob("*.yaml")
    assert yaml.safe_load(file.read_text())["data"] == {"a": "2"}


def test_delete_removes_the_manifest_and_may_be_repeated(
    provider: Provider, tmp_path: Path
) -> None:
    id_, outputs = provider.create(config_map(a="1"))
    for _ in range(2):
        provider.delete(id_, outputs)

    assert list(tmp_path.rglob("*.yaml")) == []


def test_a_refresh_keeps_what_was_rendered(provider: Provider) -> None:
    id_, outputs = provider.create(config_map(a="1"))

    answer = provider.read(id_, outputs, config_map())
    assert answer.id == id_
    assert wire.decode(answer.properties) == outputs
    assert wire.decode(answer.inputs) == config_map(a="1")


def test_nothing_is_imported(provider: Provider) -> None:
    with pytest.raises(RefusedError, match="shop/settings: nothing can be imported"):
        provider.read("shop/settings", {}, config_map())


def test_a_canceled_engine_is_answered_to_the_end(provider: Provider) -> None:
    provider.cancel()
    assert provider.create(config_map(a="1"))[0] == "shop/settings"


def test_a_secret_s_texts_are_stored_encoded_and_marked(provider: Provider) -> None:
    _, outputs = provider.create(secret(token=labels.PLACEHOLDER))

    assert isinstance(outputs["data"], wire.Sensitive)
    assert isinstance(outputs["__inputs"]["data"], wire.Sensitive)
    assert "stringData" not in outputs


def test_a_secret_s_real_value_is_never_rendered(provider: Provider, tmp_path: Path) -> None:
    _, failures = provider.check(secret(token="hunter2"))

    assert "stringData.token is secret" in failures[0]
    assert "hunter2" not in failures[0]
    assert list(tmp_path.rglob("*.yaml")) == []


def test_a_secret_value_elsewhere_is_never_rendered(provider: Provider) -> None:
    _, failures = provider.check(config_map() | {"data": {"a": wire.Sensitive("hunter2")}})

    assert "ConfigMap shop/settings: data is secret" in failures[0]


def test_a_name_is_never_invented(provider: Provider) -> None:
    _, failures = provider.check(config_map() | {"metadata": {"namespace": "shop"}})

    assert "set metadata.name" in failures[0]


def test_what_is_no_object_is_refused(provider: Provider) -> None:
    _, failures = provider.check({"chart": "redis", "apiVersion": "", "kind": ""})

    assert "renders plain objects only" in failures[0]
