"""The offline provider in render mode, as the engine sees it: a process that speaks gRPC."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pulumi.runtime.proto import provider_pb2

from infra import labels
from infra.offline_provider import wire
from tests.support.provider import (
    CALL_TIMEOUT_S,
    EXECUTABLE,
    EXIT_TIMEOUT_S,
    Provider,
    RefusedError,
    started,
)

DIFF = provider_pb2.PropertyDiff


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
    process.configure(renderYamlToDirectory=str(tmp_path), enableSecretMutable="true")
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
    news = wire.encode({"renderYamlToDirectory": "out", "kubeconfig": "{}"})
    answer = process.stub.CheckConfig(provider_pb2.CheckRequest(news=news), timeout=CALL_TIMEOUT_S)

    assert [failure.property for failure in answer.failures] == ["kubeconfig"]


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
    assert same.changes == provider_pb2.DiffResponse.DIFF_NONE


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


def test_diff_names_every_property(provider: Provider) -> None:
    _, outputs = provider.create(config_map(**{"a.b": "1", "gone": "x", "same": "s"}))
    provider.configure(renderYamlToDirectory="x", enableConfigMapMutable="true")

    answer = provider.diff(outputs, config_map(**{"a.b": "2", "new": "y", "same": "s"}))

    kinds = {path: found.kind for path, found in answer.detailedDiff.items()}
    assert kinds == {'data["a.b"]': DIFF.UPDATE, "data.gone": DIFF.DELETE, "data.new": DIFF.ADD}
    assert answer.replaces == []
    assert answer.changes == provider_pb2.DiffResponse.DIFF_SOME


def test_no_difference_is_none(provider: Provider) -> None:
    _, outputs = provider.create(config_map(a="1"))

    answer = provider.diff(outputs, config_map(a="1"))
    assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE
    assert not answer.detailedDiff


def test_what_an_update_may_not_change_is_replaced(provider: Provider) -> None:
    _, outputs = provider.create(config_map(a="1"))

    same_name = provider.diff(outputs, config_map(a="2"))  # not said to be mutable here
    assert same_name.replaces == ["data.a"]
    assert same_name.deleteBeforeReplace
    renamed = config_map(a="1") | {"metadata": {"name": "other", "namespace": "shop"}}
    assert provider.diff(outputs, renamed).replaces == ["metadata.name"]
    assert not provider.diff(outputs, renamed).deleteBeforeReplace


def test_a_value_that_is_not_known_yet_is_a_change(provider: Provider) -> None:
    _, outputs = provider.create(config_map(a="1"))
    wanted = config_map(a="1") | {"data": {"a": wire.UNKNOWN}}

    assert provider.diff(outputs, wanted).detailedDiff["data.a"].kind == DIFF.UPDATE_REPLACE


def test_what_the_server_adds_is_no_difference(provider: Provider) -> None:
    _, outputs = provider.create(config_map(a="1"))
    outputs["metadata"]["uid"] = "0"
    outputs["status"] = {"ready": True}

    answer = provider.diff(outputs, config_map(a="1"))
    assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE


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


def test_refresh_sees_a_hand_at_work(provider: Provider, tmp_path: Path) -> None:
    id_, outputs = provider.create(config_map(a="1"))
    assert wire.decode(provider.read(id_, outputs, config_map()).properties) == outputs

    (file,) = tmp_path.rglob("*.yaml")
    file.write_text(file.read_text().replace('"1"', '"2"'))
    drifted = wire.decode(provider.read(id_, outputs, config_map()).properties)
    assert drifted["data"] == {"a": "2"}
    assert provider.diff(drifted, config_map(a="1")).detailedDiff.keys() == {"data.a"}

    file.unlink()
    assert provider.read(id_, outputs, config_map()).id == ""


def test_a_broken_manifest_is_named(provider: Provider, tmp_path: Path) -> None:
    id_, outputs = provider.create(config_map(a="1"))
    (file,) = tmp_path.rglob("*.yaml")
    file.write_text("{")

    with pytest.raises(RefusedError, match=re.escape(str(file))):
        provider.read(id_, outputs, config_map())


def test_import_finds_a_manifest_by_its_id(provider: Provider) -> None:
    id_, _ = provider.create(config_map(a="1"))

    answer = provider.read(id_, {}, config_map())
    assert wire.decode(answer.inputs) == config_map(a="1")


def test_a_secret_s_texts_are_stored_encoded_and_marked(provider: Provider) -> None:
    _, outputs = provider.create(secret(token=labels.PLACEHOLDER))

    assert isinstance(outputs["data"], wire.Sensitive)
    assert isinstance(outputs["__inputs"]["data"], wire.Sensitive)
    assert "stringData" not in outputs


def test_a_secret_s_real_value_is_never_rendered(provider: Provider, tmp_path: Path) -> None:
    _, failures = provider.check(secret(token="hunter2"))

    assert "data.token is secret" in failures[0]
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
