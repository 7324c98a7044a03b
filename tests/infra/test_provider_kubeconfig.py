"""Which cluster the offline provider takes: the rules of kubectl and of the official provider."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.offline_provider.kubeconfig import find
from infra.offline_provider.settings import (
    ProviderSettings,
    ProviderSettingsError,
    from_variables,
)

PREFIX = "kubernetes:config:"


def document(*names: str, **more: Any) -> str:
    """Return a kubeconfig with a context, a cluster and a user of each name."""
    return yaml.safe_dump(
        {
            "clusters": [{"name": n, "cluster": {"server": f"https://{n}:6443"}} for n in names],
            "users": [{"name": n, "user": {"token": "t"}} for n in names],
            "contexts": [
                {"name": n, "context": {"cluster": n, "user": n, "namespace": f"of-{n}"}}
                for n in names
            ],
            "current-context": names[0],
            **more,
        }
    )


def settings(**given: str) -> ProviderSettings:
    return from_variables({PREFIX + key: value for key, value in given.items()})


def test_content_is_taken_as_it_is() -> None:
    access = find(settings(kubeconfig=document("a", "b")), {})

    assert (access.server, access.context, access.namespace) == ("https://a:6443", "a", "of-a")


def test_a_path_is_read_and_its_files_are_beside_it(tmp_path: Path) -> None:
    clusters = [{"name": "a", "cluster": {"server": "https://a", "certificate-authority": "ca"}}]
    (tmp_path / "config").write_text(document("a", clusters=clusters))

    access = find(settings(kubeconfig=str(tmp_path / "config")), {"KUBECONFIG": "/nowhere"})

    assert access.config is not None
    (cluster,) = access.config["clusters"]
    assert cluster["cluster"]["certificate-authority"] == str(tmp_path / "ca")


def test_context_and_namespace_can_be_chosen() -> None:
    access = find(settings(kubeconfig=document("a", "b"), context="b", namespace="shop"), {})

    assert (access.server, access.namespace) == ("https://b:6443", "shop")


def test_the_environment_names_files_and_the_first_wins(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text(document("a"))
    second.write_text(document("b", "a"))
    environ = {"KUBECONFIG": os.pathsep.join((str(first), str(tmp_path / "gone"), str(second)))}

    assert find(settings(), environ).server == "https://a:6443"
    assert find(settings(context="b"), environ).server == "https://b:6443"


def test_a_pod_uses_its_own_account(tmp_path: Path) -> None:
    environ = {"KUBECONFIG": str(tmp_path / "gone"), "KUBERNETES_SERVICE_HOST": "10.0.0.1"}

    assert find(settings(), environ).config is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kubeconfig": "/there/is/none"}, "there is no file /there/is/none"),
        ({"kubeconfig": "{"}, "kubeconfig is no YAML in line 1"),
        ({"kubeconfig": "- a\n- b"}, "neither a kubeconfig's content nor a file's path"),
        ({"kubeconfig": "{}"}, "no current-context: set kubernetes:context"),
        ({"kubeconfig": document("a"), "context": "x"}, "no context 'x'; it has: a"),
        ({"kubeconfig": document("a", clusters=[])}, "no cluster 'a'; it has: none"),
        ({}, "no kubeconfig: /gone is not there; set kubernetes:kubeconfig or KUBECONFIG"),
        ({"cluster": "a"}, "does not know cluster: name a context of the kubeconfig instead"),
        ({"enableServerSideApply": "false"}, "only knows server-side apply"),
    ],
)
def test_what_is_missing_is_named(given: dict[str, str], message: str) -> None:
    with pytest.raises(ProviderSettingsError, match=message):
        find(settings(**given), {"KUBECONFIG": "/gone"})


def test_a_broken_content_is_not_quoted() -> None:
    with pytest.raises(ProviderSettingsError) as caught:
        find(settings(kubeconfig="users:\n- token: hunter2\n  - x"), {})

    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
