"""What the Pulumi program asks for, seen without an engine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from infra import labels, service_settings
from infra.config import STACKS
from infra.offline_provider.wire import SECRET_SIGNATURE, SIGNATURE_KEY
from tests.infra.program import MIGRATIONS, Registered, config, run

SECRET_VALUES = dict.fromkeys(service_settings.required_secret_names(), "s3cr3t-" * 6)


def one(resources: Sequence[Registered], kind: str, name: str) -> Registered:
    (found,) = [r for r in resources if r.type.endswith(f":{kind}") and r.name == name]
    return found


@pytest.mark.parametrize("stack", STACKS)
def test_every_resource_is_inside_a_component(stack: str) -> None:
    resources, _ = run(config(stack))

    top = [r.type for r in resources if r.parents in ([], ["pulumi:pulumi:Stack"])]
    assert top == ["coinslot:k8s:Platform"]


@pytest.mark.parametrize("stack", STACKS)
def test_every_object_has_a_fixed_name_and_the_labels_of_its_stack(stack: str) -> None:
    resources, _ = run(config(stack))
    objects = [r for r in resources if r.type.startswith("kubernetes:")]

    assert len(objects) > 20
    for resource in objects:
        metadata = resource.inputs["metadata"]
        assert metadata["name"].startswith("coinslot"), resource.name
        assert metadata["labels"].items() >= labels.common(stack).items(), resource.name


def test_an_existing_secret_is_named_and_not_made() -> None:
    resources, _ = run(config("prod", secrets={"source": "existing", "name": "theirs"}))

    assert not [r for r in resources if r.type == "kubernetes:core/v1:Secret"]
    variables = _container(one(resources, "Deployment", "api"))["env"]
    assert {v["valueFrom"]["secretKeyRef"]["name"] for v in variables} == {"theirs"}


def test_encrypted_values_reach_the_secret_on_a_cluster() -> None:
    settings = config(
        "prod", target="cluster", secrets={"source": "stack"}, secretValues=SECRET_VALUES
    )
    resources, outputs = run(settings)

    encrypted = {SIGNATURE_KEY: SECRET_SIGNATURE, "value": SECRET_VALUES}
    assert one(resources, "Secret", "secrets").inputs["stringData"] == encrypted
    assert outputs["rendered"] is None
    assert "s3cr3t" not in str([r for r in resources if r.type != "kubernetes:core/v1:Secret"])


def test_rendering_puts_placeholders_where_values_would_be() -> None:
    settings = config("prod", secrets={"source": "stack"}, secretValues=SECRET_VALUES)
    resources, _ = run(settings)

    texts = one(resources, "Secret", "secrets").inputs["stringData"]["value"]
    assert set(texts.values()) == {labels.PLACEHOLDER}
    assert "s3cr3t" not in str(resources)


def test_rendering_keeps_the_cluster_of_this_machine_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/somebody/elses")
    resources, outputs = run(config("prod"))

    assert outputs["rendered"] == "infra/rendered/prod"
    (provider,) = [r for r in resources if r.type == "pulumi:providers:kubernetes"]
    assert "kubeconfig" not in provider.inputs
    assert provider.inputs["renderYamlToDirectory"] == "rendered/prod"


def test_another_setting_rolls_the_pods_and_leaves_the_migration_alone() -> None:
    before, _ = run(config("prod"))
    after, _ = run(config("prod", settings={"log_level": "debug"}))

    assert _marks(before, "api") != _marks(after, "api")
    assert _marks(before, "worker") != _marks(after, "worker")
    assert one(before, "Job", "migrate").inputs == one(after, "Job", "migrate").inputs


def test_a_new_secret_revision_rolls_the_pods() -> None:
    before, _ = run(config("prod"))
    after, _ = run(config("prod", secrets={"source": "existing", "revision": 2}))

    assert _marks(before, "api") != _marks(after, "api")


def test_the_migration_is_named_by_its_image_and_its_files(tmp_path: Path) -> None:
    for path in MIGRATIONS.glob("*.sql"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    name = _migration()

    assert _migration(migrations=tmp_path) == name
    assert _migration(image={"repository": "ghcr.io/a/b", "tag": "9"}) != name
    (tmp_path / "9999_new.sql").write_text("SELECT 1")
    assert _migration(migrations=tmp_path) != name


def test_a_digest_pins_the_image() -> None:
    digest = f"sha256:{'0' * 64}"
    resources, outputs = run(
        config("prod", image={"repository": "ghcr.io/a/b", "tag": "9", "digest": digest})
    )

    assert outputs["image"] == f"ghcr.io/a/b:9@{digest}"
    assert _container(one(resources, "Deployment", "worker"))["image"] == outputs["image"]


def _container(owner: Registered) -> Any:
    (container,) = owner.inputs["spec"]["template"]["spec"]["containers"]
    return container


def _marks(resources: Sequence[Registered], role: str) -> Any:
    deployment = one(resources, "Deployment", role)
    return deployment.inputs["spec"]["template"]["metadata"]["annotations"]


def _migration(migrations: Path = MIGRATIONS, **changes: Any) -> str:
    _, outputs = run(config("prod", **changes), migrations)
    return str(outputs["migration"])
